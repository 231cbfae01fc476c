"""Decides what an emoji is, and spells each one in a single way, by the Unicode data of the package `emoji`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import emoji

from chassis.text import UnfitTextError

_SHORTCODE = re.compile(r":[a-z0-9_+-]{1,32}:")
_PRESENTATION = re.compile("[\ufe0e\ufe0f]")
"""The selectors for text and emoji presentation."""
_SPELLINGS: Final = {
    _PRESENTATION.sub("", spelling): spelling
    for spelling, known in emoji.EMOJI_DATA.items()
    if known["status"] == emoji.STATUS["fully_qualified"]
} | {"+1": "👍", "-1": "👎"}
"""The fully qualified spelling of each emoji, by its spelling without presentation selectors."""


@lru_cache(4_096)
def normalized(text: str) -> str:
    """Return the fully qualified spelling of an emoji, or a shortcode. Raises `UnfitTextError` for other text."""
    known = _SPELLINGS.get(_PRESENTATION.sub("", text))
    if known is not None:
        return known
    if _SHORTCODE.fullmatch(text):
        return text
    raise UnfitTextError("must be one emoji, or a shortcode such as :shipit:")
