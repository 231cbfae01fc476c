"""Asks for commands to be judged, numbered and stored, and reads the answers. In which order is `handlers`' matter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import assert_never

import msgspec

from chassis.pipeline import Query, Rows, Statement, Value, spelled
from chassis.postgres import Connection
from messages import audit, policy
from messages.commands import Command, Delete, Edit, Pin, Post, React, Read
from messages.heads import Head, Heads
from messages.ids import message_ids
from messages.message import ChannelId, CommandId, Details, EntryKind, MessageId, Receipt, UserId
from messages.policy import Action, standings
from messages.queries import commands as queries

_ENCODER = msgspec.json.Encoder()
_FIRST = itemgetter(0)
_LOCK_CHANNELS = Statement(queries.LOCK_CHANNELS)
_POST, _POSTS, _NUMBERED = Statement(queries.POST), Statement(queries.POSTS), Statement(queries.NUMBERED)
_HEADS = Statement(queries.HEADS)
_EDIT, _DELETE = Statement(queries.EDIT), Statement(queries.DELETE)
_REACT, _PIN = Statement(queries.REACT), Statement(queries.PIN)
_READS = Statement(queries.READS)
# What never changes is spelled once.
_JOINABLE = spelled([kind.value for kind in policy.JOINABLE])
_STANDINGS = {action: spelled(standings(action)) for action in Action}


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
    """What is asked of commands, and how to read its rows."""

    commands: Sequence[Command]
    query: Query

    def answers(self, rows: Rows) -> list[tuple[Command, Answer]]:
        """Each command with its row, in order."""
        rows.sort(key=_FIRST)
        now = rows[0][-1]
        return [
            (command, Answer(verdict, seq, message, at or now, wait, noted))
            for command, (_, verdict, seq, message, at, wait, noted, _) in zip(self.commands, rows, strict=True)
        ]


async def take_channel(connection: Connection, channel: ChannelId) -> None:
    """Lock a channel, if it exists, until the transaction ends; posts that were judged before are judged again."""
    await connection.execute(queries.TAKE_CHANNEL, {"channel": channel})


def ask_locks(channels: Sequence[ChannelId]) -> Query:
    """Lock the channels that exist, in one order for everybody."""
    return _LOCK_CHANNELS.query({"channels": _plain(channels)})


def ask_heads(channels: Sequence[ChannelId]) -> Query:
    """Where channels stand; `heads_of` reads the rows."""
    return _HEADS.query({"channels": _plain(channels)})


def heads_of(rows: Rows) -> dict[ChannelId, Head]:
    """The heads of the channels that exist."""
    return {channel: Head(*told) for channel, *told in rows}


def _plain(elements: Iterable[object]) -> str:
    """An array of what needs no escaping: UUIDs, numbers."""
    return f"{{{','.join(map(str, elements))}}}"


async def forget_published(connection: Connection, noted: Sequence[int]) -> None:
    """Remove rows of `unpublished` whose entries the bus has; rows that somebody else is removing are left to them."""
    await connection.execute(queries.FORGET_PUBLISHED, {"ids": list(noted)})


def ask_posts(run: Sequence[Command]) -> Asked:
    """Store a run of posts, none of which shares (channel, actor, key) with another."""
    parameters: dict[str, Value] = {
        "joinable": _JOINABLE,
        "allowed": _STANDINGS[Action.POST],
        "unhurried": _STANDINGS[Action.SKIP_SLOW_MODE],
    }
    if len(run) == 1:
        return Asked(run, _POST.query(parameters | _one_post(run[0])))
    parameters["posts"] = _ENCODER.encode(_post_rows(run))
    return Asked(run, _POSTS.query(parameters))


@dataclass(frozen=True, slots=True)
class AskedNumbered:
    """What is asked of posts that are numbered already, and how to read its row."""

    run: Sequence[tuple[Command, int, MessageId]]
    """Each with its number and id."""
    heads: dict[ChannelId, Head]
    """Where the channels stand afterwards."""
    query: Query

    def answers(self, rows: Rows) -> list[tuple[Command, Answer]]:
        """Each post, stored."""
        ((noted, now),) = rows
        return [(command, Answer("fresh", seq, made, now, None, noted)) for command, seq, made in self.run]


def ask_numbered(run: Sequence[Command], heads: Heads) -> AskedNumbered:
    """Store posts with the numbers that follow upon `heads`: all of them or, where one of these is not so any more, none."""
    before: dict[ChannelId, Head] = {}
    after: dict[ChannelId, Head] = {}
    authors: dict[tuple[str, str], _AuthorRow] = {}
    numbered, rows = [], []
    for command, made in zip(run, message_ids(len(run)), strict=True):
        post, channel, actor = command.body, command.channel, command.actor
        assert isinstance(post, Post)  # noqa: S101 - `heads` chose them
        head = after.get(channel)
        if head is None:
            before[channel] = heads[channel]
            after[channel] = head = copy(before[channel])
        head.seq = seq = head.seq + 1
        head.posts += 1
        own = authors.get((channel, actor))
        if own is None:
            authors[channel, actor] = own = _AuthorRow(channel, actor, head.kind, seq)
        own.wrote(seq, command.token_issued_at)
        numbered.append((command, seq, made))
        rows.append(_NumberedRow(
            channel, seq, head.posts, command.tenant, actor, command.key, _digest(post), post.text, made,
            command.id or None, details_of(post),
        ))  # fmt: skip
    query = _NUMBERED.query(
        {
            "channels": _plain(before),
            "firsts": _plain(head.seq + 1 for head in before.values()),
            "lasts": _plain(head.seq for head in after.values()),
            "posts_then": _plain(head.posts for head in after.values()),
            "authors": _ENCODER.encode(list(authors.values())),
            "posts": _ENCODER.encode(rows),
            "allowed": _STANDINGS[Action.POST],
        }
    )
    return AskedNumbered(numbered, after, query)


def ask_change(command: Command) -> Asked:
    """Store one edit, deletion, reaction or pin."""
    body = command.body
    parameters: dict[str, Value] = {
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
            statement, action, kind = _EDIT, Action.EDIT_OWN, EntryKind.MESSAGE_EDITED
            parameters["text"] = body.text
        case Delete():
            statement, action, kind = _DELETE, Action.DELETE_OWN, EntryKind.MESSAGE_DELETED
            parameters |= {"others": _STANDINGS[Action.DELETE_OTHERS], "via": audit.via()}
        case React():
            statement, action = _REACT, Action.REACT
            kind = EntryKind.REACTION_REMOVED if body.remove else EntryKind.REACTION_ADDED
            parameters |= {"emoji": body.emoji, "remove": body.remove, "details": _ENCODER.encode(Details(emoji=body.emoji))}
        case Pin():
            statement, action = _PIN, Action.PIN
            kind = EntryKind.MESSAGE_UNPINNED if body.remove else EntryKind.MESSAGE_PINNED
            parameters["remove"] = body.remove
        case Post() | Read():
            raise AssertionError(body)
        case _:
            assert_never(body)
    parameters |= {"message": body.message, "kind": kind.value, "allowed": _STANDINGS[action]}
    return Asked([command], statement.query(parameters))


@dataclass(frozen=True, slots=True)
class AskedReads:
    """What is asked of read positions, and how to read its rows."""

    newest: dict[tuple[str, str], Command]
    query: Query

    def receipts(self, rows: Rows) -> list[Receipt]:
        """Those that moved."""
        found = []
        for channel, user, read_seq in rows:
            command = self.newest[channel, user]
            found.append(Receipt(command.tenant, ChannelId(channel), UserId(user), read_seq, command.id))
        return found


def ask_reads(reads: Sequence[tuple[Command, Read]]) -> AskedReads:
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
    newest = {place: command for place, (_, command) in furthest.items()}
    return AskedReads(newest, _READS.query({"reads": _ENCODER.encode(rows)}))


def details_of(post: Post) -> Details | None:
    """What a post says besides its text; None where that is nothing."""
    if post.thread or post.attachments or post.mentions:
        return Details(thread=post.thread, attachments=post.attachments, mentions=post.mentions)
    return None


def _one_post(command: Command) -> dict[str, Value]:
    post = command.body
    assert isinstance(post, Post)  # noqa: S101 - `handlers` sorted them by kind
    details = details_of(post)
    return {
        "tenant": command.tenant,
        "channel": command.channel,
        "actor": command.actor,
        "key": command.key,
        "id": command.id or None,
        "digest": _digest(post),
        "thread": post.thread,
        "text": post.text,
        "details": _ENCODER.encode(details) if details else None,
        "made": message_ids(1)[0],
        "issued": command.token_issued_at,
    }


_SHORT = {
    "tenant": "t", "channel": "c", "actor": "a", "key": "k", "digest": "d", "text": "x", "made": "m", "id": "i", "turn": "u",
    "own_turn": "o", "issued": "s", "thread": "r", "details": "e", "seq": "s", "posts": "p", "kind": "k",
}  # fmt: skip


class _PostRow(msgspec.Struct, gc=False, omit_defaults=True, rename=_SHORT):
    """PostgreSQL reads each name of each row, so they are short. What is not said is NULL there."""

    n: int
    tenant: str
    channel: str
    actor: str
    key: str
    digest: int
    text: str
    made: MessageId
    id: CommandId | None = None
    turn: int = 1
    own_turn: int = 1
    issued: float | None = None
    thread: str | None = None
    details: Details | None = None


class _NumberedRow(msgspec.Struct, gc=False, omit_defaults=True, rename=_SHORT):
    """A post as `NUMBERED` reads it."""

    channel: str
    seq: int
    posts: int
    tenant: str
    actor: str
    key: str
    digest: int
    text: str
    made: MessageId
    id: CommandId | None = None
    details: Details | None = None


class _AuthorRow(msgspec.Struct, gc=False, omit_defaults=True, rename=_SHORT | {"issued": "i"}):
    """An author as `NUMBERED` reads them."""

    channel: str
    actor: str
    kind: str
    seq: int
    """Of their last post."""
    issued: float | None = None
    """The oldest of their tokens."""

    def wrote(self, seq: int, token_issued_at: float) -> None:
        """Take a post of theirs in."""
        self.seq = seq
        if token_issued_at and (self.issued is None or token_issued_at < self.issued):
            self.issued = token_issued_at


def _post_rows(run: Sequence[Command]) -> list[_PostRow]:
    turns: dict[str, int] = {}
    own_turns: dict[tuple[str, str], int] = {}
    rows = []
    for n, (command, made) in enumerate(zip(run, message_ids(len(run)), strict=True)):
        post, channel, actor = command.body, command.channel, command.actor
        assert isinstance(post, Post)  # noqa: S101 - as above
        turns[channel] = turn = turns.get(channel, 0) + 1
        own_turns[channel, actor] = own_turn = own_turns.get((channel, actor), 0) + 1
        rows.append(_PostRow(
            n, command.tenant, channel, actor, command.key, _digest(post), post.text, made,
            command.id or None, turn, own_turn, command.token_issued_at or None, post.thread, details_of(post),
        ))  # fmt: skip
    return rows


def _digest(post: Post) -> int:
    """What tells whether a key comes again for the same: it survives the deletion of what it digests."""
    said = _ENCODER.encode((post.text, post.thread, [each.id for each in post.attachments], post.mentions))
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), signed=True)
