"""Texts of several languages and scripts, whose words follow Zipf's law."""

from __future__ import annotations

import random
import uuid
from itertools import accumulate

_ALPHABETS = {
    "latin": (list("bcdfghklmnprstvw"), ["a", "e", "i", "o", "u", "ea", "ou"]),
    "accented": (list("bcçdfglmnprstv"), list("aéèêioôuüä")),
    "cyrillic": (list("бвгджзклмнпрстхчш"), list("аеиоуыяю")),
    "greek": (list("βγδθκλμνπρστφχ"), list("αεηιουω")),
    "arabic": (list("بتثجحخدرسشصعفقكلمن"), ["و", "ي", ""]),
    "devanagari": (list("कखगचजटडतदनपबमयरलवसह"), ["ा", "ि", "ी", "ु", "े", "ो", ""]),
}
"""Consonants and vowels."""
_BLOCKS = {"han": (0x4E00, 3_000), "hangul": (0xAC00, 2_000)}
LANGUAGES = ["latin", "accented", "cyrillic", "greek", "arabic", "devanagari", "han", "hangul"]
SHARES = [60, 12, 9, 3, 4, 3, 6, 3]
"""How many of a hundred channels speak each language."""
VOCABULARY, PHRASES = 8_000, 8_000
"""For each language."""
_EMOJI = ["👍", "❤️", "😂", "🎉", "😮", "🙏", "👀", "🚀"]
_FILES = [("png", "image/png"), ("jpg", "image/jpeg"), ("pdf", "application/pdf"), ("docx", "application/octet-stream")]
_FIRST = [
    "Ann", "Bob", "Chloé", "Dmitri", "Елена", "Fatima", "Γιώργος", "花子", "José", "Karl", "Łucja", "Miguel", "Nadia", "Олег",
    "Priya", "민준", "Søren", "Tomás", "Ülkü", "Wei", "Yusuf", "Zoë",
]  # fmt: skip
_LAST = [
    "Adams", "Björk", "Çelik", "Дмитриева", "Eriksen", "Fischer", "García", "鈴木", "Ivanova", "Jansen", "Kowalski", "López",
    "Müller", "Nowak", "Okafor", "Papadopoulos", "Quispe",
]  # fmt: skip
_EXTRAS = ["number", *["link"] * 2, *[""] * 22]


class Words:
    """A vocabulary. The methods draw from the caller's generator, so that each part of a store can be made by itself."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(f"words {seed}")
        weights = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
        self._phrases = []
        for language in LANGUAGES:
            vocabulary = list(dict.fromkeys(_word(dice, language) for _ in range(VOCABULARY * 2)))[:VOCABULARY]
            blank = "" if language == "han" else " "
            known = weights[: len(vocabulary)]
            self._phrases.append([
                blank.join(dice.choices(vocabulary, cum_weights=known, k=dice.randint(1, 6))) for _ in range(PHRASES)
            ])  # fmt: skip

    def text(self, dice: random.Random, language: int) -> str:
        """A message: one to a dozen phrases, now and then with a link, a file name or a word that occurs nowhere else."""
        phrases, draw = self._phrases[language], dice.random
        text = phrases[int(draw() * PHRASES)]
        for _ in range(int(draw() ** 4 * 12)):
            text += " " + phrases[int(draw() * PHRASES)]
        match _EXTRAS[int(draw() * len(_EXTRAS))]:
            case "number":
                return f"{text} ticket-{dice.getrandbits(40):x}"
            case "link":
                return f"{text} https://example.org/{dice.getrandbits(16):x}/report_{dice.getrandbits(8)}.pdf"
            case _:
                return text


def emoji(dice: random.Random) -> str:
    """An emoji; the first are the most frequent."""
    return _EMOJI[int(dice.random() ** 2 * len(_EMOJI))]


def upload(dice: random.Random) -> str:
    """The JSON of an attachment, with a random id."""
    id_ = uuid.UUID(int=dice.getrandbits(128), version=4)
    ending, kind = dice.choice(_FILES)
    size = dice.getrandbits(20)
    return f'{{"id":"{id_}","name":"file-{size % 977}.{ending}","size":{size},"type":"{kind}"}}'


def person(dice: random.Random) -> str:
    """The name of a user."""
    return f"{dice.choice(_FIRST)} {dice.choice(_LAST)}"


def _word(dice: random.Random, language: str) -> str:
    if language in _BLOCKS:
        first, count = _BLOCKS[language]
        return "".join(chr(first + int(dice.random() ** 2 * count)) for _ in range(dice.randint(1, 4)))
    consonants, vowels = _ALPHABETS[language]
    return "".join(dice.choice(consonants) + dice.choice(vowels) for _ in range(dice.randint(1, 4)))
