"""A media service on a real database and object store, and a client that uploads like a browser."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from chassis.config import Address, Secret
from chassis.errors import HubbubError
from chassis.migrate import migrate, migrations
from chassis.postgres import EVERY_TENANT, Database, open_database
from hubbub.media.v1 import media_pb2 as nouns
from hubbub.media.v1 import media_service_pb2 as rpc
from media.config import Config
from media.malware import MalwareScanner
from media.objects import Objects, open_objects
from media.scan import ScanWorker
from media.service import MediaService
from stack.objects import REGION
from stack.objects import Objects as Store
from stack.postgres import Postgres

CHANNEL = "0190a0a0-0000-7000-8000-000000000000"


@dataclass
class Harness:
    """A media service and shorthands for its RPCs."""

    config: Config
    database: Database
    objects: Objects
    scan: ScanWorker
    service: MediaService
    tenant: str

    async def create(
        self, content: bytes, kind: str, *, name: str = "file", sha256: str = "", size: int = 0
    ) -> rpc.CreateUploadResponse:
        request = rpc.CreateUploadRequest(
            tenant=self.tenant,
            user="ann",
            channel=CHANNEL,
            name=name,
            size=size or len(content),
            type=kind,
            sha256=sha256,
        )
        return await self.service.CreateUpload(request, None)

    async def complete(self, upload: str, *, user: str = "ann", tenant: str = "") -> nouns.Upload:
        request = rpc.CompleteUploadRequest(tenant=tenant or self.tenant, user=user, upload=upload)
        return (await self.service.CompleteUpload(request, None)).upload

    async def get(self, upload: str) -> nouns.Upload:
        request = rpc.GetUploadRequest(tenant=self.tenant, upload=upload)
        return (await self.service.GetUpload(request, None)).upload

    async def link(
        self, upload: str, variant: nouns.LinkVariant.ValueType = nouns.LINK_VARIANT_UNSPECIFIED, tenant: str = ""
    ) -> str:
        request = rpc.GetLinkRequest(tenant=tenant or self.tenant, upload=upload, variant=variant)
        return (await self.service.GetLink(request, None)).url

    async def resolve(self, *uploads: str, user: str = "ann", channel: str = CHANNEL) -> list[nouns.Upload]:
        request = rpc.ResolveUploadsRequest(tenant=self.tenant, user=user, channel=channel, uploads=uploads)
        return list((await self.service.ResolveUploads(request, None)).uploads)

    async def scanned(self, content: bytes, kind: str, *, name: str = "file", sha256: str = "") -> nouns.Upload:
        """Announce, upload, complete and scan a file."""
        made = await self.create(content, kind, name=name, sha256=sha256)
        assert (await post(made.form, content)).is_success
        await self.complete(made.upload.id)
        assert await self.scan.scan_next()
        return await self.get(made.upload.id)


async def post(form: nouns.UploadForm, content: bytes, **changed: str) -> httpx.Response:
    """Upload like a browser: the fields, then the file."""
    async with httpx.AsyncClient() as client:
        return await client.request(form.method, form.url, data={**form.fields, **changed}, files={"file": ("x", content)})


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def refused(call: Awaitable[object], error: type[HubbubError]) -> None:
    """Await a call that must raise exactly this error."""
    with pytest.raises(error) as caught:
        await call
    assert type(caught.value) is error


def image(kind: str = "PNG", size: tuple[int, int] = (640, 320)) -> bytes:
    """Return an encoded image."""
    target = io.BytesIO()
    Image.new("RGB", size, "teal").save(target, kind)
    return target.getvalue()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def media_url(postgres_server: Postgres) -> str:
    """Return the URL of the database shared by the tests."""
    url = await postgres_server.create_database("test_media", owner="test")
    await migrate(url, migrations("media"))
    return url


@pytest.fixture(scope="session")
def config(media_url: str, object_store: Store) -> Config:
    return Config(
        database_url=Secret(media_url),
        listen=Address("127.0.0.1", 0),
        s3_endpoint=object_store.endpoint,
        s3_bucket=object_store.bucket,
        s3_region=REGION,
        s3_access_key=Secret(object_store.access_key),
        s3_secret_key=Secret(object_store.secret_key),
        max_bytes=1_000_000,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def objects(config: Config) -> AsyncIterator[Objects]:
    async with open_objects(config) as objects:
        yield objects


@pytest_asyncio.fixture(loop_scope="session")
async def harness(config: Config, objects: Objects) -> AsyncIterator[Harness]:
    async with open_database(config.database_url, connections=4, name="tests") as database:
        scan = ScanWorker(database, objects, MalwareScanner())
        service = MediaService(database, objects, scan, config.max_bytes)
        yield Harness(config, database, objects, scan, service, f"t-{uuid.uuid4().hex}")
        async with database.connection(EVERY_TENANT) as connection:
            await connection.execute("DELETE FROM uploads")
