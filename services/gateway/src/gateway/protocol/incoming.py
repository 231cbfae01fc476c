"""The frames that clients send: their types, and `decode`, which reads one in a single pass.

The fast path is one msgspec decode. A frame that it rejects is examined again to choose between the two answers of
docs/protocol.md: input that is not a JSON object or nests too deeply ends the connection (`Malformed`); a missing or unknown type
or a wrong field is answered with an `error` frame (`FrameRefused`), which carries the frame's `ref` if it has a usable one. The
work for a frame is linear in its bytes, in passes of C code, because bytes are what it costs its sender.

To add a frame: a class here with its cost and scope, its member in `Frame`, its checks in `_check`, and its handler in
`commands.dispatch`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar, Literal, NoReturn, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from chassis.blocks import Blocks
from chassis.bots import BotScope
from chassis.emoji import normalized
from chassis.errors import HubbubError, InvalidFrame, TooLarge
from chassis.text import UnfitTextError
from gateway.protocol.scopes import Beyond, Scope

FRAME_BYTES = 64 * 1024
TEXT_BYTES = 16 * 1024
SEALED_BYTES = 18 * 1024
DEPTH = 32
"""Levels of nesting that a frame may have."""
MAX_SEQ = (1 << 63) - 1
_LONG_INT = 400
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
PARSED_TWICE_BYTES = 4 * 1024
"""A wrong frame up to this size is parsed a second time in Python, to tell exactly what is wrong and to find its `ref`."""
COST_BYTES = 4 * 1024
"""Bytes of a frame that cost as much as one more frame."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_SQUARE = bytes.maketrans(b"{}", b"[]")


Id: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
Seq: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SEQ)]


