"""Validates the fields of commands and requests: sizes, characters and formats.

An id with an invalid format is refused like an id that does not exist: NOT_FOUND.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from chassis import text as text_rules
from chassis.emoji import normalized
from chassis.errors import InvalidArgument, NotFound, TooLarge
from chassis.ids import is_tenant, is_uuid
from chassis.text import UnfitTextError
from messages.message import ChannelId, MessageId, UserId

TEXT_BYTES = 16 * 1024
SEALED_BYTES = 18 * 1024
"""A text of full length with 2 KiB for its envelope."""
KEY_CHARACTERS = 128
USER_CHARACTERS = 128
NAME_CHARACTERS = 128
TOPIC_CHARACTERS = 1_024
REASON_CHARACTERS = 500
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


@lru_cache(16_384)
def user_id(value: str) -> UserId:
    """A user id; raises `InvalidArgument`."""
    if not 1 <= len(value) <= USER_CHARACTERS or not text_rules.is_identifier(value):
        raise InvalidArgument(f"A user id has 1 to {USER_CHARACTERS} characters, all of them visible")
    return UserId(value)


def mentioned(values: Sequence[str]) -> list[UserId]:
    """Mentioned users, without ids that cannot exist; raises `InvalidArgument` for the length of one."""
    if not all(1 <= len(value) <= USER_CHARACTERS for value in values):
        raise InvalidArgument(f"A user id has 1 to {USER_CHARACTERS} characters")
    return [UserId(value) for value in values if text_rules.is_identifier(value)]


def text(value: str, *, may_be_empty: bool = False) -> str:
    """A message's text; raises `TooLarge`, `InvalidArgument`."""
    if len(value) * 4 > TEXT_BYTES and len(value.encode()) > TEXT_BYTES:
        raise TooLarge(f"A text has at most {TEXT_BYTES} bytes of UTF-8")
    if "\x00" in value:
        raise InvalidArgument("A text cannot contain NUL")
    if not value and not may_be_empty:
        raise InvalidArgument("A text cannot be empty")
    return value


def sealed(value: bytes) -> bytes:
    """Sealed content; raises `TooLarge`, `InvalidArgument`."""
    if len(value) > SEALED_BYTES:
        raise TooLarge(f"Sealed content has at most {SEALED_BYTES} bytes")
    if not value:
        raise InvalidArgument("Sealed content cannot be empty")
    return value


def key(value: str) -> str:
    """A client's idempotency key; raises `InvalidArgument`."""
    if not 1 <= len(value) <= KEY_CHARACTERS or (not value.isprintable() and _CONTROL.search(value)):
        raise InvalidArgument(f"A key has 1 to {KEY_CHARACTERS} characters, none of them a control character")
    return value


def emoji(value: str) -> str:
    """An emoji in its one spelling; raises `InvalidArgument`."""
    try:
        return normalized(value)
    except UnfitTextError as error:
        raise InvalidArgument(f"An emoji {error}") from None


def line(value: str, what: str, characters: int) -> str:
    """A name, topic, file name or reason, normalized; may be empty. Raises `InvalidArgument`."""
    if len(value) > characters:
        raise InvalidArgument(f"A {what} has at most {characters} characters")
    try:
        return text_rules.line(value) if value else ""
    except UnfitTextError as error:
        raise InvalidArgument(f"A {what} {error}") from None


def query(value: str, characters: int) -> str:
    """Words to search for; raises `InvalidArgument`."""
    if len(value) > characters or "\x00" in value:
        raise InvalidArgument(f"A query has at most {characters} characters, none of them NUL")
    return value


def display_name(value: str, characters: int = NAME_CHARACTERS) -> str:
    """A line, such as the name in a token, that its user cannot correct: what fits a line, cut to size; may be empty."""
    return text_rules.readable(value, "")[:characters].strip()


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
