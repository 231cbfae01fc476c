"""Attacks leak no memory: repeating an attack does not make the gateway grow further.

Measured as resident memory over several rounds of one attack. A leak grows in every round, while memory that the allocator
keeps for reuse does not, so the smallest growth of a round is judged.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from itertools import pairwise
from urllib.parse import urlsplit

import pytest

from tests.client import Api, connect
from tests.client.wire import BINARY, PING, TEXT, spell, wire
from tests.faults.memory import resident
from tests.flow.world import World, refusal

ROUNDS = 3
"""After a first round that is not judged."""
HITS = 200
CONNECTIONS = 50
"""Per round."""
LEFT_KIBIBYTES = 180
"""What a round may leave. Measured 12 at most; a leak of one KiB for each hit leaves 200, one of a connection's state 550."""
WRONG = [
    {"type": "send", "channel": {"$gt": ""}, "key": "k", "text": "x"},
    {"type": "send", "channel": "c", "key": "k", "text": "x" * 17_000},
    {"type": "edit", "channel": "c", "message": None, "text": []},
    {"type": "sync", "positions": {"c": -1}},
    {"type": "watch", "users": "everybody"},
    {"type": "no such type", "ref": "x" * 1_000},
]
FATAL = [spell(TEXT, b"[" * 60_000), spell(TEXT, b'{"type":NaN}'), spell(BINARY, b"\x00"), spell(TEXT, b"x" * 100_000)]
Attack = Callable[[Api], Awaitable[None]]


async def wrong_frames(api: Api) -> None:
    """Wrong frames on one socket."""
    async with connect(api) as socket:
        for number in range(HITS):
            await socket.raw(json.dumps(WRONG[number % len(WRONG)]))
        await socket.round_trip()


async def pings(api: Api) -> None:
    """WebSocket pings from a client that reads no pongs."""
    async with wire(api) as connection:
        await connection.send(*(spell(PING, os.urandom(100)) for _ in range(HITS)))


async def fatal_frames(api: Api) -> None:
    """Frames that end their sockets."""
    for number in range(CONNECTIONS):
        async with wire(api) as connection:
            await connection.send(FATAL[number % len(FATAL)])
            await connection.frames()


async def vanishing_sockets(api: Api) -> None:
    """Sockets that end without a close frame."""
    for _ in range(CONNECTIONS):
        async with connect(api) as socket:
            await socket.send("watch", users=[os.urandom(8).hex() for _ in range(10)])
            await socket.drop()


async def unfinished_handshakes(api: Api) -> None:
    """Request heads that never end, on connections that are then aborted."""
    await asyncio.gather(*(sent(api, b"GET /v1/connect HTTP/1.1\r\nHost: x\r\nX-Slow: x") for _ in range(HITS)))


async def header_bombs(api: Api) -> None:
    """Request heads that are far too large."""
    bomb = b"GET /v1/me HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8_000) for number in range(20))
    await asyncio.gather(*(sent(api, bomb, answered=b" 431 ") for _ in range(HITS)))


async def refused_handshakes(api: Api) -> None:
    """Different invalid tokens; few, because attempts per address are limited."""
    for _ in range(CONNECTIONS):
        guesser = api.at(api.url)
        guesser.token = f"a.{os.urandom(8).hex()}.c"
        await refusal(guesser)


async def wrong_requests(api: Api) -> None:
    """Unknown paths, and bodies that are not JSON."""
    deep = b"[" * 60_000
    for _ in range(CONNECTIONS):
        await api.refused("GET", f"/v1/{os.urandom(8).hex()}", reason="NOT_FOUND")
        await api.call("POST", "/v1/channels", content=deep, headers={"Content-Type": "application/json"})


async def sent(api: Api, data: bytes, answered: bytes = b"") -> None:
    """Open a connection, send bytes, wait for `answered` if given, and abort the connection."""
    address = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(data)
        if answered:
            assert answered in await reader.read(4096)
        else:
            await writer.drain()
    finally:
        writer.transport.abort()


ATTACKS = [
    wrong_frames,
    pings,
    fatal_frames,
    vanishing_sockets,
    unfinished_handshakes,
    header_bombs,
    refused_handshakes,
    wrong_requests,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_attack_leaks_no_memory(world: World, attack: Attack) -> None:
    ann = await world.person("ann")
    gateway = world.stack.pids["gateway-0"]
    levels = []
    for _ in range(1 + ROUNDS):
        await attack(ann)
        levels.append(resident(gateway))
    added = [(after - before) // 1024 for before, after in pairwise(levels)]
    assert min(added) < LEFT_KIBIBYTES, f"each round left {added} KiB"
