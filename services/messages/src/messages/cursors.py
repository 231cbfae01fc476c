"""Opaque cursors: where a page ended, for the next one to start. Nobody else reads them."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from chassis.errors import InvalidArgument

T = TypeVar("T")


def write(place: object) -> str:
    """A cursor for a place that msgspec can encode."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read(cursor: str, kind: type[T], first: T) -> T:
    """The place of a cursor, `first` for none; raises `InvalidArgument` for what was not made here."""
    if not cursor:
        return first
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise InvalidArgument("The cursor is not one of ours") from error