class _Frame(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", kw_only=True):
    """The fields that every frame may have."""

    cost: ClassVar[float]
    """Tokens that a frame of this type costs, besides those for its bytes. Every type declares its own."""
    scope: ClassVar[Scope]
    """What the token of a bot must permit. Every type declares its own."""
    silent: ClassVar[bool] = False
    """A frame of this type that is accepted has no answer."""
    ref: Raw | UnsetType = UNSET


class Send(_Frame, tag="send"):
    """Post a message, with either `text` or `sealed`."""

    cost: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = BotScope.WRITE
    channel: Id
    key: Id
    text: str | UnsetType = UNSET
    sealed: bytes | UnsetType = UNSET
    """Content that only clients can read; base64 in JSON."""
    thread: Id | None = None
    attachments: Annotated[list[Id], Meta(max_length=10)] = []
    mentions: Annotated[list[Id], Meta(max_length=100)] = []
    blocks: Blocks = []
    """Of bots only."""


class Edit(_Frame, tag="edit"):
    """Replace a message's content, with either `text` or `sealed`."""

    cost: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = BotScope.WRITE
    channel: Id
    message: Id
    text: str | UnsetType = UNSET
    sealed: bytes | UnsetType = UNSET
    blocks: Blocks = []
    """Of bots only; none removes those that the message has."""


class Delete(_Frame, tag="delete"):
    """Delete a message."""

    cost: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = BotScope.WRITE
    channel: Id
    message: Id


class React(_Frame, tag="react"):
    """Add or remove a reaction."""

    cost: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = BotScope.REACT
    channel: Id
    message: Id
    emoji: Id
    remove: bool = False


class Pin(_Frame, tag="pin"):
    """Pin or unpin a message."""

    cost: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = BotScope.MANAGE
    channel: Id
    message: Id
    remove: bool = False


class Sync(_Frame, tag="sync"):
    """Resume channels from positions."""

    cost: ClassVar[float] = 1.0
    """And more for many positions: `commands.dispatch`."""
    scope: ClassVar[Scope] = BotScope.READ
    positions: dict[str, Seq]
    epoch: Id | UnsetType = UNSET
    """The epoch of the positions, as `hello` named it."""


class Read(_Frame, tag="read"):
    """Move the read position."""

    cost: ClassVar[float] = 1.0
    scope: ClassVar[Scope] = BotScope.READ
    silent: ClassVar[bool] = True
    channel: Id
    seq: Seq


class Typing(_Frame, tag="typing"):
    """The user is typing."""

    cost: ClassVar[float] = 0.2
    scope: ClassVar[Scope] = BotScope.WRITE
    silent: ClassVar[bool] = True
    channel: Id


class Watch(_Frame, tag="watch"):
    """Replace the set of users whose presence is sent."""

    cost: ClassVar[float] = 1.0
    """And more for users that it adds: `commands.dispatch`."""
    scope: ClassVar[Scope] = BotScope.READ
    silent: ClassVar[bool] = True
    users: list[Id]


class Status(_Frame, tag="status"):
    """The user's presence on this connection."""

    cost: ClassVar[float] = 0.5
    scope: ClassVar[Scope] = BotScope.READ
    silent: ClassVar[bool] = True
    status: Literal["online", "away", "dnd"]


class Token(_Frame, tag="token"):
    """Continue under a fresh token or a ticket: exactly one of them."""

    cost: ClassVar[float] = 5.0
    """Verifying a signature is expensive."""
    scope: ClassVar[Scope] = Beyond.ANY
    token: Annotated[str, Meta(min_length=1, max_length=8 * 1024)] | UnsetType = UNSET
    ticket: Annotated[str, Meta(min_length=1, max_length=128)] | UnsetType = UNSET


class Ping(_Frame, tag="ping"):
    """Ask for a pong."""

    cost: ClassVar[float] = 0.2
    scope: ClassVar[Scope] = Beyond.ANY


Frame: TypeAlias = Send | Edit | Delete | React | Pin | Sync | Read | Typing | Watch | Status | Token | Ping


def require_declarations(kinds: Iterable[type]) -> None:
    """Raise `TypeError` for a type of frame that does not declare its own cost and scope."""
    if lacking := [kind.__name__ for kind in kinds if not vars(kind).keys() >= {"cost", "scope"}]:
        raise TypeError(f"frames without a declared cost or scope: {lacking}")


require_declarations(get_args(Frame))


class _Reference(msgspec.Struct):
    """The `ref` of a frame that is wrong in everything else."""

    ref: Raw | UnsetType = UNSET


class _Reserved(msgspec.Struct):
    """What `decode_fields` is told apart from the fields."""

    type: Raw | UnsetType = UNSET
    ref: Raw | UnsetType = UNSET


_WRONG = "The type is missing or unknown, or a field is wrong"
_parse = msgspec.json.Decoder(Frame).decode
_parse_reference = msgspec.json.Decoder(_Reference).decode
_parse_reserved = msgspec.json.Decoder(_Reserved).decode
_parsers: dict[str, Callable[[bytes], Frame]] = {
    kind.__struct_config__.tag: msgspec.json.Decoder(kind).decode for kind in get_args(Frame)
}
"""By `type`."""
_NOTHING_RESERVED = _Reserved()


class Malformed(Exception):
    """The input is not a JSON object, or nests too deeply."""


class FrameRefused(Exception):
    """The frame is answered with `error`."""

    def __init__(self, error: HubbubError, ref: Raw | UnsetType) -> None:
        super().__init__(error.reason)
        self.error = error
        self.ref = ref


def decode(data: bytes) -> Frame:
    """The frame; `data` is UTF-8. Raises `Malformed`, `FrameRefused`."""
    try:
        frame: Frame = _parse(data)
    except (msgspec.DecodeError, RecursionError):
        raise Malformed if too_deep(data) else _reject(data) from None
    # Only `ref` can nest. If it is repeated, the decoder shows the last one: so the brackets of all the bytes are counted.
    if frame.ref is not UNSET and too_deep(data):
        raise Malformed
    _check(frame)
    return frame


def decode_fields(name: str, fields: bytes, ref: Raw) -> Frame:
    """The frame of a type with these fields, a JSON object without `type` and `ref`. Raises `Malformed`, `FrameRefused`."""
    if too_deep(fields):
        raise Malformed
    parse = _parsers.get(name)
    if parse is None:
        raise FrameRefused(InvalidFrame("There is no such event for clients"), ref)
    try:
        if _parse_reserved(fields) != _NOTHING_RESERVED:
            raise FrameRefused(InvalidFrame("type and ref are no fields of an event"), ref)
        frame = parse(fields)
    except (msgspec.DecodeError, RecursionError):
        raise FrameRefused(InvalidFrame("A field is missing, unknown or wrong"), ref) from None
    frame.ref = ref
    _check(frame)
    return frame


def check_content(text: str | UnsetType, sealed: bytes | UnsetType, *, may_be_empty: bool) -> None:
    """Raise `InvalidFrame` unless there is either a text or sealed content, and `TooLarge` past its limit."""
    if sealed is UNSET:
        if text is UNSET:
            raise InvalidFrame("text or sealed is missing")
        _check_text(text)
        if not text and not may_be_empty:
            raise InvalidFrame("text is empty")
    elif text is not UNSET:
        raise InvalidFrame("text and sealed exclude each other")
    elif not sealed:
        raise InvalidFrame("sealed is empty")
    elif len(sealed) > SEALED_BYTES:
        raise TooLarge(f"Sealed content is at most {SEALED_BYTES} bytes")


def _check_text(text: str) -> None:
    """Raise `InvalidFrame` for a NUL, too, which PostgreSQL cannot store."""
    if len(text) > TEXT_BYTES or (len(text) * 4 > TEXT_BYTES and len(text.encode()) > TEXT_BYTES):
        raise TooLarge(f"A text is at most {TEXT_BYTES} bytes")
    if "\x00" in text:
        raise InvalidFrame("A text holds no NUL")


def check_id(value: str, field: str) -> None:
    """Raise `InvalidFrame` for control characters; keys that the gateway makes begin with one, so clients cannot choose them."""
    if not value.isprintable() and _CONTROL.search(value):
        raise InvalidFrame(f"{field} holds a control character")


def check_emoji(value: str) -> None:
    """Raise `InvalidFrame` for anything but one emoji or a shortcode."""
    try:
        normalized(value)
    except UnfitTextError as error:
        raise InvalidFrame(f"emoji {error}") from None


def _check(frame: Frame) -> None:
    """Check what types cannot express. Raises `FrameRefused`."""
    try:
        match frame:
            case Send():
                _check_send(frame)
            case Edit():
                check_content(frame.text, frame.sealed, may_be_empty=False)
                check_id(frame.message, "message")
            case Delete() | Pin():
                check_id(frame.message, "message")
            case React():
                check_id(frame.message, "message")
                check_emoji(frame.emoji)
            case Watch():
                for user in frame.users:
                    check_id(user, "users")
            case _:
                pass
    except HubbubError as error:
        raise FrameRefused(error, frame.ref) from None


def _check_send(frame: Send) -> None:
    check_content(frame.text, frame.sealed, may_be_empty=bool(frame.attachments))
    check_id(frame.key, "key")
    if frame.thread is not None:
        check_id(frame.thread, "thread")
    for each in (*frame.attachments, *frame.mentions):
        check_id(each, "attachments or mentions")


def too_deep(data: bytes) -> bool:
    """Whether brackets outside strings nest more than `DEPTH` levels deep, or do not match: that is not JSON."""
    if data.count(b"[") + data.count(b"{") <= DEPTH:
        return False
    if b'"' in data:
        data = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    nested = data.translate(_SQUARE, _NO_BRACKETS)
    for _ in range(DEPTH):
        shallower = nested.replace(b"[]", b"")  # one level less
        if len(shallower) in (0, len(nested)):
            return bool(shallower)
        nested = shallower
    return True


def _parse_int(digits: str) -> int | float:
    """Python refuses integers of some thousand digits; JSON does not."""
    return int(digits) if len(digits) < _LONG_INT else float(digits)


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError


def _reject(data: bytes) -> Malformed | FrameRefused:
    """The exception for input that did not decode."""
    if len(data) > PARSED_TWICE_BYTES:
        return _reject_large(data)
    try:
        value = json.loads(data.decode(), parse_constant=_refuse_constant, parse_int=_parse_int)
    except ValueError:
        return Malformed()
    if not isinstance(value, dict):
        return Malformed()
    try:
        ref = _parse_reference(data).ref
    except msgspec.DecodeError:  # a lone surrogate somewhere: valid JSON, invalid text
        ref = Raw(json.dumps(value["ref"]).encode()) if "ref" in value else UNSET
    return FrameRefused(InvalidFrame(_WRONG), ref)


def _reject_large(data: bytes) -> Malformed | FrameRefused:
    """As `_reject`, in passes of C code; without the `ref` if there is a lone surrogate somewhere."""
    for spelled, has_ref in ((data, True), (_SURROGATE.sub(rb"\\u0041", data), False)):
        try:
            ref = _parse_reference(spelled).ref
        except (msgspec.DecodeError, RecursionError):
            continue
        return FrameRefused(InvalidFrame(_WRONG), ref if has_ref else UNSET)
    return Malformed()
