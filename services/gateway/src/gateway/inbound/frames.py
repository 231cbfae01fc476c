"""The frames that clients send, typed: what msgspec makes of the bytes. What types cannot say is `reading`'s to check.

A module of its own because it is never compiled (`docs/adr/0019`): mypyc drops what a class statement tells msgspec.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

MAX_SEQ: Final = (1 << 63) - 1

Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SEQ)]


class _Frame(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """What every frame may carry."""

    ref: Raw | UnsetType = UNSET


class Send(_Frame, tag="send"):
    """Post a message."""

    channel: Id
    key: Id
    text: str
    thread: Id | None = None
    attachments: Annotated[list[Id], Meta(max_length=10)] = []
    mentions: Annotated[list[Id], Meta(max_length=100)] = []


class Edit(_Frame, tag="edit"):
    """Replace a message's text."""

    channel: Id
    message: Id
    text: str


class Delete(_Frame, tag="delete"):
    """Delete a message."""

    channel: Id
    message: Id


class React(_Frame, tag="react"):
    """Add or take away a reaction."""

    channel: Id
    message: Id
    emoji: Id
    remove: bool = False


class Pin(_Frame, tag="pin"):
    """Pin or unpin a message."""

    channel: Id
    message: Id
    remove: bool = False


class Sync(_Frame, tag="sync"):
    """Resume channels from positions."""

    positions: dict[str, Seq]


class Read(_Frame, tag="read"):
    """Move the read position."""

    channel: Id
    seq: Seq


class Typing(_Frame, tag="typing"):
    """Say that the user types."""

    channel: Id


class Watch(_Frame, tag="watch"):
    """Replace the set of users whose presence is seen."""

    users: list[Id]


class Status(_Frame, tag="status"):
    """Say how present the user is at this socket."""

    status: Literal["online", "away", "dnd"]


class Token(_Frame, tag="token"):
    """Go on under a fresh token, or under what a ticket was bought with: exactly one of them."""

    token: Annotated[str, Meta(min_length=1, max_length=8 * 1024)] | UnsetType = UNSET
    ticket: Annotated[str, Meta(min_length=1, max_length=128)] | UnsetType = UNSET


class Ping(_Frame, tag="ping"):
    """Ask for a pong."""


Frame: TypeAlias = Send | Edit | Delete | React | Pin | Sync | Read | Typing | Watch | Status | Token | Ping


class Reference(msgspec.Struct):
    """What a frame that is wrong in all else may still be answered by."""

    ref: Raw | UnsetType = UNSET


parse = msgspec.json.Decoder(Frame).decode
parse_reference = msgspec.json.Decoder(Reference).decode
