"""What a read costs does not grow with the store: pages touched in a store and in one of five times its size.

The reads are those of `test_plans`, made by the service's role below row-level security, for a member of the largest channel, of
the one with the most members, and of one with history `joined`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from bench.volume.load import fill
from bench.volume.shape import Shape
from chassis.migrate import migrate, migrations
from services.messages.tests.conftest import service_url
from services.messages.tests.test_plans import PARAMETERS, READS
from stack.postgres import Postgres

SMALL = Shape(seed=3, messages=15_000, channels=200, tenants=4, users=1_000, largest=5_000, crowd=300, busiest=60)
LARGE = Shape(seed=3, messages=75_000, channels=1_000, tenants=20, users=5_000, largest=25_000, crowd=1_500, busiest=60)
"""The busiest user has as many channels in both, since a list of channels reads the state of each."""
GROWTH, MARGIN = 1.5, 60
"""A page of 20 messages touches some 160 pages of indexes and tables; a larger index may be one level deeper."""
UNBOUNDED = {"search.CHANNELS", "search.CURRENT", "search.FOUND", "search.IS_BEHIND"}
"""Of the index of search, which the store does not have."""
_CHANNELS = {
    "largest": "SELECT id::text FROM channels WHERE tenant = 'tenant-0' ORDER BY posts DESC LIMIT 1",
    "crowd": "SELECT channel::text FROM members WHERE tenant = 'tenant-0' GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    "joined": "SELECT id::text FROM channels WHERE tenant = 'tenant-0' AND history = 'joined' ORDER BY posts DESC LIMIT 1",
}
_OF_CHANNEL = """
SELECT (
    SELECT thread::text FROM entries WHERE channel = %(channel)s AND thread IS NOT NULL
    GROUP BY 1 ORDER BY count(*) DESC LIMIT 1),
  (SELECT message::text FROM entries WHERE channel = %(channel)s AND kind = 1 ORDER BY seq DESC LIMIT 1),
  (SELECT upload FROM carried WHERE channel = %(channel)s LIMIT 1), (SELECT head - 60 FROM channels WHERE id = %(channel)s)
"""


class Store:
    """A store, and the parameters of reads in each of its channels."""

    def __init__(self, url: str, cases: dict[str, dict[str, Any]]) -> None:
        self.url, self.cases = url, cases

    async def buffers(self, statement: str, case: str) -> int:
        async with await psycopg.AsyncConnection.connect(
            self.url, options="-c hubbub.tenants={tenant-0} -c jit=off"
        ) as connection:
            explained = psycopg.AsyncClientCursor(connection)
            await explained.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode(), self.cases[case])
            row: Any = await explained.fetchone()
        plan = (json.loads(row[0]) if isinstance(row[0], str) else row[0])[0]["Plan"]
        return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def _store(server: Postgres, name: str, shape: Shape) -> Store:
    url = await server.create_database(name, owner="test")
    await migrate(url, migrations("messages"))
    await asyncio.to_thread(fill, url, shape)
    cases = {}
    async with await psycopg.AsyncConnection.connect(url, options="-c hubbub.tenants={*}") as connection:
        for case, query in _CHANNELS.items():
            found: Any = await (await connection.execute(query.encode())).fetchone()
            of_channel: Any = await (await connection.execute(_OF_CHANNEL, {"channel": found[0]})).fetchone()
            floor = of_channel[3] if case == "joined" else 0
            cases[case] = {**_parameters(found[0], *of_channel), "floor": floor}
    return Store(await service_url(server, url), cases)


def _parameters(channel: str, thread: str, message: str, upload: str, middle: int) -> dict[str, Any]:
    who = {"tenant": "tenant-0", "tenants": ["tenant-0"], "user": "u0", "id": "u0", "ids": ["u0"], "users": ["u0", "u1"]}
    where = {"channel": channel, "channels": [channel], "thread": thread, "message": message, "upload": upload}
    return {
        **PARAMETERS,
        **who,
        **where,
        "seq": middle,
        "afters": [middle],
        "throughs": [middle + 50],
        "limit": 20,
        "beginning": "u1",
        "older": "ffffffff-ffff-ffff-ffff-ffffffffffff",
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stores(postgres_server: Postgres) -> AsyncIterator[tuple[Store, Store]]:
    names = ("test_volume_small", "test_volume_large")
    yield await _store(postgres_server, names[0], SMALL), await _store(postgres_server, names[1], LARGE)
    for name in names:
        await postgres_server.drop_database(name)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("case", _CHANNELS)
@pytest.mark.parametrize("read", sorted(READS.keys() - UNBOUNDED))
async def test_a_read_touches_no_more_pages_in_a_larger_store(stores: tuple[Store, Store], read: str, case: str) -> None:
    small, large = [await store.buffers(READS[read], case) for store in stores]
    assert large <= small * GROWTH + MARGIN, (small, large)
