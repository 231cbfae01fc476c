"""The frames that the server sends, as docs/protocol.md defines them, and `encode`, which makes payloads of them.

The payload of an `event` frame comes from the messages service, encoded once for all gateways.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import UNSET, Raw, UnsetType

from chassis.errors import HubbubError
from chassis.proto_enums import to_word
from hubbub.events.v1.events_pb2 import Event, Role
from hubbub.messages.v1.messages_pb2 import Channel, ChannelKind

Ref: TypeAlias = Raw | UnsetType
"""The client's `ref`: any JSON value, echoed as it came."""


class Limits(msgspec.Struct, frozen=True):
    """The limits that a client must observe."""

    frame_bytes: int
    text_bytes: int
    sync_events: int
    sends_per_second: int
    burst: int
    connections: int
    named_members: int


class ChannelView(msgspec.Struct, frozen=True):
    """A channel in `hello` and `joined`."""

    id: str
    kind: str
    name: str
    role: str
    seq: int
    read_seq: int


class Membership(msgspec.Struct, frozen=True):
    """A user's membership of a channel, as the messages service answers it."""

    view: ChannelView
    floor: int = 0
    """The member may not read entries up to this position, nor what later entries say about them."""
    roster: int = 0
    """Number of the channel's last roster change when the membership was read."""
    members: int = 0
    """How many members the channel had then."""


class Place(NamedTuple):
    """A membership of a session: where the channel stood when the session was read."""

    channel: str
    seq: int
    """Head of the log."""
    floor: int
    """As in `Membership`."""
    roster: int = 0
    """Number of the last roster change."""
    members: int = 0
    """How many members the channel has."""
    archived_to: int = 0
    """The store's log begins after this entry."""


class Start(NamedTuple):
    """Where a channel starts for a connection, if that differs from the session that was loaded."""

    seq: int
    role: str | None
    """None if it is the session's."""


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First frame."""

    connection: str
    user: str
    tenant: str
    heartbeat_seconds: int
    limits: Limits
    channels: Raw
    """A list of `ChannelView`: all channels of the user, or with `more` those with something unread and the latest active."""
    epoch: str | UnsetType = UNSET
    """The epoch of the positions."""
    more: bool | UnsetType = UNSET
    """The user has more channels; True or left out."""


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """A command is stored."""

    channel: str
    seq: int
    message: str
    at: str
    ref: Ref = UNSET
    duplicate: bool | UnsetType = UNSET


class Error(msgspec.Struct, frozen=True, tag="error"):
    """A frame was refused or failed."""

    reason: str
    detail: str
    ref: Ref = UNSET
    retry_after: float | UnsetType = UNSET


class SyncStatus(msgspec.Struct, frozen=True):
    """How one channel is resumed."""

    status: Literal["complete", "reset", "gone"]
    seq: int | UnsetType = UNSET


class Synced(msgspec.Struct, frozen=True, tag="synced"):
    """Announces what follows a `sync`."""

    channels: dict[str, SyncStatus]
    ref: Ref = UNSET


class Joined(msgspec.Struct, frozen=True, tag="joined"):
    """A channel was gained."""

    channel: ChannelView


class Left(msgspec.Struct, frozen=True, tag="left"):
    """A channel was lost."""

    channel: str


class Receipt(msgspec.Struct, frozen=True, tag="receipt"):
    """A read position moved."""

    channel: str
    user: str
    read_seq: int


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """How many other members have read the newest message of a large channel."""

    channel: str
    seq: int
    count: int


class Members(msgspec.Struct, frozen=True, tag="members"):
    """How many members a large channel has."""

    channel: str
    count: int


class Typing(msgspec.Struct, frozen=True, tag="typing"):
    """A user is typing."""

    channel: str
    user: str


class Presence(msgspec.Struct, frozen=True, tag="presence"):
    """The presence of a watched user."""

    user: str
    status: str
    last_seen: str | None = None


class Reconnect(msgspec.Struct, frozen=True, tag="reconnect"):
    """The server is leaving."""

    after_ms: int


class Renewed(msgspec.Struct, frozen=True, tag="token"):
    """Answers `token`."""

    expires_at: str
    ref: Ref = UNSET


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """Answers `ping`."""

    ref: Ref = UNSET


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """Answers a frame that has no answer of its own. Only for clients whose every frame may be answered (Socket.IO)."""

    ref: Ref = UNSET


Frame: TypeAlias = (
    Accepted
    | Hello
    | Ack
    | Error
    | Synced
    | Joined
    | Left
    | Receipt
    | Seen
    | Members
    | Typing
    | Presence
    | Reconnect
    | Renewed
    | Pong
)

_encode = msgspec.json.Encoder().encode
_AS_LOADED = Start(0, None)


def encode(frame: Frame) -> bytes:
    """The frame's payload."""
    return _encode(frame)


def membership(channel: Channel) -> Membership:
    """The viewer's membership of a channel."""
    kind, role = to_word(ChannelKind, channel.kind), to_word(Role, channel.role)
    view = ChannelView(channel.id, kind, channel.name, role, channel.seq, channel.read_seq)
    return Membership(view, channel.floor, channel.roster, channel.members)


def welcomed(joined: Event) -> Membership:
    """The membership that begins with an event which has a `welcome`."""
    told = joined.welcome
    view = ChannelView(joined.channel, told.kind, told.name, to_word(Role, joined.role), joined.seq, joined.seq)
    return Membership(view, told.floor, joined.roster, joined.members)


_read_views = msgspec.json.Decoder(list[ChannelView]).decode
_read_places = msgspec.json.Decoder(list[Place]).decode


def places(memberships: bytes) -> list[Place]:
    """The memberships of a session."""
    return _read_places(memberships) if memberships else []


def views(listed: bytes) -> list[ChannelView]:
    """The channels of `hello`."""
    return _read_views(listed)


def started(listed: bytes, differing: Mapping[str, Start | None]) -> Raw:
    """The channels of `hello` from those of a session. Those that are None in `differing` are left out."""
    if not listed or not differing:
        return Raw(listed or b"[]")
    shown = []
    for view in _read_views(listed):
        start = differing.get(view.id, _AS_LOADED)
        if start is _AS_LOADED:
            shown.append(view)
        elif start is not None:
            shown.append(msgspec.structs.replace(view, seq=start.seq, role=view.role if start.role is None else start.role))
    return Raw(_encode(shown))


def moment(timestamp: Timestamp) -> str:
    """RFC 3339, UTC, with milliseconds: the form of every time in docs/protocol.md."""
    return timestamp.ToDatetime(tzinfo=UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def refusal(error: HubbubError, ref: Ref = UNSET) -> bytes:
    """The payload of the `error` frame for an exception."""
    return encode(Error(error.reason, error.detail, ref, error.retry_after or UNSET))
