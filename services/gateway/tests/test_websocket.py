"""What an open socket receives, and what ends it.

RFC 6455 is tested in tests/security/test_rfc6455.py, limits in tests/flow/test_limits.py.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bus.topics import events, revocations
from gateway.model import NO_FILE
from hubbub.events.v1.events_pb2 import EventKind
from hubbub.presence.v1.presence_service_pb2 import ConnectionChange
from services.gateway.tests.house import PARTITIONS, House, open_house

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
JOINED = EventKind.EVENT_KIND_MEMBER_JOINED
CHANNEL = "01900000-0000-7000-8000-000000000000"


async def receive(connection: ClientConnection, *types: str) -> Any:
    """The next frame, or the next of some types."""
    async with asyncio.timeout(5):
        while True:
            frame = json.loads(await connection.recv())
            if not types or frame["type"] in types:
                return frame


async def close_code(connection: ClientConnection) -> int | None:
    async with asyncio.timeout(5):
        while True:
            try:
                await connection.recv()
            except ConnectionClosed:
                return connection.close_code


async def say(connection: ClientConnection, **frame: Any) -> None:
    await connection.send(json.dumps(frame))


@asynccontextmanager
async def slow_reader(house: House) -> AsyncIterator[ClientConnection]:
    """A member's socket with an open flow, at a client with small receive buffers."""
    house.store.append(CHANNEL, JOINED, "ann")
    async with house.connect("ann", max_queue=1) as ann:
        await receive(ann)
        await say(ann, type="sync", positions={})
        await receive(ann, "synced")
        yield ann


async def publish(house: House, number: int, data: str) -> None:
    """Publish an event with the given payload."""
    event = house.store.append(CHANNEL)
    event.payload = json.dumps({"type": "event", "seq": event.seq, "number": number, "data": data}).encode()
    await house.store.publish(house.bus, event)
    await asyncio.sleep(0)


async def test_a_post_is_acknowledged_and_delivered(house: House) -> None:
    house.store.append(CHANNEL, JOINED, "ann")
    async with house.connect("ann") as ann:
        assert (await receive(ann))["channels"][0]["seq"] == 1
        await say(ann, type="sync", ref=1, positions={})
        assert await receive(ann) == {"type": "synced", "ref": 1, "channels": {}}
        await say(ann, type="send", ref={"n": 1}, channel=CHANNEL, key="k", text="hello")
        ack = await receive(ann, "ack")
        assert (ack["seq"], ack["ref"]) == (2, {"n": 1})
        assert (await receive(ann, "event"))["seq"] == 2


async def test_a_socket_with_a_revoked_token_closes_with_4501_and_a_newer_token_stays(house: House) -> None:
    async with (
        house.connect("ann", additional_headers=house.bearer("ann", iat=time.time() - 100)) as older,
        house.connect("ann") as newer,
    ):
        await receive(older)
        await receive(newer)
        await house.decide("ann", revoked_before=time.time() - 50)
        assert await close_code(older) == 4501
        await say(newer, type="ping")
        assert (await receive(newer))["type"] == "pong"
        await house.decide("ann", blocked=True)
        assert await close_code(newer) == 4501


async def test_a_revocation_that_the_bus_lost_is_found(house: House) -> None:
    async with house.connect("ann") as ann:
        await receive(ann)
        house.store.void.add("ann")
        await house.wipe()
        assert await close_code(ann) == 4501


async def test_events_and_memberships_that_the_bus_lost_are_found(house: House) -> None:
    house.store.append(CHANNEL, JOINED, "ann")
    async with house.connect("ann") as ann:
        await receive(ann)
        await say(ann, type="sync", positions={})
        await receive(ann, "synced")
        house.store.append(CHANNEL)
        house.store.append("c2", JOINED, "ann")
        await house.wipe()
        found = {frame["type"] for frame in [await receive(ann), await receive(ann)]}
        assert found == {"event", "joined"}


async def test_unreadable_entries_on_the_bus_do_no_harm(house: House) -> None:
    house.store.append(CHANNEL, JOINED, "ann")
    async with house.connect("ann") as ann:
        await receive(ann)
        await say(ann, type="sync", positions={})
        for topic in (*(events(number) for number in range(PARTITIONS)), revocations()):
            await house.bus.publish([(topic, b"\xff garbage")])
        await house.store.publish(house.bus, house.store.append(CHANNEL))
        assert (await receive(ann, "event"))["seq"] == 2


async def test_draining_sends_reconnect_and_closes_with_1012(valkey_url: str, tmp_path: Path) -> None:
    async with open_house(valkey_url, tmp_path, drain_seconds=1) as house, house.connect("ann") as ann:
        await receive(ann)
        house.lifecycle.stop()
        assert 0 <= (await receive(ann, "reconnect"))["after_ms"] <= 1000
        refused = await house.refused(additional_headers=house.bearer("bob"))
        assert refused.status_code == 503
        assert await close_code(ann) == 1012


async def test_a_reader_that_pauses_gets_every_byte_once_and_in_order(house: House) -> None:
    async with slow_reader(house) as ann:
        (connection,) = house.gateway.registry.connections.values()
        said, heard = 0, list[int]()
        for _ in range(3):
            ann.transport.pause_reading()
            async with asyncio.timeout(20):
                while not connection.paused:  # then one frame was sent in part by sendmany, in part by the transport
                    said += 1
                    await publish(house, said, "x" * 9_973)
            ann.transport.resume_reading()
            for _ in range(100):  # there is room again; the transport's bytes go first
                said += 1
                await publish(house, said, "x" * 9_973)
            while len(heard) < said:
                heard.append((await receive(ann, "event"))["number"])
        assert heard == list(range(1, said + 1))


@pytest.mark.parametrize("leave", ["close", "abort"])
async def test_a_descriptor_is_not_reused_before_connection_lost(house: House, leave: str) -> None:
    async with house.connect("ann") as ann:
        await receive(ann)
        (connection,) = house.gateway.registry.connections.values()
        inode, at_the_end = os.fstat(connection.file).st_ino, asyncio.Queue[int]()
        house.gateway.registry.on_end.append(lambda gone: at_the_end.put_nowait(os.fstat(gone.file).st_ino))
        getattr(ann.transport, leave)()
        async with asyncio.timeout(5):
            assert await at_the_end.get() == inode
        assert connection.file == NO_FILE


async def test_sockets_that_open_and_close_while_presence_is_unavailable_are_not_reported(house: House) -> None:
    for _ in range(3):
        async with house.connect("ann") as socket:
            await socket.recv()
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, ConnectionChange)]
