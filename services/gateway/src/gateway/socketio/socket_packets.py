"""Encodes and decodes packets of Socket.IO protocol 5, which travel in the `message` packets of Engine.IO.

Source: https://github.com/socketio/socket.io/blob/main/docs/socket.io-protocol/v5-current.md. A packet is a text, followed by as
many binary messages as it announces. Arguments stay JSON in `bytes`: `with_attachments` decodes them for the caller who wants
values. A reserved event name is a packet like any other here, and so is an event whose name is not a text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from gateway.socketio.engine_packets import MalformedPacketError

MAIN = "/"
"""The default namespace."""
MAX_ID = (1 << 53) - 1
"""The largest acknowledgement id: JavaScript counts no further."""
MAX_ATTACHMENTS = 10
"""Of one packet."""
MAX_NAMESPACE = 128
"""Bytes of a namespace, which an answer repeats."""
_FORMAT = re.compile(
    rb"(?P<type>[0-6])(?:(?P<attachments>[0-9]{1,4})-)?(?:(?P<namespace>/[^,]*),?)?(?P<id>[0-9]{1,16})?(?P<data>.*)", re.DOTALL
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")


class Type(Enum):
    """What a packet is for; the value is its first byte."""

    CONNECT = b"0"
    DISCONNECT = b"1"
    EVENT = b"2"
    ACK = b"3"
    CONNECT_ERROR = b"4"
    BINARY_EVENT = b"5"
    BINARY_ACK = b"6"


class Packet(NamedTuple):
    """One packet."""

    type: Type
    namespace: str = MAIN
    id: int | None = None
    """Of an event that asks for an acknowledgement, or of the acknowledgement."""
    data: bytes = b""
    """JSON: an object of `CONNECT` and `CONNECT_ERROR`, an array of events and acknowledgements; empty if there is none."""
    attachments: tuple[bytes, ...] = ()
    """The binary messages that followed it."""

    @property
    def arguments(self) -> list[Raw]:
        """The elements of an array; the first one of an event is its name. Raises `DecodeError` for a lone surrogate."""
        return _parse_array(self.data)

    def without_surrogates(self) -> Packet:
        """The packet with another character for each surrogate: JSON may hold lone ones, which no text can."""
        return self._replace(data=_SURROGATE.sub(rb"\\ufffd", self.data))


class Decoder:
    """Decodes the packets of one session, whose attachments may have `max_bytes` together."""

    __slots__ = ("_attachments", "_awaited", "_max_bytes", "_packet", "_size")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._packet: Packet | None = None
        """Whose attachments are being received; None between packets."""
        self._awaited = 0
        """The number of attachments that it announced."""
        self._attachments: list[bytes] = []
        """Those received."""
        self._size = 0
        """Their bytes."""

    @property
    def waiting(self) -> bool:
        """Whether attachments were announced that have not come."""
        return self._packet is not None

    def text(self, text: bytes) -> Packet | None:
        """The packet in a text, None if attachments are to follow. Raises `MalformedPacketError`."""
        if self._packet is not None:
            raise MalformedPacketError
        packet, count = _decode(text)
        if not count:
            return packet
        self._packet, self._awaited = packet, count
        return None

    def binary(self, attachment: bytes) -> Packet | None:
        """The packet that the attachment completes, None if more are to follow. Raises `MalformedPacketError`."""
        self._size += len(attachment)
        if self._packet is None or self._size > self._max_bytes:
            raise MalformedPacketError
        self._attachments.append(attachment)
        if len(self._attachments) < self._awaited:
            return None
        packet = self._packet._replace(attachments=tuple(self._attachments))
        self._packet, self._attachments, self._size = None, [], 0
        return packet


def encode(packet: Packet) -> bytes:
    """The text of a packet; its attachments follow as they are."""
    return b"".join(
        (
            packet.type.value,
            b"%d-" % len(packet.attachments) if packet.type in (Type.BINARY_EVENT, Type.BINARY_ACK) else b"",
            packet.namespace.encode() + b"," if packet.namespace != MAIN else b"",
            b"%d" % packet.id if packet.id is not None else b"",
            packet.data,
        )
    )


def with_attachments(packet: Packet) -> list[Any]:
    """The arguments as values, with `bytes` in place of each placeholder. Raises `MalformedPacketError`."""
    try:
        return _filled(msgspec.json.decode(packet.data), packet.attachments)  # type: ignore[no-any-return]  # a list stays one
    except (msgspec.DecodeError, RecursionError):
        raise MalformedPacketError from None


def without_attachments(arguments: Sequence[Any]) -> tuple[bytes, tuple[bytes, ...]]:
    """The JSON of arguments with placeholders, and the attachments for which they stand."""
    attachments: list[bytes] = []
    return msgspec.json.encode(_emptied(list(arguments), attachments)), tuple(attachments)


def _decode(text: bytes) -> tuple[Packet, int]:
    found = _FORMAT.fullmatch(text)
    if found is None:
        raise MalformedPacketError
    kind, namespace = Type(found["type"]), found["namespace"] or b"/"
    number = None if found["id"] is None else int(found["id"])
    try:
        packet = Packet(kind, namespace.decode(), number, found["data"])
    except UnicodeDecodeError:
        raise MalformedPacketError from None
    binary = kind in (Type.BINARY_EVENT, Type.BINARY_ACK)
    fits = _fits(packet) or (b"\\u" in packet.data and _fits(packet.without_surrogates()))
    too_much = (number or 0) > MAX_ID or len(namespace) > MAX_NAMESPACE
    if binary is (found["attachments"] is None) or too_much or not fits:
        raise MalformedPacketError
    count = int(found["attachments"] or 0)
    if count > MAX_ATTACHMENTS:
        raise MalformedPacketError
    return packet, count


def _fits(packet: Packet) -> bool:
    """Whether the id and the data are those of the packet's type, and the data is JSON."""
    try:
        match packet.type:
            case Type.CONNECT:
                return packet.id is None and (not packet.data or _is_object(packet.data))
            case Type.DISCONNECT:
                return packet.id is None and not packet.data
            case Type.EVENT | Type.BINARY_EVENT:
                return len(packet.arguments) > 0
            case Type.ACK | Type.BINARY_ACK:
                return packet.id is not None and packet.arguments is not None
            case Type.CONNECT_ERROR:
                return packet.id is None and _is_object(packet.data)
    except (msgspec.DecodeError, RecursionError):
        return False


def _is_object(data: bytes) -> bool:
    _parse_object(data)
    return True


_parse_array = msgspec.json.Decoder(list[Raw]).decode
_parse_object = msgspec.json.Decoder(dict[str, Raw]).decode


def _filled(value: Any, attachments: Sequence[bytes]) -> Any:
    match value:
        case {"_placeholder": True, "num": int(number)} if len(value) == 2:  # noqa: PLR2004 - the two fields of a placeholder
            if not 0 <= number < len(attachments):
                raise MalformedPacketError
            return attachments[number]
        case dict():
            return {key: _filled(each, attachments) for key, each in value.items()}
        case list():
            return [_filled(each, attachments) for each in value]
        case _:
            return value


def _emptied(value: Any, attachments: list[bytes]) -> Any:
    match value:
        case bytes():
            attachments.append(value)
            return {"_placeholder": True, "num": len(attachments) - 1}
        case dict():
            return {key: _emptied(each, attachments) for key, each in value.items()}
        case list():
            return [_emptied(each, attachments) for each in value]
        case _:
            return value
