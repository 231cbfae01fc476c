"""Sends the statements that judge, number and store commands, and reads their answers. In which order is `handlers`' matter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, assert_never

import msgspec
from psycopg import AsyncCursor

from chassis.postgres import Connection
from messages import audit, policy
from messages.commands import Command, Delete, Edit, Pin, Post, React, Read
from messages.ids import message_ids
from messages.message import ChannelId, CommandId, Details, EntryKind, MessageId, Receipt, UserId
from messages.policy import Action, standings
from messages.queries import commands as queries

_ENCODER = msgspec.json.Encoder()
_FIRST = itemgetter(0)
_JOINABLE = [kind.value for kind in policy.JOINABLE]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What became of one command; the columns are described in `queries.commands`."""

    verdict: str
    seq: int | None
    message: MessageId | None
    at: datetime
    """When the entry was made that answers it; for one that was refused, when that was."""
    wait: float | None
    noted: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Statements that were sent; `answers` may be read once the pipeline has ended."""

    commands: Sequence[Command]
    cursor: AsyncCursor[Any]

    async def answers(self) -> list[tuple[Command, Answer]]:
        """Each command with its row, in order."""
        rows = sorted(await self.cursor.fetchall(), key=_FIRST)
        now = rows[0][-1]
        return [
            (command, Answer(verdict, seq, message, at or now, wait, noted))
            for command, (_, verdict, seq, message, at, wait, noted, _) in zip(self.commands, rows, strict=True)
        ]


async def lock_channels(connection: Connection, channels: Sequence[ChannelId], *, wait: bool = True) -> None:
    """Lock the channels that exist, in one order for everybody. Held until the transaction ends.

    Without `wait`, a lock that somebody else holds is an error at once.
    """
    statement = queries.LOCK_CHANNELS if wait else queries.LOCK_FREE_CHANNELS
    await connection.execute(statement, {"channels": f"{{{','.join(channels)}}}"})  # UUIDs: nothing to escape


async def forget_published(connection: Connection, noted: Sequence[int]) -> None:
    """Remove rows of `unpublished` whose entries the bus has; rows that somebody else is removing are left to them."""
    await connection.execute(queries.FORGET_PUBLISHED, {"ids": list(noted)})


async def ask_posts(connection: Connection, run: Sequence[Command]) -> Asked:
    """Store a run of posts, none of which shares (channel, actor, key) with another."""
    parameters = {
        "posts": _ENCODER.encode(_post_rows(run)).decode(),
        "joinable": _JOINABLE,
        "allowed": standings(Action.POST),
        "unhurried": standings(Action.SKIP_SLOW_MODE),
    }
    return Asked(run, await connection.execute(queries.POSTS, parameters))


async def ask_change(connection: Connection, command: Command) -> Asked:
    """Store one edit, deletion, reaction or pin."""
    body = command.body
    parameters: dict[str, object] = {
        "tenant": command.tenant,
        "channel": command.channel,
        "actor": command.actor,
        "key": command.key or None,
        "id": command.id or None,
        "issued": command.token_issued_at,
        "joinable": _JOINABLE,
        "text": None,
        "details": None,
    }
    match body:
        case Edit():
            statement, action, kind = queries.EDIT, Action.EDIT_OWN, EntryKind.MESSAGE_EDITED
            parameters["text"] = body.text
        case Delete():
            statement, action, kind = queries.DELETE, Action.DELETE_OWN, EntryKind.MESSAGE_DELETED
            parameters |= {"others": standings(Action.DELETE_OTHERS), "via": audit.via()}
        case React():
            statement, action = queries.REACT, Action.REACT
            kind = EntryKind.REACTION_REMOVED if body.remove else EntryKind.REACTION_ADDED
            parameters |= {"emoji": body.emoji, "remove": body.remove, "details": _json(Details(emoji=body.emoji))}
        case Pin():
            statement, action = queries.PIN, Action.PIN
            kind = EntryKind.MESSAGE_UNPINNED if body.remove else EntryKind.MESSAGE_PINNED
            parameters["remove"] = body.remove
        case Post() | Read():
            raise AssertionError(body)
        case _:
            assert_never(body)
    parameters |= {"message": body.message, "kind": kind.value, "allowed": standings(action)}
    return Asked([command], await connection.execute(statement, parameters))


@dataclass(frozen=True, slots=True)
class AskedReads:
    """Read positions that were sent; `receipts` may be read once the pipeline has ended."""

    newest: dict[tuple[str, str], Command]
    cursor: AsyncCursor[Any]

    async def receipts(self) -> list[Receipt]:
        """Those that moved."""
        found = []
        for channel, user, read_seq in await self.cursor.fetchall():
            command = self.newest[channel, user]
            found.append(Receipt(command.tenant, ChannelId(channel), UserId(user), read_seq, command.id))
        return found


async def ask_reads(connection: Connection, reads: Sequence[tuple[Command, Read]]) -> AskedReads:
    """Move read positions; of several for the same (channel, user) the furthest counts."""
    furthest: dict[tuple[str, str], tuple[int, Command]] = {}
    for command, body in reads:
        place = (command.channel, command.actor)
        if place not in furthest or body.seq >= furthest[place][0]:
            furthest[place] = (body.seq, command)
    rows = [
        {"tenant": command.tenant, "channel": command.channel, "actor": command.actor, "seq": seq}
        for seq, command in furthest.values()
    ]
    cursor = await connection.execute(queries.READS, {"reads": _json(rows)})
    return AskedReads({place: command for place, (_, command) in furthest.items()}, cursor)


def details_of(post: Post) -> Details | None:
    """What a post says besides its text; None where that is nothing."""
    if post.thread or post.attachments or post.mentions:
        return Details(thread=post.thread, attachments=post.attachments, mentions=post.mentions)
    return None


class _PostRow(msgspec.Struct, gc=False):
    n: int
    tenant: str
    channel: str
    actor: str
    key: str
    id: CommandId | None
    digest: int
    thread: str | None
    text: str
    details: Details | None
    made: MessageId
    place: int
    own_place: int
    issued: float


def _post_rows(run: Sequence[Command]) -> list[_PostRow]:
    places: dict[str, int] = {}
    own_places: dict[tuple[str, str], int] = {}
    rows = []
    for n, (command, made) in enumerate(zip(run, message_ids(len(run)), strict=True)):
        post, channel, actor = command.body, command.channel, command.actor
        assert isinstance(post, Post)  # noqa: S101 - `handlers` sorted them by kind
        places[channel] = place = places.get(channel, 0) + 1
        own_places[channel, actor] = own_place = own_places.get((channel, actor), 0) + 1
        rows.append(_PostRow(
            n, command.tenant, channel, actor, command.key, command.id or None, _digest(post), post.thread, post.text,
            details_of(post), made, place, own_place, command.token_issued_at,
        ))  # fmt: skip
    return rows


def _digest(post: Post) -> int:
    """What tells whether a key comes again for the same: it survives the deletion of what it digests."""
    said = _ENCODER.encode((post.text, post.thread, [each.id for each in post.attachments], post.mentions))
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), signed=True)


def _json(value: object) -> str:
    return _ENCODER.encode(value).decode()
