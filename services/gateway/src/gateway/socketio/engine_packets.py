"""Encodes and decodes packets of Engine.IO protocol 4, and the payloads of HTTP long-polling, which hold several.

Source: https://github.com/socketio/socket.io/blob/main/docs/engine.io-protocol/v4-current.md. Text is UTF-8 in `bytes`; the
caller checks that what it decodes is UTF-8. `socketio.socket_packets` handles what a `message` packet contains.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

SEPARATOR = b"\x1e"
"""Between the packets of a payload. It cannot occur in JSON, which escapes control characters."""
_BINARY = b"b"


class MalformedPacketError(ValueError):
    """The input is not a packet: the session must end."""


class Type(Enum):
    """What a packet is for; the value is its first byte."""

    OPEN = b"0"
    CLOSE = b"1"
    PING = b"2"
    PONG = b"3"
    MESSAGE = b"4"
    UPGRADE = b"5"
    NOOP = b"6"


class Packet(NamedTuple):
    """One packet."""

    type: Type
    data: bytes = b""
    binary: bool = False
    """A `message` whose data is binary rather than text."""


_TYPES = {each.value[0]: each for each in Type}


def decode_text(text: bytes) -> Packet:
    """The packet in one text message of a WebSocket. Raises `MalformedPacketError`."""
    found = _TYPES.get(text[0]) if text else None
    if found is None:
        raise MalformedPacketError
    return Packet(found, text[1:])


def decode_payload(payload: bytes) -> Iterator[Packet]:
    """The packets of a payload, one by one. Raises `MalformedPacketError` when it comes to one that is not valid."""
    for piece in payload.split(SEPARATOR):
        yield _decode_binary(piece[1:]) if piece.startswith(_BINARY) else decode_text(piece)


def encode_text(packet: Packet) -> bytes:
    """A packet with text as one text message of a WebSocket. Binary data is sent as it is, in a binary message."""
    return packet.type.value + packet.data


def encode_payload(packets: Iterable[Packet]) -> bytes:
    """A payload. Text data must not contain `SEPARATOR`."""
    return SEPARATOR.join(_BINARY + base64.b64encode(packet.data) if packet.binary else encode_text(packet) for packet in packets)


def _decode_binary(encoded: bytes) -> Packet:
    try:
        return Packet(Type.MESSAGE, base64.b64decode(encoded, validate=True), binary=True)
    except binascii.Error:
        raise MalformedPacketError from None
