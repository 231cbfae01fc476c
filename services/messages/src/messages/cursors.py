"""Opaque paging cursors: the position where a page ended, encoded. Callers must not interpret them."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from chassis.errors import InvalidArgument
from chassis.ids import is_uuid

T = TypeVar("T")
U = TypeVar("U")
_MOST_BYTES = 2_048
_INVALID = "The cursor is not valid"


def write(position: object) -> str:
    """Encode a position, of any type that msgspec encodes."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def read(cursor: str, kind: type[T], first: U) -> T | U:
    """Decode a cursor; an empty one is `first`. Raises `InvalidArgument` for a cursor that `write` did not return."""
    if not cursor:
        return first
    try:
        position = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if b"\\u0000" in position or len(position) > _MOST_BYTES:
            raise InvalidArgument(_INVALID)
        return msgspec.json.decode(position, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidArgument(_INVALID) from error


def read_uuid(cursor: str) -> str | None:
    """Decode a cursor that is a UUID; None for an empty one. Raises as `read`."""
    position = read(cursor, str, "")
    if position and not is_uuid(position):
        raise InvalidArgument(_INVALID)
    return position or None
