"""Object storage: presigned forms and links for browsers, and the operations that scanning needs.

Every operation has a deadline and raises `Unavailable` when storage does not answer. Forms and links are signed locally.
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
from media.errors import storage_errors
from media.images import FORMATS
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


class UploadForm(msgspec.Struct, frozen=True):
    """A presigned form: a browser posts these fields, then the file."""

    url: str
    fields: dict[str, str]


class Downloaded(msgspec.Struct, frozen=True):
    """Size and hashes of a downloaded object."""

    size: int
    sha256: str
    etag: str
    """Identifies exactly this content, for `keep`."""


class Objects:
    """One bucket."""

    def __init__(self, client: S3Client, public: S3Client, bucket: str) -> None:
        self._client = client
        self._public = public
        """Signs URLs for the endpoint that browsers use."""
        self._bucket = bucket

    async def form(self, upload: Upload) -> UploadForm:
        """Return a form, valid for 15 minutes, that accepts exactly the announced size and type."""
        made = await self._public.generate_presigned_post(
            self._bucket,
            upload.incoming,
            Fields={"Content-Type": upload.type},
            Conditions=[["content-length-range", upload.size, upload.size], {"Content-Type": upload.type}],
            ExpiresIn=FORM_SECONDS,
        )
        return UploadForm(made["url"], {name: str(value) for name, value in made["fields"].items()})

    async def link(self, upload: Upload, *, thumbnail: bool) -> str:
        """Return a link, valid for 5 minutes. Images are displayed inline; everything else is downloaded."""
        kind = "image/webp" if thumbnail else upload.type
        disposition = "inline" if kind in FORMATS else "attachment"
        parameters = {
            "Bucket": self._bucket,
            "Key": upload.thumb if thumbnail else upload.kept,
            "ResponseContentType": kind,
            "ResponseContentDisposition": f"{disposition}; filename*=UTF-8''{quote(upload.name, safe='')}",
        }
        return await self._public.generate_presigned_url("get_object", Params=parameters, ExpiresIn=LINK_SECONDS)

    async def arrived(self, upload: Upload) -> None:
        """Raise `ObjectAbsentError` unless the client has uploaded the file."""
        async with _deadline():
            await self._client.head_object(Bucket=self._bucket, Key=upload.incoming)

    async def download(self, upload: Upload, into: BinaryIO, max_bytes: int) -> Downloaded:
        """Download the uploaded file. Stop once its size exceeds `max_bytes`. Raises `ObjectAbsentError`."""
        digest, size = hashlib.sha256(), 0
        async with storage_errors(), asyncio.timeout(_DOWNLOAD_SECONDS):
            answer = await self._client.get_object(Bucket=self._bucket, Key=upload.incoming)
            async with answer["Body"] as body:
                while size <= max_bytes and (chunk := await body.read(_CHUNK_BYTES)):
                    digest.update(chunk)
                    size += len(chunk)
                    await asyncio.to_thread(into.write, chunk)
        return Downloaded(size, digest.hexdigest(), answer["ETag"])

    async def keep(self, upload: Upload, etag: str) -> None:
        """Copy the content with this `etag` to the key that links use. Raises `ObjectChangedError` if it was replaced."""
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
        """Delete the uploaded file. Harmless if there is none."""
        async with _deadline():
            await self._client.delete_object(Bucket=self._bucket, Key=upload.incoming)

    async def ping(self) -> None:
        """Raise `Unavailable` or `ObjectAbsentError` unless the bucket exists."""
        async with _deadline():
            await self._client.head_bucket(Bucket=self._bucket)


@asynccontextmanager
async def _deadline() -> AsyncIterator[None]:
    async with storage_errors(), asyncio.timeout(_OPERATION_SECONDS):
        yield


@asynccontextmanager
async def open_objects(config: Config) -> AsyncIterator[Objects]:
    """Open the configured bucket. Storage need not be available yet."""
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
