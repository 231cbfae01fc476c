"""What the nemesis does to the bus's data: wipes, trims, loses and poisons it, and moves its clock.

Works on the streams as `redis_keys` of the bus spells them; leaves when, and healing, to `nemesis`.
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
"""As the local stack gives it."""
_GARBAGE = (b"\xff\xfe\x00 not protobuf", b"\x0a\x7f\x01", b"{}")


async def wipe(bus: Redis, _dice: random.Random) -> None:
    """Take everything out of the bus, and out of presence with it."""
    await bus.flushall()


async def trim(bus: Redis, _dice: random.Random) -> None:
    """Empty every topic of events, also past the cursor of who reads it."""
    for key in await _streams(bus, "events.*"):
        await bus.xtrim(key, maxlen=0, approximate=False)


async def lose(bus: Redis, dice: random.Random) -> None:
    """Take single events out of the middle and the end, so that no later one gives a hint."""
    for key in await _streams(bus, "events.*"):
        entries: Any = await bus.xrevrange(key, count=8)
        if chosen := [id_ for id_, _ in entries if dice.random() < 0.5]:
            await bus.xdel(key, *chosen)


async def move_clock(bus: Redis, _dice: random.Random) -> None:
    """Let every topic go on with ids of a clock that is an hour ahead: after a wipe, or for ever after, it is set back."""
    there = int(time.time() * 1000) + _AHEAD_MILLISECONDS
    for key in await _streams(bus, "*"):
        last = (await bus.xinfo_stream(key))["last-generated-id"]
        milliseconds = max(there, int(last.split(b"-")[0]) + 1)
        await bus.xadd(key, {_FIELD: b""}, id=f"{milliseconds}-0")


async def full(bus: Redis, _dice: random.Random) -> None:
    """Let the server have no memory for anything new, until `room` or its next start."""
    await bus.config_set("maxmemory", 1)


async def room(bus: Redis, _dice: random.Random) -> None:
    """Let it have memory again."""
    await bus.config_set("maxmemory", _MEMORY_BYTES)


def poison(channels: Sequence[str], user: str) -> Act:
    """Return what puts onto every topic what nobody can read, and among commands also what nobody can carry out."""

    async def act(bus: Redis, dice: random.Random) -> None:
        for key in await _streams(bus, "*"):
            await bus.xadd(key, {_FIELD: dice.choice(_GARBAGE)})
        for key in await _streams(bus, "commands.*"):
            batch = CommandBatch(commands=_unfit(dice.choice(channels), user))
            await bus.xadd(key, {_FIELD: batch.SerializeToString()})

    return act


def _unfit(channel: str, user: str) -> list[Command]:
    """Commands that decode well, and can never be stored."""

    def command(**body: Any) -> Command:
        named = uuid.uuid4().hex
        return Command(tenant="nobody's", channel=channel, actor=user, key=named, id=f"poison.{named}", **body)

    return [
        command(),  # of a later version: it wants nothing that is known here
        command(post=PostMessage(text="a \x00 that PostgreSQL cannot store")),
        command(edit=EditMessage(message="no message", text="x")),
    ]


async def _streams(bus: Redis, topics: str) -> list[bytes]:
    return [key async for key in bus.scan_iter(match=f"bus:{topics}", _type="stream")]
