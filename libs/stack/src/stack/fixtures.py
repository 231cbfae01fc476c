"""Pytest fixtures for real servers, loaded for every test by the root pyproject.toml.

    postgres_server   session   a `Postgres`: `await postgres_server.create_database(name, owner, template=…)` → URL
    database          test      URL (str) of a new, empty database owned by its role; dropped afterwards
    valkey_server     session   a `Valkey`: `valkey_server.url(database)`
    valkey_url        test      URL (str) of database 0 of `valkey_server`, emptied before the test
    object_store      session   an `Objects`: `.endpoint .access_key .secret_key .bucket`, region `objects.REGION`

A test that kills or restarts a server starts its own: `async with valkey(tmp_path) as server` (see `postgres`, `valkey` and
`objects` in the modules of the same names). To migrate once per session and copy per test, pass the name of the migrated
database as `template`. `stack.Stack` runs the whole product.
"""

import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import redis.asyncio

from stack.objects import Objects, objects
from stack.postgres import Postgres, postgres
from stack.valkey import Valkey, valkey


@pytest.fixture(scope="session")
def server_data() -> Iterator[Path]:
    """Return a folder for the session's servers. Unlike pytest's folders, PostgreSQL's user can traverse it."""
    folder = Path(tempfile.mkdtemp(prefix="hubbub-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(server_data: Path) -> AsyncIterator[Postgres]:
    """Return the session's PostgreSQL."""
    async with postgres(server_data) as server:
        yield server


@pytest_asyncio.fixture
async def database(postgres_server: Postgres) -> AsyncIterator[str]:
    """Return the URL of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    yield await postgres_server.create_database(name, owner="test")
    await postgres_server.drop_database(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey_server(server_data: Path) -> AsyncIterator[Valkey]:
    """Return the session's Valkey."""
    async with valkey(server_data) as server:
        yield server


@pytest_asyncio.fixture
async def valkey_url(valkey_server: Valkey) -> str:
    """Return the URL of an empty database of the session's Valkey."""
    url = valkey_server.url(0)
    async with redis.asyncio.from_url(url) as client:
        await client.flushall()
    return url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def object_store(server_data: Path) -> AsyncIterator[Objects]:
    """Return the session's object store, with its bucket."""
    async with objects(server_data) as server:
        yield server
