"""What the tests of numbering from memory share: a clock, what was counted, and what is stored."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import REGISTRY

from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import heads as heads_module
from messages.commands import Command, Outcome, Post, Read, Stored
from messages.handlers import handle
from messages.heads import Heads
from messages.message import ChannelId
from services.messages.tests.conftest import Town

IN_DOUBT = heads_module._DOUBT_SECONDS  # noqa: SLF001 - so long the clock is moved on


class Clock:
    """Time that a test moves on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def metric(name: str) -> int:
    return int(REGISTRY.get_sample_value(f"hubbub_{name}_total") or 0)


@dataclasses.dataclass
class Counted:
    """What came of a block."""

    numbered: int = 0
    """Posts numbered from memory."""
    outdated: int = 0
    """Batches judged again."""


@contextlib.contextmanager
def counting() -> Iterator[Counted]:
    """Count what comes of the block; it is told at its end."""
    numbered, outdated = metric("numbered_posts"), metric("outdated_batches")
    found = Counted()
    yield found
    found.numbered, found.outdated = metric("numbered_posts") - numbered, metric("outdated_batches") - outdated


async def go(town: Town, heads: Heads | None, *batch: Command) -> Stored:
    return await handle(town.database, batch, heads=heads)


async def told(town: Town, heads: Heads | None, *batch: Command) -> list[tuple[str, int]]:
    """What became of each command, in the order of the batch: a verdict or a reason, and a number."""
    return [said(outcome) for outcome in in_order(batch, (await go(town, heads, *batch)).outcomes)]


def in_order(batch: Sequence[Command], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Outcomes of channels that are numbered come before those of others; within a channel they keep their order."""
    left = list(outcomes)
    ordered = []
    for each in batch:
        if not isinstance(each.body, Read):
            ordered.append(next(outcome for outcome in left if outcome.command == each.id))
            left.remove(ordered[-1])
    assert not left
    return ordered


def said(outcome: Outcome) -> tuple[str, int]:
    return (outcome.error.reason if outcome.error else str(outcome.verdict)), outcome.seq


async def learn(town: Town, heads: Heads | None, *posts: tuple[str, str]) -> None:
    """Post to channels twice. With `heads`, what comes next is numbered from memory."""
    for n in range(2):
        await go(town, heads, *(town.command(channel, user, Post("known"), key=f"known {n}") for channel, user in posts))
    if heads:
        for channel, _ in posts:
            assert heads[ChannelId(channel)].seq == len(await town.log(channel))


def apart(town: Town) -> Town:
    """The same service for another tenant, whose commands have the same ids as any other's."""
    return dataclasses.replace(town, tenant=f"t-{uuid.uuid4().hex}", counter=0, stored=[])


async def rows(town: Town, table: str, channel: str, order: str, but: Sequence[str]) -> list[Any]:
    """A channel's rows of a table, with all columns that are not other ones by nature."""
    column = "id" if table == "channels" else "channel"
    query = f"SELECT to_jsonb(it) - %s::text[] FROM {table} it WHERE {column} = %s ORDER BY {order}"
    async with town.database.connection([town.tenant]) as connection:
        found = await (await connection.execute(query.encode(), [list(but), channel])).fetchall()
    told: list[Any] = [row for (row,) in found]
    for row in told:
        if (row.get("command") or "").startswith("/"):
            row["command"] = "a call's own"
    return told


async def frames(town: Town, channel: str) -> list[Any]:
    """What `FetchEvents` gives, without times and ids of messages and calls."""
    found = []
    for event in await town.log(channel):
        frame = json.loads(event.payload)
        frame["data"].pop("message", None)
        of = "" if event.command.startswith("/") else event.command
        found.append((event.seq, event.kind, event.actor, of, frame["kind"], frame["actor"], frame["data"]))
    return found


async def standing(town: Town, channel: str, user: str) -> tuple[int, int, int]:
    seen = (await town.service.GetChannel(rpc.GetChannelRequest(caller=town.caller(user), channel=channel), None)).channel
    return seen.seq, seen.read_seq, seen.unread
