"""The embedded servers behave like production servers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
import redis.asyncio
from aiobotocore.session import get_session
from types_aiobotocore_s3 import S3Client

from stack import probes
from stack.objects import REGION, Objects, objects
from stack.postgres import Postgres


async def test_a_database_is_new_and_owned_by_its_role(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("CREATE TABLE message (id uuid PRIMARY KEY DEFAULT uuidv7())")
        await connection.execute("CREATE EXTENSION pg_trgm")
        row = await (await connection.execute("SELECT current_setting('fsync')")).fetchone()
    assert row == ("on",)


async def test_a_wrong_password_is_refused(postgres_server: Postgres) -> None:
    url = f"postgresql://postgres:wrong@127.0.0.1:{postgres_server.port}/postgres"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(url)


async def test_a_role_cannot_connect_to_another_services_database(postgres_server: Postgres) -> None:
    await postgres_server.ensure_database("messages")
    await postgres_server.ensure_database("media")
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        await psycopg.AsyncConnection.connect(postgres_server.url("messages", "media"))


async def test_ensuring_a_database_twice_keeps_its_rows(postgres_server: Postgres) -> None:
    first = await postgres_server.ensure_database("kept")
    async with await psycopg.AsyncConnection.connect(first) as connection:
        await connection.execute("CREATE TABLE mark (n int)")
    again = await postgres_server.ensure_database("kept")
    async with await psycopg.AsyncConnection.connect(again) as connection:
        await connection.execute("SELECT n FROM mark")


async def test_valkey_requires_a_password_and_never_evicts(valkey_url: str) -> None:
    async with redis.asyncio.from_url(valkey_url) as client:
        assert await client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert await client.config_get("appendonly") == {"appendonly": "yes"}
    anonymous = valkey_url.replace(valkey_url[8 : valkey_url.index("@") + 1], "")
    async with redis.asyncio.from_url(anonymous) as client:
        with pytest.raises(redis.AuthenticationError):
            await client.ping()


async def test_objects_require_a_signature(object_store: Objects) -> None:
    host, port = object_store.endpoint.removeprefix("http://").split(":")
    assert not await probes.http_ok(host, int(port), f"/{object_store.bucket}/anything")


async def test_objects_survive_a_restart_on_other_ports(tmp_path: Path) -> None:
    async with objects(tmp_path) as server, s3(server) as client:
        await client.put_object(Bucket=server.bucket, Key="one", Body=b"kept")
        first = server.endpoint
    async with objects(tmp_path) as server, s3(server) as client:
        found = await client.get_object(Bucket=server.bucket, Key="one")
        assert await found["Body"].read() == b"kept"
        await client.put_object(Bucket=server.bucket, Key="two", Body=b"also")
        assert server.endpoint != first


@asynccontextmanager
async def s3(server: Objects) -> AsyncIterator[S3Client]:
    async with get_session().create_client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    ) as client:
        yield client
