"""Describes the two frames that the messages service encodes, `event` and `invited`. Nothing is encoded with these types.

A kind of event is one class, listed in `Entry`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chassis.blocks import Blocks
from gateway.http.shapes import Attachment, Invitation, NumericDate, RoleName, Uuid, Whole


class _Event(msgspec.Struct, kw_only=True, tag_field="type", tag="event"):
    """One entry of a channel's log."""

    channel: Uuid
    seq: Annotated[int, Meta(ge=1)]
    actor: str
    """The user who did it."""
    at: NumericDate


class Post(msgspec.Struct):
    """A new message. After its deletion `text` is null, and attachments and mentions are empty."""

    message: Uuid
    key: str
    text: str | None
    thread: Uuid | None
    attachments: list[Attachment]
    mentions: list[str]
    sealed: bytes | UnsetType = UNSET
    """Content that only clients can read."""
    blocks: Blocks | UnsetType = UNSET
    """What a bot's message shows in place of its text."""


class Edit(msgspec.Struct):
    """New content of a message."""

    message: Uuid
    text: str | None
    sealed: bytes | UnsetType = UNSET
    blocks: Blocks | UnsetType = UNSET


class About(msgspec.Struct):
    """The message that changed."""

    message: Uuid


class Reaction(msgspec.Struct):
    """A reaction to a message."""

    message: Uuid
    emoji: str


class Membership(msgspec.Struct):
    """A member's role; null when the membership ended."""

    user: str
    role: RoleName | None


class Settings(msgspec.Struct):
    """A channel's settings after the change."""

    name: str
    topic: str
    slow_mode_seconds: Whole


class MessagePosted(_Event, kw_only=True):
    """A message was posted."""

    kind: Literal["message.posted"]
    data: Post


class MessageEdited(_Event, kw_only=True):
    """A message was edited."""

    kind: Literal["message.edited"]
    data: Edit


class MessageChanged(_Event, kw_only=True):
    """A message was deleted, pinned or unpinned."""

    kind: Literal["message.deleted", "message.pinned", "message.unpinned"]
    data: About


class ReactionChanged(_Event, kw_only=True):
    """A reaction was added or removed."""

    kind: Literal["reaction.added", "reaction.removed"]
    data: Reaction


class MemberChanged(_Event, kw_only=True):
    """A user joined, left, was removed, or has another role."""

    kind: Literal["member.joined", "member.left", "member.removed", "member.role_changed"]
    data: Membership


class ChannelChanged(_Event, kw_only=True):
    """A channel was created or has other settings."""

    kind: Literal["channel.created", "channel.updated"]
    data: Settings


Entry: TypeAlias = MessagePosted | MessageEdited | MessageChanged | ReactionChanged | MemberChanged | ChannelChanged


class Invited(msgspec.Struct, tag_field="type", tag="invited"):
    """Another user invited the user to a channel."""

    invitation: Invitation
