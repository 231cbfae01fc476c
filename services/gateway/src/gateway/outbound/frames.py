"""The frames a server sends, spelled as `protocol.md` has them. `event` is not among them: the messages service encodes it."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET, Raw, UnsetType

from chassis.errors import HubbubError
from gateway.outbound.wire import text_frame

Ref: TypeAlias = Raw | UnsetType
"""Any JSON value of the client's, echoed as it came."""


class Limits(msgspec.Struct, frozen=True):
    """What a client must keep to."""

    frame_bytes: int
    text_bytes: int
    sync_events: int
    sends_per_second: int
    burst: int
    connections: int


class ChannelView(msgspec.Struct, frozen=True):
    """A channel in `hello` and `joined`."""

    id: str
    kind: str
    name: str
    role: str
    seq: int
    read_seq: int


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First frame."""

    connection: str
    user: str
    tenant: str
    heartbeat_seconds: int
    limits: Limits
    channels: list[ChannelView]


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
    """How one position is resumed."""

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


class Typing(msgspec.Struct, frozen=True, tag="typing"):
    """Somebody types."""

    channel: str
    user: str


class Presence(msgspec.Struct, frozen=True, tag="presence"):
    """Whether a watched user is there."""

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


Frame: TypeAlias = Hello | Ack | Error | Synced | Joined | Left | Receipt | Typing | Presence | Reconnect | Renewed | Pong

_encode = msgspec.json.Encoder().encode


def encode(frame: Frame) -> bytes:
    """The frame as bytes for the wire, header included."""
    return text_frame(_encode(frame))


def refusal(error: HubbubError, ref: Ref = UNSET) -> bytes:
    """The `error` frame that says what was raised."""
    return encode(Error(error.reason, error.detail, ref, error.retry_after or UNSET))
