"""Commands: what somebody wants done to a channel, and what became of it.

What there is one of for each message stays out of the garbage collector's sight: nothing in it can lead back to it.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from enum import StrEnum

import msgspec

from chassis.context import current_request_id
from chassis.errors import HubbubError
from messages.message import Attachment, ChannelId, CommandId, Entry, MessageId, Receipt, TenantId, UserId


class Post(msgspec.Struct, frozen=True, gc=False):
    """Post a message."""

    text: str
    thread: MessageId | None = None
    attachments: list[Attachment] = []
    mentions: list[UserId] = []


class Edit(msgspec.Struct, frozen=True):
    """Replace a message's text."""

    message: MessageId
    text: str


class Delete(msgspec.Struct, frozen=True):
    """Delete a message."""

    message: MessageId


class React(msgspec.Struct, frozen=True):
    """Add or remove one's reaction."""

    message: MessageId
    emoji: str
    remove: bool = False


class Pin(msgspec.Struct, frozen=True):
    """Pin or unpin a message."""

    message: MessageId
    remove: bool = False


class Read(msgspec.Struct, frozen=True):
    """Move one's read position."""

    seq: int


Body = Post | Edit | Delete | React | Pin | Read


class Command(msgspec.Struct, frozen=True, gc=False):
    """One wish to change a channel."""

    tenant: TenantId
    channel: ChannelId
    actor: UserId
    key: str
    """(channel, actor, key) makes one entry for ever. Empty where an RPC edits or deletes: nothing delivers that again."""
    id: CommandId
    """The same for every delivery of this command; empty where it came through an RPC."""
    gateway: str
    """Who awaits the outcome; empty when nobody does."""
    body: Body
    token_issued_at: float = 0.0
    """Unix seconds, of the actor's token; 0 for a service acting for the user."""


class Verdict(StrEnum):
    """What became of a command, when it was not refused."""

    FRESH = "fresh"
    """It made an entry."""
    AGAIN = "again"
    """It was delivered again and had made its entry before."""
    DUPLICATE = "duplicate"
    """Its wish had been fulfilled by another command."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of a command."""

    command: CommandId
    gateway: str
    """Who awaits it; empty when nobody does."""
    channel: str
    verdict: Verdict | None = None
    """None when refused."""
    error: HubbubError | None = None
    """Why it was refused."""
    seq: int = 0
    message: MessageId | None = None
    at: datetime | None = None


class Stored(msgspec.Struct, frozen=True):
    """What a batch left in the database, committed."""

    outcomes: list[Outcome]
    """Of every command but reads, ordered within each channel."""
    entries: list[Entry]
    """To be published: ordered within each channel, with what was published before when a command came again."""
    receipts: list[Receipt]
    noted: list[int]
    """Rows of `unpublished` that remember `entries`."""

    @classmethod
    def nothing(cls) -> Stored:
        """Of no commands."""
        return cls([], [], [], [])


def called() -> CommandId:
    """The id of what a call asks for, `<request>/<random>`: the row names the request. No connection's command is spelled so."""
    return CommandId(f"{current_request_id() or ''}/{secrets.token_hex(6)}")
