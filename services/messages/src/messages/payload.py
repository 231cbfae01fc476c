"""Encodes a log entry as the client's `event` frame, an invitation as `invited`, and a message as HTTP answers show it.

A stored entry has the same bytes wherever a client receives it: live, on catch-up, or over HTTP. The text of a deleted message is
null. Sealed content stands beside a text that is null, in base64. Members who may not see the message that an entry is about
receive the entry without its content, by the same rule everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import assert_never

import msgspec
from msgspec import UNSET, UnsetType

from chassis.blocks import Block
from messages.message import NO_DETAILS, Attachment, Entry, EntryKind, Invitation, Message, Reaction

NAMES = {kind: kind.name.lower().replace("_", ".", 1) for kind in EntryKind}
"""Event names in the client protocol: message.posted, member.role_changed, …"""


@lru_cache(maxsize=64)
def rfc3339(at: datetime) -> str:
    """A time in UTC with milliseconds: 2026-11-24T08:00:00.123Z."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_frame(entry: Entry, at: str) -> bytes:
    """The complete frame, JSON in UTF-8; `at` is the entry's time, formatted by `rfc3339`."""
    return _ENCODER.encode(_Frame(entry.channel, entry.seq, NAMES[entry.kind], entry.actor, at, _data(entry)))


def hidden_frame(entry: Entry, at: str) -> bytes:
    """The frame for members who may not see the entry at `about`; empty when the entry shows nothing of it."""
    hidden = _hidden(entry)
    return event_frame(hidden, at) if entry.about and hidden is not entry else b""


def invited_frame(invitation: Invitation) -> bytes:
    """The complete frame, JSON in UTF-8."""
    shown = _Invitation(
        invitation.channel, invitation.kind, invitation.name, invitation.inviter, invitation.role, rfc3339(invitation.at)
    )
    return _ENCODER.encode(_Invited(shown))


def message_item(message: Message) -> bytes:
    """A message in its current state, as an item of a page of the HTTP API, JSON in UTF-8."""
    details, sealed = message.details, message.sealed is not None
    return _ENCODER.encode(
        _Item(
            message.id, message.channel, message.seq, message.sender, None if sealed else message.text, rfc3339(message.at),
            rfc3339(message.edited_at) if message.edited_at else None, message.deleted, details.thread, details.attachments,
            details.mentions, message.reactions, message.pinned, message.sealed if message.sealed is not None else UNSET,
            details.blocks or UNSET,
        )
    )  # fmt: skip


def _hidden(entry: Entry) -> Entry:
    """The entry without the content of the message that it is about. A reply keeps its own content, but not its thread."""
    match entry.kind:
        case EntryKind.MESSAGE_EDITED:
            return msgspec.structs.replace(entry, text=None, sealed=None, details=NO_DETAILS)
        case EntryKind.REACTION_ADDED | EntryKind.REACTION_REMOVED:
            return msgspec.structs.replace(entry, details=NO_DETAILS)
        case EntryKind.MESSAGE_POSTED:
            return msgspec.structs.replace(entry, details=msgspec.structs.replace(entry.details, thread=None))
        case _:
            return entry


class _Posted(msgspec.Struct, gc=False):
    message: str | None
    key: str | None
    text: str | None
    thread: str | None
    attachments: list[Attachment]
    mentions: Sequence[str]
    sealed: bytes | UnsetType = UNSET
    blocks: list[Block] | UnsetType = UNSET


class _Item(msgspec.Struct, gc=False):
    id: str
    channel: str
    seq: int
    sender: str
    text: str | None
    at: str
    edited_at: str | None
    deleted: bool
    thread: str | None
    attachments: list[Attachment]
    mentions: Sequence[str]
    reactions: list[Reaction]
    pinned: bool
    sealed: bytes | UnsetType = UNSET
    blocks: list[Block] | UnsetType = UNSET


class _Edited(msgspec.Struct):
    message: str | None
    text: str | None
    sealed: bytes | UnsetType = UNSET
    blocks: list[Block] | UnsetType = UNSET


class _About(msgspec.Struct):
    message: str | None


class _Reacted(msgspec.Struct):
    message: str | None
    emoji: str


class _Member(msgspec.Struct):
    user: str
    role: str | None


class _Channel(msgspec.Struct):
    name: str
    topic: str
    slow_mode_seconds: int


_Data = _Posted | _Edited | _About | _Reacted | _Member | _Channel


class _Frame(msgspec.Struct, tag_field="type", tag="event", gc=False):
    channel: str
    seq: int
    kind: str
    actor: str
    at: str
    data: _Data


class _Invitation(msgspec.Struct):
    channel: str
    kind: str
    name: str
    inviter: str
    role: str
    at: str


class _Invited(msgspec.Struct, tag_field="type", tag="invited"):
    invitation: _Invitation


_ENCODER = msgspec.json.Encoder()


def _data(entry: Entry) -> _Data:
    details = entry.details
    match entry.kind:
        case EntryKind.MESSAGE_POSTED:
            sealed = UNSET if entry.sealed is None else entry.sealed
            return _Posted(
                entry.message, entry.key, entry.text, details.thread, details.attachments, details.mentions, sealed,
                details.blocks or UNSET,
            )  # fmt: skip
        case EntryKind.MESSAGE_EDITED:
            return _Edited(entry.message, entry.text, UNSET if entry.sealed is None else entry.sealed, details.blocks or UNSET)
        case EntryKind.MESSAGE_DELETED | EntryKind.MESSAGE_PINNED | EntryKind.MESSAGE_UNPINNED:
            return _About(entry.message)
        case EntryKind.REACTION_ADDED | EntryKind.REACTION_REMOVED:
            return _Reacted(entry.message, details.emoji)
        case EntryKind.MEMBER_JOINED | EntryKind.MEMBER_LEFT | EntryKind.MEMBER_REMOVED | EntryKind.MEMBER_ROLE_CHANGED:
            return _Member(details.user, details.role)
        case EntryKind.CHANNEL_CREATED | EntryKind.CHANNEL_UPDATED:
            return _Channel(details.name, details.topic, details.slow_mode_seconds)
        case _:
            assert_never(entry.kind)
