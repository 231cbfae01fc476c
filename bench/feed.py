"""What the feed costs, and how fast it is: `python -m bench.feed [--events 1000000] [--live 400000]`.

A reader that is behind by all events of 1,000 channels catches up, while two users chat and their deliveries are timed, before it
and beside it. Then a reader takes live events, which this process puts on the bus as a worker does, at the pace at which the
reader takes them. Rows and events are written directly: posting them would cost more than the feed. This process plays the
product as well; its processor time is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench import processes
from bench.accounts import connected
from bench.people import TENANT, Issuer, People
from bench.systems.hubbub import Hubbub
from bus.connect import open_bus
from bus.topics import events as event_topic
from bus.topics import partition_of
from hubbub.events.v1.events_pb2 import Event, EventBatch, EventKind
from hubbub.messages.v1 import feed_service_pb2 as rpc
from hubbub.messages.v1.feed_service_pb2_grpc import FeedServiceStub

CHANNELS = 1_000
PARTITIONS = 8
_BATCH = 50
"""Events of one entry on the bus."""
_AHEAD = 10_000
"""Events that are on the bus and that the reader does not have."""
_ACKNOWLEDGE_SECONDS = 0.2
_CHAT_SECONDS = 0.05
_LEAST_COST = 0.1
"""Microseconds of an event below which a role is not shown."""
_QUIET_SECONDS = 15.0
_TEXT = "The quick brown fox jumps over the lazy dog, and this sentence has some hundred characters in all."
_FILL = """
SELECT set_config('hubbub.tenants', '{{{tenant}}}', false);
INSERT INTO channels (id, tenant, kind, name, history, head, posts, last_post)
SELECT ('0190a0a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '{tenant}', 'group', 'Room', 'all', {each}, {each}, {each}
FROM generate_series(1, {channels}) n;
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, message, text)
SELECT id, seq, seq, '{tenant}', 1, 'someone', now(), seq::text, gen_random_uuid(), '{text}'
FROM channels, generate_series(1, {each}) seq WHERE tenant = '{tenant}' AND head = {each};
ANALYZE
"""


def channel(number: int) -> str:
    """The id of a channel."""
    return f"0190a0a0-0000-7000-8000-{number:012}"


async def fill(url: str, events: int) -> str:
    """Write channels with so many events in all. Returns the store's epoch."""
    statements = _FILL.format(tenant=TENANT, channels=CHANNELS, each=events // CHANNELS, text=_TEXT)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements.split(";\n"):
            await connection.execute(statement.encode())
        found = await connection.execute("SELECT id || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM epoch")
        row = await found.fetchone()
    assert row is not None  # noqa: S101 (the table has one row)
    return str(row[0])


@dataclass
class Reading:
    """What a reader has received."""

    events: int = 0
    enough: asyncio.Condition = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.enough = asyncio.Condition()

    async def until(self, events: int) -> None:
        """Wait until it has so many events."""
        async with self.enough:
            await self.enough.wait_for(lambda: self.events >= events)


@contextlib.asynccontextmanager
async def reading(stub: FeedServiceStub, reader: str, start: rpc.ReaderStart.ValueType) -> AsyncIterator[Reading]:
    """Read inside the block, and acknowledge what was read five times a second."""
    found = Reading()

    async def read() -> None:
        acknowledged = time.monotonic()
        async for response in stub.StreamEvents(rpc.StreamEventsRequest(reader=reader, start=start)):
            async with found.enough:
                found.events += len(response.events)
                found.enough.notify_all()
            if response.cursor and time.monotonic() - acknowledged > _ACKNOWLEDGE_SECONDS:
                acknowledged = time.monotonic()
                await stub.AcknowledgeEvents(rpc.AcknowledgeEventsRequest(reader=reader, cursor=response.cursor), timeout=5)

    task = asyncio.create_task(read())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await stub.DeleteReader(rpc.DeleteReaderRequest(reader=reader), timeout=30)


@contextlib.asynccontextmanager
async def spending(system: Hubbub, spent: dict[str, float]) -> AsyncIterator[None]:
    """Note the seconds in the block, and the processor time of each role."""
    began, before = time.monotonic(), {role: processes.seconds(pids) for role, pids in system.watch().items()}
    yield
    spent["wall"] = time.monotonic() - began
    spent.update({role: processes.seconds(pids) - before.get(role, 0.0) for role, pids in system.watch().items()})


async def live(system: Hubbub, reader: Reading, epoch: str, head: int, events: int) -> None:
    """Put events on the bus, and wait until the reader has them."""
    payload = json.dumps({"type": "event", "seq": 1, "kind": "message.posted", "data": {"text": _TEXT, "key": "k" * 36}})
    async with open_bus(system.bus_url) as bus:
        for first in range(0, events, _BATCH):
            number, seq = first // _BATCH % CHANNELS + 1, head + 1 + first // _BATCH // CHANNELS * _BATCH
            made = [
                Event(
                    tenant=TENANT,
                    channel=channel(number),
                    seq=seq + n,
                    kind=EventKind.EVENT_KIND_MESSAGE_POSTED,
                    actor="someone",
                    at="2026-11-29T12:00:00.000Z",
                    payload=payload.encode(),
                    message=channel(number),
                    command="0123456789.1",
                )
                for n in range(_BATCH)
            ]
            topic = event_topic(partition_of(channel(number), PARTITIONS))
            await bus.publish([(topic, EventBatch(events=made, epoch=epoch).SerializeToString())])
            await reader.until(first - _AHEAD)
        await reader.until(events)


async def chat(target: str, tokens: list[str], room: str, times: list[float], stopping: asyncio.Event) -> None:
    """Send messages from one socket, and note the milliseconds until another one has each."""
    async with connected(target, tokens[0]) as writer, connected(target, tokens[1]) as listener:
        await listener.recv()
        await listener.send(json.dumps({"type": "sync", "positions": {}}))
        number = 0
        while not stopping.is_set():
            number += 1
            key, began = f"{id(times)}-{number}", time.perf_counter()
            await writer.send(json.dumps({"type": "send", "ref": number, "channel": room, "key": key, "text": "x"}))
            while json.loads(await listener.recv()).get("data", {}).get("key") != key:
                pass
            times.append((time.perf_counter() - began) * 1_000)
            await asyncio.sleep(_CHAT_SECONDS)


@contextlib.asynccontextmanager
async def chatting(system: Hubbub, issuer: Issuer, room: str, people: People) -> AsyncIterator[list[float]]:
    """Two users who chat inside the block; the times of their deliveries."""
    times: list[float] = []
    stopping = asyncio.Event()
    tokens = [issuer.token(people.user(number)) for number in range(2)]
    task = asyncio.create_task(chat(system.targets[0], tokens, room, times, stopping))
    try:
        yield times
    finally:
        stopping.set()
        await task


def show(what: str, events: int, spent: Mapping[str, float]) -> None:
    """Print the rate, and the processor time of an event by role."""
    roles = {role: 1e6 * seconds / events for role, seconds in spent.items() if role != "wall"}
    costs = ", ".join(f"{role} {cost:.1f}" for role, cost in sorted(roles.items()) if cost >= _LEAST_COST)
    per_core = 1e6 / roles["feed"]
    print(f"{what}: {events / spent['wall']:,.0f} events/s; {per_core:,.0f} per second of the feed's processor time; µs: {costs}")


def show_times(what: str, times: list[float]) -> None:
    """Print percentiles of deliveries."""
    cuts = statistics.quantiles(times, n=100)
    print(f"deliveries {what}: {len(times)}, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms")


async def measure(data: Path, events: int, live_events: int) -> None:
    """Print the figures."""
    issuer, people = Issuer(data), People("feed", 2, (2,))
    spent: dict[str, float] = {}
    async with Hubbub(data / "hubbub", issuer.jwks_file, search=False) as system, system.feed() as stub:
        await system.until_serving()
        ((room,),) = await system.provision(people)
        epoch = await fill(system.database_url, events)
        async with chatting(system, issuer, room, people) as times:
            await asyncio.sleep(_QUIET_SECONDS)
        show_times("before", times)
        async with (
            chatting(system, issuer, room, people) as times,
            spending(system, spent),
            reading(stub, "behind", rpc.READER_START_BEGINNING) as reader,
        ):
            await reader.until(events)
        show("catching up", events, spent)
        show_times("beside it", times)
        async with reading(stub, "live", rpc.READER_START_NOW) as reader:
            await asyncio.sleep(3)  # its topics are leased one after the other
            async with spending(system, spent):
                await live(system, reader, epoch, events // CHANNELS, live_events)
        show("live", live_events, spent)


def main() -> None:
    """Measure in a temporary folder."""
    parser = argparse.ArgumentParser(prog="python -m bench.feed")
    parser.add_argument("--events", type=int, default=1_000_000, help="by which a reader is behind")
    parser.add_argument("--live", type=int, default=400_000, help="live events")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubbub-feed-") as folder:
        data = Path(folder)
        data.chmod(0o711)  # PostgreSQL runs as another user
        asyncio.run(measure(data, arguments.events, arguments.live))


if __name__ == "__main__":
    main()
