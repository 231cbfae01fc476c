"""The values of the service: ids, log entries, messages, channels, members, users. `convert` maps them to protobuf."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import NewType

import msgspec

from chassis.blocks import Block
from messages.policy import ChannelKind, Role

TenantId = NewType("TenantId", str)
UserId = NewType("UserId", str)
ChannelId = NewType("ChannelId", str)
"""A UUID in lower case."""
MessageId = NewType("MessageId", str)
"""A UUID in lower case."""
CommandId = NewType("CommandId", str)
"""`<connection>.<n>`, or `<request>/<random>` for an RPC."""


class EntryKind(IntEnum):
    """What happened. The numbers are those of hubbub.events.v1.EventKind."""

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


MEMBER_KINDS = frozenset({
    EntryKind.MEMBER_JOINED, EntryKind.MEMBER_LEFT, EntryKind.MEMBER_REMOVED, EntryKind.MEMBER_ROLE_CHANGED
})  # fmt: skip


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A scanned upload, in the JSON format of client frames and of the database."""

    id: str
    name: str
    size: int
    type: str
    width: int = 0
    height: int = 0


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields of an entry besides its text; each kind uses its own. Stored as JSON."""

    thread: MessageId | None = None
    attachments: list[Attachment] = []
    mentions: list[UserId] = []
    blocks: list[Block] = []
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
    """Idempotency key of a post."""
    command: CommandId | None = None
    """The command that made it."""
    message: MessageId | None = None
    text: str | None = None
    """Text of a post or edit; None for other kinds, once deleted, and when the content is sealed."""
    sealed: bytes | None = None
    """Content that only clients can read, in place of a text."""
    details: Details = NO_DETAILS
    about: int = 0
    """In a channel with history `joined`: number of the message that the entry is about, or of the thread's root; else 0."""
    epoch: str = ""
    """The store's epoch, as the statement that numbered or read the entry saw it."""
    roster: int = 0
    """Changes of the channel's roster before the entry, or, once it was stored, until it was read."""
    members: int = 0
    """Of an entry about a member: how many the channel has afterwards, or when the entry was read."""
    welcome: Welcome | None = None
    """Of a new `member.joined`."""


class Welcome(msgspec.Struct, frozen=True):
    """What a new member is told of the channel."""

    kind: ChannelKind
    name: str
    floor: int
    """The member may not read entries up to this position."""


class Range(msgspec.Struct, frozen=True):
    """The entries of a channel numbered in (after, through]."""

    channel: ChannelId
    after: int
    through: int

    @property
    def count(self) -> int:
        """The number of entries: the log has no gaps."""
        return max(0, self.through - self.after)


class Receipt(msgspec.Struct, frozen=True):
    """A read position that moved."""

    tenant: TenantId
    channel: ChannelId
    user: UserId
    read_seq: int
    command: CommandId
    """The command that moved it."""


class Reads(msgspec.Struct, frozen=True):
    """Read positions that moved in a channel with more than `NAMED_MEMBERS` members."""

    channel: ChannelId
    seq: int
    """Number of the newest message."""
    author: UserId
    seen: int
    """How many other members have read it."""
    receipts: list[Receipt]


class Reaction(msgspec.Struct, frozen=True):
    """One emoji's reactions to a message."""

    emoji: str
    count: int
    users: list[UserId]
    """At most the first 50."""


class Message(msgspec.Struct, frozen=True):
    """A message in its current state."""

    id: MessageId
    channel: ChannelId
    seq: int
    sender: UserId
    text: str | None
    sealed: bytes | None
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


class Invitation(msgspec.Struct, frozen=True):
    """An invitation that waits for an answer."""

    channel: ChannelId
    kind: str
    name: str
    inviter: UserId
    role: str
    at: datetime


class MembershipView(msgspec.Struct, frozen=True):
    """A channel of the caller's tenant, with the caller's membership."""

    id: ChannelId
    kind: ChannelKind
    name: str
    topic: str
    slow_mode_seconds: int
    history: str
    head: int
    archived_to: int
    """The log begins above this number."""
    role: Role | None
    """None for a user who is not a member. The following fields are valid for members only."""
    joined_seq: int
    """Number of the first entry of the membership, which may be yet to come."""
    read_seq: int
    muted: bool
    members: int = 0
    """How many members the channel has."""
    roster: int = 0
    """Number of its last roster change."""
    banned: bool = False

    @property
    def floor(self) -> int:
        """The member sees entries with numbers above this."""
        return max(self.joined_seq - 1 if self.history == "joined" else 0, self.archived_to)


class ChannelListing(msgspec.Struct, frozen=True):
    """A channel as a user's channel list shows it."""

    membership: MembershipView
    unread: int = 0
    peer: User | None = None
    last_message: Message | None = None


class Caller(msgspec.Struct, frozen=True):
    """The user on whose behalf a call is made."""

    tenant: TenantId
    user: UserId
    admin: bool = False
    token_issued_at: float = 0.0
    """Unix seconds; 0 for a service acting for the user."""
    session: str = ""
    """The caller's browser session; empty for a token or a service."""
