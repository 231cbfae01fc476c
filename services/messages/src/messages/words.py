"""Turns texts into the words under which search finds them, and what a person types into a query for PostgreSQL.

A word is lower case, without accents: `Café` is `cafe`. Scripts without blanks (Han, kana, Hangul, Thai, Khmer, Lao, Burmese)
are cut into pairs of characters, so any part of a sentence is found. Everything else is cut where a character is neither a letter
nor a digit: addresses, paths and file names are found by their parts. Beside a word stand its stem (`=deploy` for `deployed`) and
the parts of a compound such as `QuarterlyReport2026`. The first three and four characters of words and parts are lexemes too
(`^dep`, `^depl`), so that a short beginning is looked up as one lexeme and not as all words that begin with it.

A change here needs a rebuild of the index: both sides must make the same words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import Stemmer

_MOST_CHARACTERS = 64
"""Longer words are cut."""
_LAST_POSITION = 16_383
"""The highest position that a `tsvector` holds."""
_PREFIX_CHARACTERS = 3
"""The last word of a query is a prefix from this length on: a shorter one would match too many words."""
_HEADS = (_PREFIX_CHARACTERS, _PREFIX_CHARACTERS + 1)
"""Beginnings of so many characters are lexemes of their own."""
_MOST_WORDS = 32
"""Words of a query that count."""
_CHUNKS = re.compile(r'(-?)"([^"]*)(?:"|$)|(\S+)')
_ASCII = re.compile(r"[A-Za-z0-9]+(?:\+\+|#(?![A-Za-z0-9]))?")
_HUMPS = re.compile(r"[0-9]{3,}|[A-Z]{3,}(?![a-z])|[A-Z]?[a-z]{2,}")
_MARKS_KEPT = frozenset({0, 7, 8, 9, 84, 91, 103, 107, 118, 122, 129, 130, 132})
"""Combining classes of marks that spell a word, such as the vowels of Indic scripts. All other marks are accents."""
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3041, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0x1B000, 0x1B2FF),
    (0x20000, 0x3FFFF),
)  # fmt: skip
"""Blocks of scripts that are written without blanks, or, as Hangul, with particles attached to the words."""
_CYRILLIC, _GREEK = (0x0400, 0x052F), (0x0370, 0x03FF)
_STEMMERS = {
    "latin": Stemmer.Stemmer("english", 0),
    "cyrillic": Stemmer.Stemmer("russian", 0),
    "greek": Stemmer.Stemmer("greek", 0),
}
"""Snowball's stemmers, without a cache of their own."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word at one position of a text."""

    lexeme: str
    others: tuple[str, ...] = ()
    """Its stem and parts, at the same position."""
    heads: tuple[str, ...] = ()
    """The beginnings of the word and its parts that are lexemes, without a position."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for."""

    tsquery: str
    """In the syntax of PostgreSQL's `tsquery`; empty if nothing can be found."""

    @property
    def has_prefix(self) -> bool:
        """Whether it looks for beginnings of words."""
        return "':*" in self.tsquery


def vector(texts: Iterable[str], sender: str = "") -> str:
    """The words of a message's texts as a `tsvector`. A phrase does not reach from one text into the next."""
    positions: dict[str, list[int]] = {}
    heads: dict[str, None] = {}
    at = 0
    for text in texts:
        for word in words(text):
            at = min(at + 1, _LAST_POSITION)
            for lexeme in (word.lexeme, *word.others):
                positions.setdefault(lexeme, []).append(at)
            heads |= dict.fromkeys(word.heads)
        at = min(at + 1, _LAST_POSITION)
    written = [f"{_quoted(lexeme)}:{','.join(map(str, found))}" for lexeme, found in positions.items()]
    written += map(_quoted, heads)
    if sender:
        written.append(_quoted(sent_by(sender)))
    return " ".join(written)


def sent_by(sender: str) -> str:
    """The lexeme of a message's sender, which is no word."""
    return f"@{sender}"


def from_sender(sender: str) -> str:
    """The `tsquery` that finds every message of a sender."""
    return _quoted(sent_by(sender))


