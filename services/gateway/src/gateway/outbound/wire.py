"""Puts WebSocket frame headers before payloads (RFC 6455, section 5.2: server frames are unmasked, ours are never fragmented)."""

from __future__ import annotations

from typing import Final

_SMALL: Final = 126
_MEDIUM: Final = 1 << 16
_TEXT: Final = 0x81
_CLOSE: Final = 0x88
_PONG: Final = 0x8A
_MAX_REASON: Final = 123


def text_frame(payload: bytes) -> bytes:
    """A whole text message."""
    size = len(payload)
    if size < _SMALL:
        return bytes((_TEXT, size)) + payload
    if size < _MEDIUM:
        return bytes((_TEXT, 126, size >> 8, size & 255)) + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


def pong_frame(payload: bytes) -> bytes:
    """The answer to a ping; control payloads are at most 125 bytes."""
    return bytes((_PONG, len(payload))) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """A close; code 0 gives none. The reason is for people."""
    payload = code.to_bytes(2, "big") + reason.encode()[:_MAX_REASON] if code else b""
    return bytes((_CLOSE, len(payload))) + payload
