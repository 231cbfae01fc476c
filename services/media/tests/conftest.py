"""A media service with a real database and a real object store, and a client that uploads as browsers do."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import LiteralString

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
from media.sweep import Sweep
from stack.objects import REGION
from stack.objects import Objects as Store
from stack.postgres import EVERY_TENANT as SWEEPERS
from stack.postgres import SERVICE, Postgres

CHANNEL = "0190a0a0-0000-7000-8000-000000000000"


@dataclass
class Harness:
    """One media service, and shorthands for its RPCs."""

    config: Config
    database: Database
    owner: Database
    """The database as its owner sees it, for what the service may not do."""
    objects: Objects
    scan: ScanWorker
    service: MediaService
    tenant: str

    async def create(
        self, content: bytes, kind: str, *, name: str = "file", sha256: str = "", size: int = 0, user: str = "ann"
    ) -> rpc.CreateUploadResponse:
        request = rpc.CreateUploadRequest(
            tenant=self.tenant,
            user=user,
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
        self,
        upload: str,
        variant: nouns.LinkVariant.ValueType = nouns.LINK_VARIANT_UNSPECIFIED,
        tenant: str = "",
        user: str = "ann",
    ) -> str:
        request = rpc.GetLinkRequest(tenant=tenant or self.tenant, upload=upload, variant=variant, user=user)
        return (await self.service.GetLink(request, None)).url

    async def resolve(self, *uploads: str, user: str = "ann", channel: str = CHANNEL) -> list[nouns.Upload]:
        request = rpc.ResolveUploadsRequest(tenant=self.tenant, user=user, channel=channel, uploads=uploads)
        return list((await self.service.ResolveUploads(request, None)).uploads)

    async def examined(self, content: bytes, kind: str, *, name: str = "file", sha256: str = "") -> nouns.Upload:
        """Announce, upload and complete a file, and have it examined."""
        upload = await self.completed(content, kind, name=name, sha256=sha256)
        assert await self.scan.examine_next()
        return await self.get(upload)

    async def completed(self, content: bytes, kind: str, **more: str) -> str:
        """Announce, upload and complete a file; returns the upload's id."""
        made = await self.create(content, kind, **more)  # type: ignore[arg-type]
        assert (await post(made.form, content)).is_success
        await self.complete(made.upload.id, user=more.get("user", "ann"))
        return made.upload.id

    async def execute(self, statement: LiteralString, *parameters: object) -> None:
        async with self.owner.connection(EVERY_TENANT) as connection:
            await connection.execute(statement, parameters)


async def post(form: nouns.UploadForm, content: bytes, **changed: str) -> httpx.Response:
    """Upload as a browser does: the fields, then the file."""
    async with httpx.AsyncClient() as client:
        return await client.request(form.method, form.url, data={**form.fields, **changed}, files={"file": ("x", content)})


async def get(url: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(url)


async def refused(call: Awaitable[object], error: type[HubbubError]) -> None:
    """Await a call that must be refused with exactly this error."""
    with pytest.raises(error) as caught:
        await call
    assert type(caught.value) is error


@asynccontextmanager
async def clamd(answer: Callable[[bytes], Awaitable[bytes | None]]) -> AsyncIterator[str]:
    """Speak clamd's protocol: INSTREAM, chunks with their length, an empty one, a reply or a hang-up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(10) == b"zINSTREAM\0"
        content = b""
        while size := int.from_bytes(await reader.readexactly(4)):
            content += await reader.readexactly(size)
        reply = await answer(content)
        if reply is not None:
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def image(kind: str = "PNG", size: tuple[int, int] = (640, 320)) -> bytes:
    """A picture."""
    return encoded(Image.new("RGB", size, "teal"), kind)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **options)
    return target.getvalue()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def media_url(postgres_server: Postgres) -> str:
    """Return the URL of the database that tests share."""
    url = await postgres_server.create_database("test_media", owner="test")
    await migrate(url, migrations("media"))
    return url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def media_service_url(postgres_server: Postgres, media_url: str) -> str:
    """Return the URL of the service's role."""
    return await postgres_server.ensure_login(media_url.rpartition("/")[2], "media_service", SERVICE)


@pytest.fixture(scope="session")
def config(media_service_url: str, object_store: Store) -> Config:
    return Config(
        database_url=Secret(media_service_url),
        listen=Address("127.0.0.1", 0),
        s3_endpoint=object_store.endpoint,
        s3_bucket=object_store.bucket,
        s3_region=REGION,
        s3_access_key=Secret(object_store.access_key),
        s3_secret_key=Secret(object_store.secret_key),
        max_bytes=4_000_000,
        user_open=1_000,
        user_per_minute=1_000,
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def objects(config: Config) -> AsyncIterator[Objects]:
    async with open_objects(config) as objects:
        yield objects


@pytest_asyncio.fixture(loop_scope="session")
async def harness(config: Config, objects: Objects, media_url: str, postgres_server: Postgres) -> AsyncIterator[Harness]:
    name = media_url.rpartition("/")[2]
    sweeper_url = await postgres_server.ensure_login(name, "media_sweeper", SWEEPERS)
    async with (
        open_database(config.database_url, sweeper_url=sweeper_url, connections=4, name="tests", production=True) as database,
        open_database(media_url, connections=1, name="tests") as owner,
    ):
        scan = ScanWorker(database, objects, MalwareScanner())
        service = MediaService(database, objects, scan, config.max_bytes, config.quota)
        harness = Harness(config, database, owner, objects, scan, service, f"t-{uuid.uuid4().hex}")
        yield harness
        await harness.execute("DELETE FROM uploads")
        await Sweep(database, objects).once()