def query(typed: str, sender: str = "") -> Query:
    """What a person typed: words that all must occur, "phrases", -exclusions, and OR between alternatives.

    The last word may be the beginning of a word. A query of exclusions alone finds nothing.
    """
    alternatives: list[list[str]] = [[]]
    left = _MOST_WORDS
    for match in _CHUNKS.finditer(typed):
        minus, phrase, chunk = match.groups()
        if chunk in {"OR", "or"}:
            alternatives.append([])
            continue
        if chunk and chunk.startswith("-"):
            minus, chunk = "-", chunk.lstrip("-")
        found = list(words(phrase if chunk is None else chunk))[:left]
        left -= len(found)
        if found:
            open_ended = chunk is not None and match.end() == len(typed) and not minus
            alternatives[-1].append(("!" if minus else "") + _term(found, exact=chunk is None, open_ended=open_ended))
    positive = [" & ".join(terms) for terms in alternatives if any(not term.startswith("!") for term in terms)]
    if not positive:
        return Query("")
    wanted = " | ".join(f"({each})" for each in positive) if len(positive) > 1 else positive[0]
    return Query(f"({wanted}) & {from_sender(sender)}" if sender else wanted)


def _term(found: Sequence[Word], *, exact: bool, open_ended: bool) -> str:
    """The words of one chunk, which stand next to each other."""
    *before, last = found
    parts = [_quoted(word.lexeme) for word in before]
    prefix = open_ended and (len(last.lexeme) >= _PREFIX_CHARACTERS or _is_unspaced(last.lexeme[0]))
    single = not before and not exact
    if prefix and single and len(last.lexeme) in _HEADS:
        forms = [_quoted(f"^{last.lexeme}")]
    else:
        forms = [_quoted(last.lexeme) + (":*" if prefix or (_is_unspaced(last.lexeme[0]) and len(last.lexeme) == 1) else "")]
    if single:
        forms += [_quoted(other) for other in last.others if other.startswith("=")]
    parts.append(f"({' | '.join(forms)})" if len(forms) > 1 else forms[0])
    return f"({' <-> '.join(parts)})" if len(parts) > 1 else parts[0]


def words(text: str) -> Iterator[Word]:
    """The words of a text, in order."""
    if text.isascii():
        for match in _ASCII.finditer(text):
            yield _word(match[0])
        return
    for run in _runs(text):
        if _is_unspaced(run[0]):
            folded = unicodedata.normalize("NFC", run).casefold()
            yield from (Word(folded[n : n + 2]) for n in range(len(folded)))
        else:
            yield _word(run)


def _runs(text: str) -> Iterator[str]:
    """Cut a text, without its accents, into runs of letters and digits of one kind of script."""
    run: list[str] = []
    unspaced = False
    for character in unicodedata.normalize("NFKD", text):
        category = unicodedata.category(character)
        if category[0] == "M":
            if run and (unicodedata.combining(character) in _MARKS_KEPT):
                run.append(character)
            continue
        if category[0] not in "LN":
            if run:
                yield "".join(run)
                run = []
            continue
        if run and _is_unspaced(character) is not unspaced:
            yield "".join(run)
            run = []
        unspaced = _is_unspaced(character)
        run.append(character)
    if run:
        yield "".join(run)


@lru_cache(16_384)
def _word(run: str) -> Word:
    """A word with its stem and its parts."""
    lexeme = run.casefold()[:_MOST_CHARACTERS]
    others: list[str] = []
    if stemmer := _stemmer(lexeme):
        others.append(f"={stemmer.stemWord(lexeme)}")
    if run.isascii() and not run.isdigit():
        parts = [lexeme.rstrip("+#")] if not run[-1].isalnum() else [part.casefold() for part in _HUMPS.findall(run)]
        others += [part[:_MOST_CHARACTERS] for part in dict.fromkeys(parts) if part != lexeme]
    whole = [lexeme, *(other for other in others if not other.startswith("="))]
    heads = dict.fromkeys(f"^{each[:size]}" for each in whole for size in _HEADS if len(each) >= size)
    return Word(lexeme, tuple(others), tuple(heads))


def _stemmer(lexeme: str) -> Stemmer.Stemmer | None:
    """The stemmer of the word's script; None for digits and scripts without one."""
    first = ord(lexeme[0])
    if lexeme[0].isdigit():
        return None
    if first < 0x0250:  # noqa: PLR2004 - the end of the Latin blocks
        return _STEMMERS["latin"]
    if _CYRILLIC[0] <= first <= _CYRILLIC[1]:
        return _STEMMERS["cyrillic"]
    return _STEMMERS["greek"] if _GREEK[0] <= first <= _GREEK[1] else None


@lru_cache(16_384)
def _is_unspaced(character: str) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in _UNSPACED)


def _quoted(lexeme: str) -> str:
    """A lexeme in the syntax of `tsvector` and `tsquery`."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
