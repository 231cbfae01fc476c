"""Opaque paging cursors: the position where a page ended, encoded. Callers must not interpret them."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from chassis.errors import InvalidArgument

T = TypeVar("T")


def write(position: object) -> str:
    """Encode a position, of any type that msgspec encodes."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def read(cursor: str, kind: type[T], first: T) -> T:
    """Decode a cursor; an empty one is `first`. Raises `InvalidArgument` for a cursor that `write` did not return."""
    if not cursor:
        return first
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidArgument("The cursor is not valid") from error
