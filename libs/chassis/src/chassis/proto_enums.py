"""Converts between the numbers of a protobuf enum and the words that the code uses: ROLE_MEMBER is "member".

A word is the value's name in lower case, without the enum's prefix. UNSPECIFIED, the number 0, is the empty word.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

from chassis.errors import InvalidArgument

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

NumberT = TypeVar("NumberT", bound=int)


def to_word(enum: _EnumTypeWrapper[NumberT], number: NumberT) -> str:
    """Return the word for a number; the empty word for one that this version does not know, as for UNSPECIFIED."""
    return _words(enum).get(number, "")


def requested_word(enum: _EnumTypeWrapper[NumberT], number: NumberT, field: str) -> str:
    """Return the word for the number in a request's field. Raises `InvalidArgument` for UNSPECIFIED and unknown numbers."""
    word = to_word(enum, number)
    if not word:
        raise InvalidArgument(f"{field} must be one of {', '.join(enum.keys()[1:])}")
    return word


def from_word(enum: _EnumTypeWrapper[NumberT], word: str) -> NumberT:
    """Return the number for a word of this enum; UNSPECIFIED for the empty word."""
    number: NumberT = _numbers(enum)[word]
    return number


@cache
def _words(enum: _EnumTypeWrapper[NumberT]) -> dict[NumberT, str]:
    prefix = enum.keys()[0].removesuffix("UNSPECIFIED")  # the linter requires that name for 0, and its prefix for all values
    return {number: name.removeprefix(prefix).lower() if number else "" for name, number in enum.items()}


@cache
def _numbers(enum: _EnumTypeWrapper[NumberT]) -> dict[str, NumberT]:
    return {word: number for number, word in _words(enum).items()}
