"""The commands that change a channel, and their outcomes, as values.

Structs that exist once per message are untracked by the garbage collector (`gc=False`): they cannot be part of a cycle.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from chassis.blocks import Block
from chassis.errors import HubbubError
from messages.message import Attachment, ChannelId, CommandId, Entry, MessageId, Reads, Receipt, TenantId, UserId


class Post(msgspec.Struct, frozen=True, gc=False):
    """Post a message. Its content is either `text` or `sealed`; the other one is None."""

    text: str | None
    thread: MessageId | None = None
    attachments: list[Attachment] = []
    mentions: list[UserId] = []
    sealed: bytes | None = None
    blocks: list[Block] = []


class Edit(msgspec.Struct, frozen=True):
    """Replace a message's content, as in `Post`."""

    message: MessageId
    text: str | None
    sealed: bytes | None = None
    blocks: list[Block] = []


class Delete(msgspec.Struct, frozen=True):
    """Delete a message."""

    message: MessageId


class React(msgspec.Struct, frozen=True):
    """Add or remove the actor's reaction."""

    message: MessageId
    emoji: str
    remove: bool = False


class Pin(msgspec.Struct, frozen=True):
    """Pin or unpin a message."""

    message: MessageId
    remove: bool = False


class Read(msgspec.Struct, frozen=True):
    """Move the actor's read position."""

    seq: int


Body = Post | Edit | Delete | React | Pin | Read


class Command(msgspec.Struct, frozen=True, gc=False):
    """A request to change a channel."""

    tenant: TenantId
    channel: ChannelId
    actor: UserId
    key: str
    """Idempotency key: (channel, actor, key) makes at most one entry, for ever. Empty when an RPC edits or deletes."""
    id: CommandId
    """The same for every delivery of this command."""
    gateway: str
    """The gateway that awaits the outcome; empty for an RPC."""
    body: Body
    token_issued_at: float = 0.0
    """Unix seconds when the actor's token was issued; 0 for a service acting for the user."""


class Verdict(StrEnum):
    """The result of a command that was not refused."""

    FRESH = "fresh"
    """It made an entry."""
    AGAIN = "again"
    """A redelivery: this command made its entry before."""
    DUPLICATE = "duplicate"
    """A repeat: another command had the same effect before."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The result of a command."""

    command: CommandId
    gateway: str
    """The gateway that awaits it; empty for an RPC."""
    channel: str
    verdict: Verdict | None = None
    """None when refused."""
    error: HubbubError | None = None
    """The reason for refusing it."""
    seq: int = 0
    message: MessageId | None = None
    at: datetime | None = None


class Stored(msgspec.Struct, frozen=True):
    """The committed results of a batch."""

    outcomes: list[Outcome]
    """One for each command except reads, in the order of the batch."""
    entries: list[Entry]
    """To be published, ordered within each channel. Includes the entries of redelivered commands."""
    receipts: list[Receipt]
    """Read positions that moved in channels of up to `NAMED_MEMBERS` members."""
    reads: list[Reads]
    """Those of larger channels."""
    unpublished: list[int]
    """Rows of the table `unpublished` that cover `entries`; they may be deleted once the bus has the entries."""

    @classmethod
    def nothing(cls) -> Stored:
        """The result of an empty batch."""
        return cls([], [], [], [], [])
