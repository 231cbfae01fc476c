"""A process that cannot do its work does not hold it, and an outage of one store costs only what needs that store."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import redis.asyncio

from stack import ports
from tests.client import connect
from tests.faults.blackhole import Blackhole
from tests.faults.memory import stopped
from tests.flow.world import World, eventually, insist, live

ROOMS = 32


async def _readyz(world: World, name: str) -> tuple[int, str]:
    """The answer of a process of the stack to /readyz."""
    ops: Any = world.stack.endpoints["ops"]
    gateways = {f"gateway-{number}": url.removeprefix("http://") for number, url in enumerate(world.urls)}
    answer = await world.http.get(f"http://{({**gateways, **ops})[name]}/readyz")
    return answer.status_code, answer.text


@contextlib.asynccontextmanager
async def _worker(world: World, change: Callable[[str], str]) -> AsyncIterator[str]:
    """Run one more worker, with another database URL; yield the address of its /readyz."""
    ops = f"127.0.0.1:{ports.free()[0]}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")} | {
        "HUBBUB_MESSAGES_DATABASE_URL": change(str(world.stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"])),
        "HUBBUB_BUS_URL": str(world.stack.endpoints["HUBBUB_BUS_URL"]),
        "HUBBUB_INSTANCE": "odd",
        "HUBBUB_OPS_LISTEN": ops,
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "messages", "worker", env=environment)
    try:
        yield f"http://{ops}/readyz"
    finally:
        process.terminate()
        await process.wait()


async def _until_named(world: World, url: str, dependency: str) -> str:
    """The body of /readyz once the process is not ready because of this dependency."""

    async def look() -> str:
        with contextlib.suppress(httpx.TransportError):
            answer = await world.http.get(url)
            return answer.text if answer.status_code == 503 and f"\n{dependency}: " in answer.text else ""
        return ""

    return str(await eventually(look, within=30))


async def _holders(world: World) -> set[str]:
    async with redis.asyncio.from_url(str(world.stack.endpoints["HUBBUB_BUS_URL"]), decode_responses=True) as bus:
        keys = [f"bus:lease:messages:commands.{number}" for number in range(8)]
        return {str(holder or "").rpartition(":")[0] for holder in await bus.mget(keys)}


async def _post_everywhere(world: World) -> list[dict[str, Any]]:
    """Post once in each of many channels, without repeating; returns the answers."""
    (ann,) = await world.people("ann")
    rooms = [await world.room(ann) for _ in range(ROOMS)]
    async with connect(ann) as socket:
        return [await socket.post(room, f"key-{room}", "hello") for room in rooms]


def _with_wrong_password(url: str) -> str:
    parts = urlsplit(url)
    return url.replace(f":{parts.password}@", ":wrong@")


async def test_a_worker_with_a_wrong_password_takes_no_channel_from_the_healthy_ones(open_world: World) -> None:
    async with _worker(open_world, _with_wrong_password) as url:
        assert await _until_named(open_world, url, "database") == "not ready\ndatabase: it refuses the user or the password\n"
        assert {answer["type"] for answer in await _post_everywhere(open_world)} == {"ack"}
        assert await _holders(open_world) == {"messages-worker-0", "messages-worker-1"}


async def test_a_worker_on_a_database_with_another_schema_takes_no_channel(open_world: World) -> None:
    other = str(open_world.stack.endpoints["HUBBUB_MEDIA_DATABASE_URL"])  # it has migrations, but not these
    async with _worker(open_world, lambda _url: other) as url:
        assert "database: its schema is at 0002_roles.sql" in await _until_named(open_world, url, "database")
        assert {answer["type"] for answer in await _post_everywhere(open_world)} == {"ack"}
        assert "odd" not in await _holders(open_world)


async def test_a_worker_that_loses_its_database_gives_its_channels_up_and_takes_them_again(open_world: World) -> None:
    server = urlsplit(str(open_world.stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"]))
    assert server.hostname
    assert server.port
    async with Blackhole(server.hostname, server.port).listening() as hole:
        port = urlsplit(hole.url).port

        async def odd_holds() -> bool:
            return "odd" in await _holders(open_world)

        async def others_hold() -> bool:
            return await _holders(open_world) == {"messages-worker-0", "messages-worker-1"}

        async with _worker(open_world, lambda url: url.replace(f":{server.port}/", f":{port}/")) as url:
            await eventually(odd_holds, within=30)
            hole.open.clear()
            await eventually(others_hold, within=30)
            assert {answer["type"] for answer in await _post_everywhere(open_world)} == {"ack"}
            assert "database: it does not answer" in await _until_named(open_world, url, "database")
            hole.open.set()
            await eventually(odd_holds, within=30)
            assert {answer["type"] for answer in await _post_everywhere(open_world)} == {"ack"}


@pytest.fixture
async def bus(open_world: World) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.from_url(str(open_world.stack.endpoints["HUBBUB_BUS_URL"])) as client:
        yield client


async def test_a_bus_without_memory_is_named_and_no_worker_is_ready_until_it_has_some(
    open_world: World, bus: redis.asyncio.Redis
) -> None:
    ann, bob = await open_world.people("ann", "bob")
    room = await open_world.room(ann, bob)
    async with live(ann) as socket:
        await insist(socket, room, "before")
        memory = (await bus.config_get("maxmemory"))["maxmemory"] or 0
        await bus.config_set("maxmemory", 1)
        try:
            for name in ("messages-worker-0", "messages-worker-1", "presence"):

                async def unready(name: str = name) -> str:
                    status, body = await _readyz(open_world, name)
                    return body if status == 503 else ""

                assert "memory" in await eventually(unready, within=30)
            for gateway in range(2):

                async def named(gateway: int = gateway) -> bool:
                    return (await _readyz(open_world, f"gateway-{gateway}"))[1].startswith("ok\nbus: ")

                await eventually(named, within=30)
            assert (await ann.call("GET", f"/v1/channels/{room}/messages")).status == 200
        finally:
            await bus.config_set("maxmemory", memory)
        await insist(socket, room, "after")
    assert [entry["data"].get("text") for entry in await ann.log(room)][-2:] == ["before", "after"]


async def test_an_outage_of_the_bus_leaves_history_and_pongs(open_world: World) -> None:
    ann, bob = await open_world.people("ann", "bob")
    room = await open_world.room(ann, bob)
    async with live(ann) as socket:
        seq = await insist(socket, room, "before")
        with stopped(open_world.stack.pids["valkey"]):

            async def named() -> bool:
                return "bus: " in (await _readyz(open_world, "gateway-0"))[1]

            await eventually(named, within=30)
            for name in ("gateway-0", "gateway-1", "messages-api", "media"):
                assert (await _readyz(open_world, name))[0] == 200
            for _ in range(3):
                await socket.round_trip()
            assert (await bob.messages(room))[0]["text"] == "before"
            assert await bob.channels()
            # The same text as below: the bus may yet carry what it was sent just before the lease ended.
            refused = await socket.post(room, "a key", "after")
            assert (refused["type"], refused["reason"]) == ("error", "UNAVAILABLE")
        assert await insist(socket, room, "after", "a key") > seq


async def test_a_locked_table_and_a_busy_api_make_no_gateway_unready(open_world: World) -> None:
    """As during a migration: what reads the table waits or is refused, and nothing else notices."""
    ann, bob = await open_world.people("ann", "bob")
    await open_world.room(ann, bob)
    database = str(open_world.stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"])
    async with await psycopg.AsyncConnection.connect(database) as locker:
        await locker.execute("LOCK TABLE channels IN ACCESS EXCLUSIVE MODE")
        calls = [asyncio.create_task(bob.call("GET", "/v1/channels")) for _ in range(30)]
        seen: set[int] = set()
        while not all(call.done() for call in calls):
            seen |= {(await _readyz(open_world, name))[0] for name in ("gateway-0", "gateway-1", "messages-api")}
        await locker.rollback()
    assert seen == {200}
    assert {(await call).status for call in calls} <= {200, 429, 503}
