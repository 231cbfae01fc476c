"""Frames payloads for WebSocket clients (RFC 6455, section 5.2). Server frames are unmasked, and ours are never fragmented."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway.model import Connection, Framed
from gateway.protocol.close_codes import Close

_SMALL = 126
_MEDIUM = 1 << 16
_TEXT = 0x81
_BINARY = 0x82
_CLOSE = 0x88
_PONG = 0x8A
_MAX_REASON = 123
_SMALL_HEADERS = [bytes((_TEXT, size)) for size in range(_SMALL)]


class WebSocketWire:
    """The `Wire` of every WebSocket client."""

    def join(self, payloads: Sequence[bytes]) -> bytes:
        """One text message for each payload, all in one piece."""
        pieces: list[bytes] = []
        for payload in payloads:
            if type(payload) is bytes:
                size = len(payload)
                pieces.append(_SMALL_HEADERS[size] if size < _SMALL else _long_header(_TEXT, size))
            pieces.append(payload)
        return b"".join(pieces)

    def close(self, reason: Close) -> bytes:
        """The close frame."""
        return close_frame(reason.code, reason.text)

    def counts(self, connection: Connection) -> bool:
        """Every one does."""
        del connection
        return True


WEBSOCKET = WebSocketWire()


def text_frame(payload: bytes) -> bytes:
    """A text message."""
    size = len(payload)
    return (_SMALL_HEADERS[size] if size < _SMALL else _long_header(_TEXT, size)) + payload


def binary_frame(payload: bytes) -> bytes:
    """A binary message."""
    size = len(payload)
    return (bytes((_BINARY, size)) if size < _SMALL else _long_header(_BINARY, size)) + payload


class Frame(NamedTuple):
    """A frame of the server, unframed: a text or binary message, or a control frame (neither)."""

    payload: bytes
    end: int
    """Where the next frame begins."""
    is_text: bool
    is_binary: bool


def unframed(data: bytes | bytearray, start: int) -> Frame:
    """The frame that begins at `start`. For transports without frames; `data` was made by this module."""
    size, begin = data[start + 1], start + 2
    if size >= _SMALL:
        width = 2 if size == _SMALL else 8
        size, begin = int.from_bytes(data[begin : begin + width], "big"), begin + width
    return Frame(bytes(data[begin : begin + size]), begin + size, data[start] == _TEXT, data[start] == _BINARY)


def pong(payload: bytes) -> Framed:
    """The answer to a ping. A control frame's payload has at most 125 bytes."""
    return Framed(bytes((_PONG, len(payload))) + payload)


def close_frame(code: int, text: str = "") -> bytes:
    """A close frame; code 0 makes one without a code. The text is for people."""
    payload = code.to_bytes(2, "big") + text.encode()[:_MAX_REASON] if code else b""
    return bytes((_CLOSE, len(payload))) + payload


def _long_header(opcode: int, size: int) -> bytes:
    if size < _MEDIUM:
        return bytes((opcode, 126, size >> 8, size & 255))
    return bytes((opcode, 127)) + size.to_bytes(8, "big")
