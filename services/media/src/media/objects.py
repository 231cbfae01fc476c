"""Object storage: forms and links for browsers, and the operations that examining an upload needs.

Every operation has a deadline and raises `Unavailable` when storage does not answer. Forms and links need no request.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote

import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from chassis.ids import is_uuid
from media.config import Config
from media.errors import translated
from media.upload import Upload

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

FORM_SECONDS = 15 * 60
LINK_SECONDS = 5 * 60
_OPERATION_SECONDS = 10.0
_TRANSFER_SECONDS = 120.0
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
_INCOMING = "incoming/"


class UploadForm(msgspec.Struct, frozen=True):
    """The form by which a browser posts a file: these fields, then the file part."""

    url: str
    fields: dict[str, str]


class Downloaded(msgspec.Struct, frozen=True):
    """Size and checksum of downloaded bytes."""

    size: int
    sha256: str


class Objects:
    """One bucket: `incoming/` for what clients upload, `kept/` for what was examined."""

    def __init__(self, client: S3Client, public: S3Client, bucket: str) -> None:
        self._client = client
        self._public = public
        """Signs for the endpoint that browsers use."""
        self._bucket = bucket

    async def form(self, upload: Upload) -> UploadForm:
        """A form that works for 15 minutes and takes exactly the announced size and type."""
        made = await self._public.generate_presigned_post(
            self._bucket,
            upload.incoming,
            Fields={"Content-Type": upload.type},
            Conditions=[["content-length-range", upload.size, upload.size], {"Content-Type": upload.type}],
            ExpiresIn=FORM_SECONDS,
        )
        return UploadForm(made["url"], {name: str(value) for name, value in made["fields"].items()})

    async def link(self, key: str, kind: str, name: str, *, inline: bool) -> str:
        """A link that works for 5 minutes: shown in place, or saved as `name`."""
        how = "inline" if inline else "attachment"
        parameters = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentType": kind,
            "ResponseContentDisposition": f"{how}; filename*=UTF-8''{quote(name, safe='')}",
        }
        return await self._public.generate_presigned_url("get_object", Params=parameters, ExpiresIn=LINK_SECONDS)

    async def arrived(self, upload: Upload) -> None:
        """Raise `ObjectAbsentError` unless the uploaded bytes are there."""
        async with _deadline():
            await self._client.head_object(Bucket=self._bucket, Key=upload.incoming)

    async def download(self, upload: Upload, into: BinaryIO, most: int) -> Downloaded:
        """Copy the uploaded bytes to a file, little more than `most` of them. Raises `ObjectAbsentError`."""
        digest, size = hashlib.sha256(), 0
        async with translated(), asyncio.timeout(_TRANSFER_SECONDS):
            answer = await self._client.get_object(Bucket=self._bucket, Key=upload.incoming)
            async with answer["Body"] as body:
                while size <= most and (chunk := await body.read(_CHUNK_BYTES)):
                    digest.update(chunk)
                    size += len(chunk)
                    await asyncio.to_thread(into.write, chunk)
        return Downloaded(size, digest.hexdigest())

    async def put(self, key: str, file: Path, kind: str, sha256: str) -> None:
        """Store a local file. Storage compares its SHA-256 with `sha256` and refuses any other bytes."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        with file.open("rb") as body:
            async with translated(), asyncio.timeout(_TRANSFER_SECONDS):
                await self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=kind, ChecksumSHA256=checksum)

    async def remove(self, key: str) -> None:
        """Remove an object; harmless when there is none."""
        async with _deadline():
            await self._client.delete_object(Bucket=self._bucket, Key=key)

    async def incoming(self) -> AsyncIterator[dict[str, str]]:
        """All uploaded bytes, a page at a time: object keys by upload id."""
        pages = aiter(self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=_INCOMING))
        while True:
            async with _deadline():
                page = await anext(pages, None)
            if page is None:
                return
            keys = [found["Key"] for found in page.get("Contents", [])]
            yield {upload: key for key in keys if is_uuid(upload := key.rpartition("/")[2])}

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
    """The configured bucket, inside the block. Makes no request."""
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
