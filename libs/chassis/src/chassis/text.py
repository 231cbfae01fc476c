"""Normalizes every line of text that people read, and identifiers, by the same rules at every door.

A line is a name, topic, file name, reason or label. The rules keep two lines that look the same from differing, and keep one
line from changing how the text around it is displayed (Unicode TR 36 and TR 39):
NFC; one kind of space, single and not at the ends; no control, format, private-use or unassigned characters; something visible.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

ZWNJ, ZWJ = "\u200c", "\u200d"
_SPACES = re.compile(r"[ \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_REFUSED: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
_VISIBLE_FORMAT: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that are drawn: they enclose digits in Arabic and Syriac."""
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that are drawn as nothing."""
_FLAG = "\U0001f3f4"
_TAGS = range(0xE0020, 0xE0080)
_MOST_MARKS = 8
"""Combining marks on one letter: more than any writing system uses, fewer than it takes to cover the next line."""


class UnfitTextError(ValueError):
    """The text breaks a rule. Its message names the rule and completes a sentence that starts with the field's name."""


def line(text: str) -> str:
    """Return the normalized line. Raises `UnfitTextError` for text that cannot be shown on one line."""
    normal = _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip(" ")
    if unfit := next((character for index, character in enumerate(normal) if not _fits(normal, index)), None):
        raise UnfitTextError(f"must not contain U+{ord(unfit):04X}")
    if not any(_is_drawn(character) for character in normal):
        raise UnfitTextError("must contain something visible")
    return normal


def readable(text: str, otherwise: str) -> str:
    """Return the part of `text` that fits a line, or `otherwise` when nothing visible is left.

    For text that its reader cannot correct, such as a name in a token of another issuer.
    """
    normal = unicodedata.normalize("NFC", re.sub(r"\s", " ", text))
    kept = "".join(character for index, character in enumerate(normal) if _fits(normal, index))
    try:
        return line(kept)
    except UnfitTextError:
        return otherwise


def is_identifier(text: str) -> bool:
    """Whether `text` can be an id: a normalized line, and not `.` or `..`, which URL parsers remove from paths."""
    try:
        return line(text) == text and text not in (".", "..")
    except UnfitTextError:
        return False


def _fits(text: str, index: int) -> bool:
    character = text[index]
    category = unicodedata.category(character)
    if category == "Mn" and index >= _MOST_MARKS:
        return any(unicodedata.category(before) != "Mn" for before in text[index - _MOST_MARKS : index])
    if category not in _REFUSED or character in _VISIBLE_FORMAT:
        return True
    if character in (ZWJ, ZWNJ):
        return _joins(text, index)
    return ord(character) in _TAGS and _tags_a_flag(text, index)


def _joins(text: str, index: int) -> bool:
    """Whether the joiner stands between two characters that it can join: letters and marks, or emoji (joiner ZWJ only)."""
    if not 0 < index < len(text) - 1:
        return False
    before, after = unicodedata.category(text[index - 1]), unicodedata.category(text[index + 1])
    if before[0] in "LM" and after[0] == "L":
        return not (text[index - 1].isascii() or text[index + 1].isascii())
    return text[index] == ZWJ and before in ("So", "Sk", "Mn") and after in ("So", "Sk")


def _tags_a_flag(text: str, index: int) -> bool:
    """Whether the tag belongs to a subdivision flag, such as England's: a black flag followed by tags."""
    while index and ord(text[index]) in _TAGS:
        index -= 1
    return text[index] == _FLAG


def _is_drawn(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNPS" and character not in _INVISIBLE
