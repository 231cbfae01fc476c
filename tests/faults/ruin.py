"""Faults in the bus's data: wipe it, trim it, lose or poison entries, and move its clock.

Uses the stream names of the bus's `redis_keys`. `nemesis` decides when, and waits for recovery.
"""

import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis.asyncio

from hubbub.events.v1.events_pb2 import Command, CommandBatch, EditMessage, PostMessage

Redis = redis.asyncio.Redis
Act = Callable[[Redis, random.Random], Awaitable[None]]
_FIELD = "p"
_AHEAD_MILLISECONDS = 3_600_000
_MEMORY_BYTES = 512 * 1024 * 1024
"""Valkey's memory limit in the local stack."""
_GARBAGE = (b"\xff\xfe\x00 not protobuf", b"\x0a\x7f\x01", b"{}")


async def wipe(bus: Redis, _dice: random.Random) -> None:
    """Delete all data of the bus, and of presence, which shares its server."""
    await bus.flushall()


async def trim(bus: Redis, _dice: random.Random) -> None:
    """Empty every topic of events, including entries that its readers have not read."""
    for key in await _streams(bus, "events.*"):
        await bus.xtrim(key, maxlen=0, approximate=False)


async def lose(bus: Redis, dice: random.Random) -> None:
    """Delete single events from the middle and the end, so that no later event reveals the hole."""
    for key in await _streams(bus, "events.*"):
        entries: Any = await bus.xrevrange(key, count=8)
        if chosen := [id_ for id_, _ in entries if dice.random() < 0.5]:
            await bus.xdel(key, *chosen)


async def move_clock(bus: Redis, _dice: random.Random) -> None:
    """Let every topic continue with ids of a clock that is one hour ahead; afterwards it appears to be set back."""
    there = int(time.time() * 1000) + _AHEAD_MILLISECONDS
    for key in await _streams(bus, "*"):
        last = (await bus.xinfo_stream(key))["last-generated-id"]
        milliseconds = max(there, int(last.split(b"-")[0]) + 1)
        await bus.xadd(key, {_FIELD: b""}, id=f"{milliseconds}-0")


async def full(bus: Redis, _dice: random.Random) -> None:
    """Let the server run out of memory, until `room` or its next start."""
    await bus.config_set("maxmemory", 1)


async def room(bus: Redis, _dice: random.Random) -> None:
    """Give it memory again."""
    await bus.config_set("maxmemory", _MEMORY_BYTES)


def poison(channels: Sequence[str], user: str) -> Act:
    """Return a batch with unreadable entries for every topic, and commands that cannot be executed."""

    async def act(bus: Redis, dice: random.Random) -> None:
        for key in await _streams(bus, "*"):
            await bus.xadd(key, {_FIELD: dice.choice(_GARBAGE)})
        for key in await _streams(bus, "commands.*"):
            batch = CommandBatch(commands=_unfit(dice.choice(channels), user))
            await bus.xadd(key, {_FIELD: batch.SerializeToString()})

    return act


def _unfit(channel: str, user: str) -> list[Command]:
    """Commands that can be decoded and never be stored."""

    def command(**body: Any) -> Command:
        named = uuid.uuid4().hex
        return Command(tenant="unknown", channel=channel, actor=user, key=named, id=f"poison.{named}", **body)

    return [
        command(),  # of a later version: none of its fields are known here
        command(post=PostMessage(text="a \x00 that PostgreSQL cannot store")),
        command(edit=EditMessage(message="no message", text="x")),
    ]


async def _streams(bus: Redis, topics: str) -> list[bytes]:
    return [key async for key in bus.scan_iter(match=f"bus:{topics}", _type="stream")]
