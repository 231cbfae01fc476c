"""Reads what clients send: typed, in one pass, and tells a frame that is wrong from bytes that are no frame at all.

The fast path is one msgspec decode. Only when that refuses is the frame looked at again, slowly, to say which of the two
answers `protocol.md` has for it: not a JSON object, or nested too deeply, ends the socket (`Malformed`, close 4502); a
missing or unknown type or a wrong field is answered (`InvalidFrame`, with the frame's `ref` where it has a usable one).
"""

from __future__ import annotations

import json
import re
from typing import Final, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

from chassis.errors import HubbubError, InvalidFrame, TooLarge
from gateway.inbound.frames import Delete, Edit, Frame, Pin, React, Send, Watch, parse, parse_reference

FRAME_BYTES: Final = 64 * 1024
TEXT_BYTES: Final = 16 * 1024
DEPTH: Final = 32
EMOJI_BYTES: Final = 64
_LONG_INT = 400
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class Malformed(Exception):
    """Not a JSON object, or nested too deeply."""


class FrameRefused(Exception):
    """A frame that is answered with `error`."""

    def __init__(self, error: HubbubError, ref: Raw | UnsetType) -> None:
        super().__init__(error.reason)
        self.error = error
        self.ref = ref


def decode(data: bytes) -> Frame:
    """The frame; `data` is UTF-8. Raises `Malformed`, `FrameRefused`."""
    try:
        frame: Frame = parse(data)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed if _depth(data) > DEPTH else _reject(data) from None
    # No other field of any frame can nest, and only the last of several is seen here: hence the brackets of all the bytes.
    if frame.ref is not UNSET and data.count(b"[") + data.count(b"{") > DEPTH and _depth(data) > DEPTH:
        raise Malformed
    _check(frame)
    return frame


def check_text(text: str) -> None:
    """Raise `TooLarge` past the limit and `InvalidFrame` for what no store can hold."""
    if len(text) > TEXT_BYTES or (len(text) * 4 > TEXT_BYTES and len(text.encode()) > TEXT_BYTES):
        raise TooLarge(f"A text is at most {TEXT_BYTES} bytes")
    if "\x00" in text:
        raise InvalidFrame("A text holds no NUL")


def check_id(value: str, field: str) -> None:
    """Raise `InvalidFrame` for control characters: the gateway's own keys begin with one, so that no client can spell them."""
    if not value.isprintable() and _CONTROL.search(value):
        raise InvalidFrame(f"{field} holds a control character")


def _check(frame: Frame) -> None:
    """What types cannot say."""
    try:
        match frame:
            case Send():
                _check_send(frame)
            case Edit():
                check_text(frame.text)
                check_id(frame.message, "message")
                if not frame.text:
                    raise InvalidFrame("text is empty")
            case Delete() | Pin():
                check_id(frame.message, "message")
            case React():
                check_id(frame.message, "message")
                check_id(frame.emoji, "emoji")
                if len(frame.emoji.encode()) > EMOJI_BYTES:
                    raise InvalidFrame(f"An emoji is at most {EMOJI_BYTES} bytes")
            case Watch():
                for user in frame.users:
                    check_id(user, "users")
            case _:
                pass
    except HubbubError as error:
        raise FrameRefused(error, frame.ref) from None


def _check_send(frame: Send) -> None:
    check_text(frame.text)
    check_id(frame.key, "key")
    if not frame.text and not frame.attachments:
        raise InvalidFrame("text is empty")
    if frame.thread is not None:
        check_id(frame.thread, "thread")
    for each in (*frame.attachments, *frame.mentions):
        check_id(each, "attachments or mentions")


def _depth(data: bytes) -> int:
    """How deeply brackets outside strings nest."""
    depth = deepest = 0
    for token in _TOKENS.finditer(data):
        match token.group():
            case b"{" | b"[":
                depth += 1
                deepest = max(deepest, depth)
            case b"}" | b"]":
                depth -= 1
    return deepest


def _parse_int(digits: str) -> int | float:
    """Python refuses integers of some thousand digits; JSON does not."""
    return int(digits) if len(digits) < _LONG_INT else float(digits)


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError


def _reject(data: bytes) -> Malformed | FrameRefused:
    """Which of the two answers a frame gets that did not decode."""
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant, parse_int=_parse_int)
    except ValueError:
        return Malformed()
    if not isinstance(value, dict):
        return Malformed()
    try:
        ref = parse_reference(data).ref
    except msgspec.DecodeError:  # a lone surrogate somewhere: JSON, but no text
        ref = Raw(json.dumps(value["ref"]).encode()) if "ref" in value else UNSET
    detail = "The type is missing or unknown, or a field is wrong"
    return FrameRefused(InvalidFrame(detail), ref)
