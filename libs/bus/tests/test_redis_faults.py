"""The Redis bus when the server, a connection or a member fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from bus import redis_keys
from bus.bus import Bus, BusUnavailable, Current, Delivery, Lost, ReadItem, Work
from bus.redis_streams import RedisBus
from bus.topics import commands, events, revocations

if TYPE_CHECKING:
    from libs.bus.tests.conftest import Server

Feed = AsyncIterator[Delivery | Lost]
Open = Callable[[], RedisBus]


async def _until(feed: Feed, payload: bytes) -> list[bytes | str]:
    """Return the payloads and the reasons of `Lost` up to a payload."""
    seen: list[bytes | str] = []
    async with asyncio.timeout(15):
        while payload not in seen:
            match await anext(feed):
                case Delivery(_, entries):
                    seen += [entry.payload for entry in entries]
                case Lost(_, reason):
                    seen.append(reason)
    return seen


async def _lost(feed: Feed) -> dict[str, str]:
    """Return the topics and the reason of the next item, which must be `Lost`."""
    async with asyncio.timeout(15):
        item = await anext(feed)
    assert isinstance(item, Lost)
    return dict.fromkeys(item.topics, item.reason)


async def _next(work: Work) -> list[bytes]:
    async with asyncio.timeout(15):
        return [entry.payload for entry in (await anext(aiter(work))).entries]


async def _publish(bus: Bus, payload: bytes) -> None:
    """Publish, retrying until the bus is back."""
    async with asyncio.timeout(15):
        while True:
            with contextlib.suppress(BusUnavailable):
                await bus.publish([(events(0), payload)])
                return
            await asyncio.sleep(0)


async def test_a_cut_connection_loses_nothing_and_reports_nothing(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    async with bus_of().follow([events(0), revocations()]) as feed:
        seen: list[bytes | str] = []
        for number in range(20):
            if number % 5 == 2:
                await admin.client_kill_filter(_type="normal", skipme=True)
            await _publish(bus_of(), b"%d" % number)
            if number % 7 == 3:
                seen += await _until(feed, b"%d" % number)
        seen += await _until(feed, b"19")
    assert seen == [b"%d" % number for number in range(20)]


async def test_a_restart_without_data_is_reported_and_following_goes_on(bus_of: Open, server: Server) -> None:
    bus = bus_of()
    async with bus.follow([events(0), revocations()]) as feed:
        await _publish(bus, b"1")
        await _until(feed, b"1")
        await server.kill(forget=True)
        await server.start()
        assert set(await _lost(feed)) == {"events.0", "revocations"}
        await _publish(bus, b"2")
        assert await _until(feed, b"2") == [b"2"]


async def test_a_restart_with_data_is_reported_and_nothing_is_delivered_twice(bus_of: Open, server: Server) -> None:
    bus = bus_of()
    async with bus.follow([events(0), revocations()]) as feed:
        await _publish(bus, b"1")
        await _until(feed, b"1")
        await server.kill()
        await server.start()
        await _publish(bus, b"2")
        seen = await _until(feed, b"2")
        assert seen.count(b"2") == 1
        assert b"1" not in seen
        assert "disconnected" in seen


async def test_a_wipe_is_detected_after_the_clock_went_back(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    async with bus_of().follow([events(0)]) as feed:
        await admin.xadd(redis_keys.stream(events(0).name), {"p": b"from the future"}, id="9999999999999-1")
        await _until(feed, b"from the future")
        await admin.flushall()
        await _publish(bus_of(), b"now")
        assert await _until(feed, b"now") == ["wiped", b"now"]
        await _publish(bus_of(), b"later")
        assert await _until(feed, b"later") == [b"later"]


async def test_a_wipe_before_the_first_entry_is_reported(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    async with bus_of().follow([events(0)]) as feed:
        await _publish(bus_of(), b"unseen")
        await admin.flushall()
        assert "events.0" in await _lost(feed)


async def test_only_a_deleted_stream_is_reported(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    bus = bus_of()
    async with bus.follow([events(0), revocations()]) as feed:
        await bus.publish([(events(0), b"1"), (revocations(), b"1")])
        await _until(feed, b"1")
        await admin.delete(redis_keys.stream(events(0).name))
        losses = [item async for item in _items_until_lost(feed)]
        assert losses == [Lost(("events.0",), "wiped")]


async def _items_until_lost(feed: Feed) -> AsyncIterator[Lost]:
    async with asyncio.timeout(15):
        async for item in feed:
            if isinstance(item, Lost):
                yield item
                return


async def test_every_gap_from_wipes_under_traffic_is_followed_by_lost(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    bus = bus_of()
    numbers: list[int] = []
    unreported = False
    async with bus.follow([events(0)]) as feed, asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(_traffic(bus, admin))
        while unreported or not numbers or numbers[-1] != 1_000:
            match await anext(feed):
                case Delivery(_, entries):
                    for entry in entries:
                        unreported |= int(entry.payload) != (numbers[-1] + 1 if numbers else 0)
                        numbers.append(int(entry.payload))
                case Lost():
                    unreported = False
    assert numbers == sorted(set(numbers))


async def _traffic(bus: Bus, admin: redis.asyncio.Redis) -> None:
    for number in range(1_001):
        await bus.publish([(events(0), b"%d" % number)])
        if number % 300 == 299:
            await admin.flushall()


async def test_a_paused_server_raises_unavailable_within_the_deadline_and_works_afterwards(bus_of: Open, server: Server) -> None:
    bus = bus_of()
    await bus.ping()
    server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(BusUnavailable):
            async with asyncio.timeout(4):
                await bus.publish([(events(0), b"1")])
    finally:
        server.signal(signal.SIGCONT)
    await _publish(bus, b"2")


async def test_flushed_scripts_are_loaded_again(bus_of: Open, admin: redis.asyncio.Redis) -> None:
    bus = bus_of()
    await bus.publish([(commands(0), b"1")])
    await admin.script_flush()
    with pytest.raises(BusUnavailable):
        await bus.publish([(commands(0), b"2")])
    await bus.publish([(commands(0), b"3")])
    assert await admin.xlen(redis_keys.stream(commands(0).name)) == 2


async def test_following_without_a_server_raises_unavailable(bus_of: Open, server: Server) -> None:
    await server.kill()
    with pytest.raises(BusUnavailable):
        async with bus_of().follow([events(0)]):
            pass


async def test_a_member_starts_before_its_server(bus_of: Open, server: Server) -> None:
    await server.kill()
    bus = bus_of()
    async with bus.work([commands(0)], "group", "one") as work:
        waiting = asyncio.ensure_future(_next(work))
        await server.start()
        async with asyncio.timeout(15):
            while not waiting.done():
                with contextlib.suppress(BusUnavailable):
                    await bus.publish([(commands(0), b"1")])
                await asyncio.wait([waiting], timeout=0.1)
        assert (await waiting)[0] == b"1"


async def test_entries_unacknowledged_when_the_server_was_killed_are_redelivered(bus_of: Open, server: Server) -> None:
    bus = bus_of()
    await bus.publish([(commands(0), b"1"), (commands(0), b"2")])
    async with bus.work([commands(0)], "group", "one", count=1) as work:
        async with asyncio.timeout(15):
            delivery = await anext(aiter(work))
        await server.kill()
        with pytest.raises(BusUnavailable):
            await work.complete([delivery])
        await work.release(delivery)
        await server.start()
        assert await _next(work) == [b"1"]


@contextlib.asynccontextmanager
async def _child(url: str, lease_seconds: float = 1.0) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a member in its own process."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("paused_member.py")),
        url,
        str(lease_seconds),
        commands(0).name,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def _line(child: asyncio.subprocess.Process) -> list[str]:
    assert child.stdout is not None
    async with asyncio.timeout(15):
        return list(json.loads(await child.stdout.readline()))


def _acknowledge(child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None
    child.stdin.write(b"\n")


async def test_the_successor_of_a_killed_member_starts_with_its_unacknowledged_entries(bus_of: Open, server: Server) -> None:
    bus = bus_of()
    await bus.publish([(commands(0), b"1"), (commands(0), b"2")])
    async with _child(server.url) as child:
        assert await _line(child) == ["1"]
        async with bus.work([commands(0)], "group", "successor") as work:
            child.kill()
            assert await _next(work) == [b"1", b"2"]


async def test_a_restarted_consumer_does_not_wait_for_its_own_lease(server: Server) -> None:
    bus = RedisBus(server.url, lease_seconds=600)
    await bus.publish([(commands(0), b"1"), (commands(0), b"2")])
    async with _child(server.url, lease_seconds=600) as child:
        assert await _line(child) == ["1"]
        child.kill()
        async with bus.work([commands(0)], "group", "child") as work:
            assert await _next(work) == [b"1", b"2"]


async def test_a_paused_member_that_wakes_beside_its_successor_delivers_nothing(bus_of: Open, server: Server) -> None:
    bus = bus_of()
    await bus.publish([(commands(0), b"1"), (commands(0), b"2"), (commands(0), b"3")])
    async with _child(server.url) as child:
        assert await _line(child) == ["1"]
        child.send_signal(signal.SIGSTOP)
        async with bus.work([commands(0)], "group", "successor", count=2) as work:
            async with asyncio.timeout(15):
                delivery = await anext(aiter(work))
            assert [entry.payload for entry in delivery.entries] == [b"1", b"2"]
            child.send_signal(signal.SIGCONT)
            _acknowledge(child)  # the child acknowledges 1, which is harmless, and must not deliver 2
            await bus.publish([(commands(0), b"4")])
            await work.complete([delivery])
            assert await _next(work) == [b"3", b"4"]
        assert await _line(child) == ["3"]  # it gets the topic back once the successor has left


@pytest.mark.parametrize("forget", [False, True])
async def test_a_reader_that_was_away_while_the_server_restarted_receives_lost(
    server: Server, bus_of: Open, forget: bool
) -> None:
    cursors: dict[str, str] = {}

    async def load(topics: Sequence[str]) -> dict[str, str]:
        return {topic: cursors[topic] for topic in topics if topic in cursors}

    async def first_items() -> list[ReadItem]:
        """What a new instance receives, until it has everything. It stores the cursor."""
        seen: list[ReadItem] = []
        async with asyncio.timeout(20), bus_of().read([events(0)], "reader", "one", load) as feed:
            async for item in feed:
                seen.append(item)
                if isinstance(item, Current):
                    cursors[item.topic] = item.cursor
                    break
        return seen

    await bus_of().publish([(events(0), b"1")])
    assert Lost(("events.0",), "new") in await first_items()
    assert not any(isinstance(item, Lost) for item in await first_items())
    await server.kill(forget=forget)
    await server.start()
    assert Lost(("events.0",), "wiped" if forget else "disconnected") in await first_items()
    assert not any(isinstance(item, Lost) for item in await first_items())
