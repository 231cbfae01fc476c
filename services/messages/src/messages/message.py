"""The nouns of the service: ids, log entries, messages, channels, members, users. What others see of them is `convert`'s."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import NewType

import msgspec

from messages.policy import ChannelKind, Role

TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)
ChannelId = NewType("ChannelId", str)
"""A UUID in its one spelling, lower case."""
MessageId = NewType("MessageId", str)
"""A UUID in its one spelling, lower case."""
CommandId = NewType("CommandId", str)
"""`<connection>.<n>`, or an RPC's own."""


class EntryKind(IntEnum):
    """What an entry says happened; the numbers are those of hubbub.events.v1.EventKind."""

    MESSAGE_POSTED = 1
    MESSAGE_EDITED = 2
    MESSAGE_DELETED = 3
    REACTION_ADDED = 4
    REACTION_REMOVED = 5
    MESSAGE_PINNED = 6
    MESSAGE_UNPINNED = 7
    MEMBER_JOINED = 8
    MEMBER_LEFT = 9
    MEMBER_REMOVED = 10
    MEMBER_ROLE_CHANGED = 11
    CHANNEL_CREATED = 12
    CHANNEL_UPDATED = 13


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A clean upload, in the shape in which clients see it and rows keep it."""

    id: str
    name: str
    size: int
    type: str
    width: int = 0
    height: int = 0


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an entry says besides its text; each kind uses its own fields. Rows keep it as JSON."""

    thread: MessageId | None = None
    attachments: list[Attachment] = []
    mentions: list[UserId] = []
    emoji: str = ""
    user: UserId = UserId("")
    role: Role | None = None
    name: str = ""
    topic: str = ""
    slow_mode_seconds: int = 0


NO_DETAILS = Details()


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One entry of a channel's log, as stored."""

    channel: ChannelId
    seq: int
    tenant: TenantId
    kind: EntryKind
    actor: UserId
    at: datetime
    key: str | None = None
    """The client's key of a post."""
    command: CommandId | None = None
    """Command that made it; None when it came through an RPC."""
    message: MessageId | None = None
    text: str | None = None
    """What a post or edit said; None elsewhere and once deleted."""
    details: Details = NO_DETAILS


class Range(msgspec.Struct, frozen=True):
    """The entries of a channel numbered in (after, through]."""

    channel: ChannelId
    after: int
    through: int

    @property
    def count(self) -> int:
        """How many entries that is: the log has no hole."""
        return max(0, self.through - self.after)


class Receipt(msgspec.Struct, frozen=True):
    """A read position that moved."""

    tenant: TenantId
    channel: ChannelId
    user: UserId
    read_seq: int
    command: CommandId
    """The command that moved it."""


class Reaction(msgspec.Struct, frozen=True):
    """One emoji's reactions to a message."""

    emoji: str
    count: int
    users: list[UserId]
    """At most the first 50."""


class Message(msgspec.Struct, frozen=True):
    """A message as it stands now."""

    id: MessageId
    channel: ChannelId
    seq: int
    sender: UserId
    text: str | None
    at: datetime
    edited_at: datetime | None
    deleted: bool
    pinned: bool
    details: Details
    reactions: list[Reaction]


class User(msgspec.Struct, frozen=True):
    """A user of a tenant."""

    id: UserId
    name: str


class Member(msgspec.Struct, frozen=True):
    """A member of a channel."""

    user: UserId
    name: str
    role: Role


class Standing(msgspec.Struct, frozen=True):
    """A channel of the caller's tenant, and how the caller stands to it."""

    id: ChannelId
    kind: ChannelKind
    name: str
    topic: str
    slow_mode_seconds: int
    history: str
    head: int
    role: Role | None
    """None: no member. The following fields mean something for members only."""
    joined_seq: int
    read_seq: int
    muted: bool
    banned: bool = False

    @property
    def floor(self) -> int:
        """The member sees entries numbered above this."""
        return self.joined_seq - 1 if self.history == "joined" else 0


class View(msgspec.Struct, frozen=True):
    """A channel with all that a user's list shows of it."""

    standing: Standing
    unread: int = 0
    peer: User | None = None
    last_message: Message | None = None


class Caller(msgspec.Struct, frozen=True):
    """On whose behalf a call is made."""

    tenant: TenantId
    user: UserId
    admin: bool = False
    token_issued_at: float = 0.0
    """Unix seconds; 0 for a service that acts for the user."""
