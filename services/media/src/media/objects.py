"""Object storage: forms and links for browsers, and the few operations that examining an upload needs.

Every operation has a deadline and raises `Unavailable` when storage does not answer. Forms and links are made without asking it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from media.config import Config
from media.errors import translated
from media.upload import Upload

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

FORM_SECONDS = 15 * 60
LINK_SECONDS = 5 * 60
_OPERATION_SECONDS = 10.0
_DOWNLOAD_SECONDS = 120.0
_CHUNK_BYTES = 256 * 1024
_CONFIG = AioConfig(
    signature_version="s3v4",
    connect_timeout=3,
    read_timeout=10,
    retries={"max_attempts": 2, "mode": "standard"},
    s3={"addressing_style": "path"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
_SHOWN_IN_PLACE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


class Form(msgspec.Struct, frozen=True):
    """How a browser posts a file: these fields, then the file part."""

    url: str
    fields: dict[str, str]


class Downloaded(msgspec.Struct, frozen=True):
    """What was downloaded."""

    size: int
    sha256: str
    etag: str
    """Names exactly these bytes, for `keep`."""


class Objects:
    """One bucket."""

    def __init__(self, client: S3Client, public: S3Client, bucket: str) -> None:
        self._client = client
        self._public = public
        """Signs for the address that browsers use."""
        self._bucket = bucket

    async def form(self, upload: Upload) -> Form:
        """A form good for 15 minutes that takes exactly the announced size and type."""
        made = await self._public.generate_presigned_post(
            self._bucket,
            upload.incoming,
            Fields={"Content-Type": upload.type},
            Conditions=[["content-length-range", upload.size, upload.size], {"Content-Type": upload.type}],
            ExpiresIn=FORM_SECONDS,
        )
        return Form(made["url"], {name: str(value) for name, value in made["fields"].items()})

    async def link(self, upload: Upload, *, thumbnail: bool) -> str:
        """A link good for 5 minutes. Only images are shown in place, everything else is downloaded."""
        kind = "image/webp" if thumbnail else upload.type
        how = "inline" if kind in _SHOWN_IN_PLACE else "attachment"
        parameters = {
            "Bucket": self._bucket,
            "Key": upload.thumb if thumbnail else upload.kept,
            "ResponseContentType": kind,
            "ResponseContentDisposition": f"{how}; filename*=UTF-8''{quote(upload.name, safe='')}",
        }
        return await self._public.generate_presigned_url("get_object", Params=parameters, ExpiresIn=LINK_SECONDS)

    async def arrived(self, upload: Upload) -> None:
        """Raise `ObjectAbsentError` unless the client's bytes are there."""
        async with _deadline():
            await self._client.head_object(Bucket=self._bucket, Key=upload.incoming)

    async def download(self, upload: Upload, into: BinaryIO, most: int) -> Downloaded:
        """Copy the client's bytes to a file, at most `most` and one more, so that too many show. Raises `ObjectAbsentError`."""
        digest, size = hashlib.sha256(), 0
        async with translated(), asyncio.timeout(_DOWNLOAD_SECONDS):
            answer = await self._client.get_object(Bucket=self._bucket, Key=upload.incoming)
            async with answer["Body"] as body:
                while size <= most and (chunk := await body.read(_CHUNK_BYTES)):
                    digest.update(chunk)
                    size += len(chunk)
                    await asyncio.to_thread(into.write, chunk)
        return Downloaded(size, digest.hexdigest(), answer["ETag"])

    async def keep(self, upload: Upload, etag: str) -> None:
        """Copy the bytes named by `etag` to where links lead; raises `ObjectChangedError` when the client's are others by now."""
        async with _deadline():
            await self._client.copy_object(
                Bucket=self._bucket,
                Key=upload.kept,
                CopySource={"Bucket": self._bucket, "Key": upload.incoming},
                CopySourceIfMatch=etag,
                ContentType=upload.type,
                MetadataDirective="REPLACE",
            )

    async def put_thumbnail(self, upload: Upload, thumbnail: Path) -> None:
        """Store an image's thumbnail."""
        content = await asyncio.to_thread(thumbnail.read_bytes)
        async with _deadline():
            await self._client.put_object(Bucket=self._bucket, Key=upload.thumb, Body=content, ContentType="image/webp")

    async def discard(self, upload: Upload) -> None:
        """Remove what the client uploaded; harmless when there is nothing."""
        async with _deadline():
            await self._client.delete_object(Bucket=self._bucket, Key=upload.incoming)

    async def ping(self) -> None:
        """Raise `Unavailable` or `ObjectAbsentError` unless the bucket is there."""
        async with _deadline():
            await self._client.head_bucket(Bucket=self._bucket)


@asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    async with translated(), asyncio.timeout(_OPERATION_SECONDS):
        yield


@asynccontextmanager
async def open_objects(config: Config) -> AsyncIterator[Objects]:
    """The configured bucket inside the block; storage does not have to answer yet."""
    session = get_session()
    async with AsyncExitStack() as stack:

        async def client(endpoint: str) -> S3Client:
            return await stack.enter_async_context(
                session.create_client(
                    "s3",
                    endpoint_url=endpoint,
                    region_name=config.s3_region,
                    aws_access_key_id=str(config.s3_access_key),
                    aws_secret_access_key=str(config.s3_secret_key),
                    config=_CONFIG,
                )
            )

        inside = await client(config.s3_endpoint)
        public = await client(config.s3_public_endpoint or config.s3_endpoint)
        yield Objects(inside, public, config.s3_bucket)
