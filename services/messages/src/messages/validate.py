"""Validates the fields of commands and requests: sizes, characters and formats.

An id with an invalid format is refused like an id that does not exist: NOT_FOUND.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from chassis.errors import InvalidArgument, NotFound, TooLarge
from chassis.ids import is_tenant, is_uuid
from messages.message import ChannelId, MessageId, UserId

TEXT_BYTES = 16 * 1024
KEY_CHARACTERS = 128
USER_CHARACTERS = 128
NAME_CHARACTERS = 128
TOPIC_CHARACTERS = 1_024
REASON_CHARACTERS = 500
EMOJI_BYTES = 64
MENTIONS = 100
ATTACHMENTS = 10
FILE_NAME_CHARACTERS = 255
MEDIA_TYPE_CHARACTERS = 127
MEMBERS_AT_ONCE = 200
SESSION_SECONDS = 30 * 86_400
SLOW_MODE_SECONDS = 21_600
MAX_SEQ = 2**63 - 1

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def channel_id(value: str) -> ChannelId:
    """A channel id; raises `NotFound` for an invalid one."""
    return ChannelId(uuid(value))


def message_id(value: str) -> MessageId:
    """A message id; raises `NotFound` for an invalid one."""
    return MessageId(uuid(value))


@lru_cache(4_096)
def uuid(value: str) -> str:
    """A UUID in lower case; raises `NotFound` for anything else."""
    if not is_uuid(value):
        raise NotFound
    return value


@lru_cache(1_024)
def tenant(value: str) -> str:
    """A tenant; raises `InvalidArgument`."""
    if not is_tenant(value):
        raise InvalidArgument("A tenant is 1 to 64 of a-z 0-9 -")
    return value


def user_id(value: str) -> UserId:
    """A user id; raises `InvalidArgument`."""
    if not 1 <= len(value) <= USER_CHARACTERS or "\x00" in value:
        raise InvalidArgument(f"A user id has 1 to {USER_CHARACTERS} characters")
    return UserId(value)


def text(value: str, *, may_be_empty: bool = False) -> str:
    """A message's text; raises `TooLarge`, `InvalidArgument`."""
    if len(value) * 4 > TEXT_BYTES and len(value.encode()) > TEXT_BYTES:
        raise TooLarge(f"A text has at most {TEXT_BYTES} bytes of UTF-8")
    if "\x00" in value:
        raise InvalidArgument("A text cannot contain NUL")
    if not value and not may_be_empty:
        raise InvalidArgument("A text cannot be empty")
    return value


def key(value: str) -> str:
    """A client's idempotency key; raises `InvalidArgument`."""
    if not 1 <= len(value) <= KEY_CHARACTERS or (not value.isprintable() and _CONTROL.search(value)):
        raise InvalidArgument(f"A key has 1 to {KEY_CHARACTERS} characters, none of them a control character")
    return value


def emoji(value: str) -> str:
    """An emoji; raises `InvalidArgument`."""
    if not 1 <= len(value.encode()) <= EMOJI_BYTES or _CONTROL.search(value):
        raise InvalidArgument(f"An emoji has 1 to {EMOJI_BYTES} bytes")
    return value


def line(value: str, what: str, characters: int) -> str:
    """A name, topic or reason; raises `InvalidArgument`."""
    if len(value) > characters or _CONTROL.search(value):
        raise InvalidArgument(f"A {what} has at most {characters} characters, none of them a control character")
    return value


def display_name(value: str, characters: int = NAME_CHARACTERS) -> str:
    """A line, such as the name in a token, that its user cannot correct: without control characters and cut to size."""
    return _CONTROL.sub("", value)[:characters]


def session_seconds(value: int) -> int:
    """A time after which a browser session ends; raises `InvalidArgument`."""
    if not 1 <= value <= SESSION_SECONDS:
        raise InvalidArgument(f"A browser session ends after 1 to {SESSION_SECONDS} seconds")
    return value


def at_most(values: Sequence[object], bound: int, what: str) -> None:
    """Raise `InvalidArgument` for more than `bound` of something."""
    if len(values) > bound:
        raise InvalidArgument(f"At most {bound} {what}")


def page(requested: int, default: int, most: int) -> int:
    """The size of a page: `default` when none was requested, at most `most`."""
    return min(requested, most) if requested else default


def seq(value: int) -> int:
    """A position, limited to what the database can hold."""
    return min(value, MAX_SEQ)
