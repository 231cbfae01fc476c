"""Frames payloads for WebSocket clients (RFC 6455, section 5.2). Server frames are unmasked, and ours are never fragmented."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model import Framed
from gateway.protocol.close_codes import Close

_SMALL = 126
_MEDIUM = 1 << 16
_TEXT = 0x81
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
                pieces.append(_SMALL_HEADERS[size] if size < _SMALL else _long_header(size))
            pieces.append(payload)
        return b"".join(pieces)

    def close(self, reason: Close) -> bytes:
        """The close frame."""
        return close_frame(reason.code, reason.text)


WEBSOCKET = WebSocketWire()


def pong(payload: bytes) -> Framed:
    """The answer to a ping. A control frame's payload has at most 125 bytes."""
    return Framed(bytes((_PONG, len(payload))) + payload)


def close_frame(code: int, text: str = "") -> bytes:
    """A close frame; code 0 makes one without a code. The text is for people."""
    payload = code.to_bytes(2, "big") + text.encode()[:_MAX_REASON] if code else b""
    return bytes((_CLOSE, len(payload))) + payload


def _long_header(size: int) -> bytes:
    if size < _MEDIUM:
        return bytes((_TEXT, 126, size >> 8, size & 255))
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big")
