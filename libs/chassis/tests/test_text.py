"""Requirements of `chassis.text`."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.text import UnfitTextError, is_identifier, line, readable

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
HEART_ON_FIRE = "\u2764\ufe0f\u200d\U0001f525"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
PERSIAN = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
CONJUNCT = "\u0915\u094d\u200d\u0937"


@pytest.mark.parametrize(
    "text",
    [
        "Ann",
        "Zoë Müller",
        "李小龍",
        "general-2",
        "👍🏽",
        FAMILY,
        HEART_ON_FIRE,
        ENGLAND,
        PERSIAN,
        CONJUNCT,
        "O'Neil & Söhne",
        "ทั้ง",
    ],
)
def test_text_in_any_script_is_kept_as_it_is(text: str) -> None:
    assert line(text) == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("e\u0301", "é"),
        ("  Ann  ", "Ann"),
        ("Ann\u00a0Lee", "Ann Lee"),
        ("Ann   Lee", "Ann Lee"),
        ("a\u3000b", "a b"),
        ("\u212b", "Å"),
    ],
)
def test_spellings_that_look_the_same_become_one(text: str, normal: str) -> None:
    assert line(text) == normal


@pytest.mark.parametrize(
    "text",
    ["A\u200bnn", "nnA\u202e", "pay\u202eroll", "a\u2066b", "a\u00adb", "a\ufeffb", "a\x00b", "a\nb", "a\tb", "a\u2028b",
     "a\ue000b", "\ud800", "Ann\u200d", "\u200dAnn", "A\u200dnn", "A\u200cnn", "a\U000e0067", "a" + "\u0301" * 40, "a\u0378"],
)  # fmt: skip
def test_characters_that_deceive_are_refused(text: str) -> None:
    with pytest.raises(UnfitTextError, match=r"must not contain U\+"):
        line(text)


@pytest.mark.parametrize("text", ["", " ", "\u3000", "\u3164", "\u2800\u2800", "\u115f\u1160", "\u034f"])
def test_text_that_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(UnfitTextError, match="visible"):
        line(text)


def test_the_readable_part_of_an_unfit_text_is_kept() -> None:
    assert readable(" A\u200bnn\n\u202e", "ann") == "Ann"
    assert readable("\u202e", "ann") == "ann"


@pytest.mark.parametrize("text", ["ann ", " ann", "anne\u0301", ".", "..", "a\nb", "", "a\u200bb"])
def test_an_identifier_has_one_spelling_and_survives_a_path(text: str) -> None:
    assert not is_identifier(text)


@pytest.mark.parametrize("text", ["ann", "auth0|5f7c", "ann@example.com", "Ann Lee", "anné"])
def test_identifiers_of_host_products_are_accepted(text: str) -> None:
    assert is_identifier(text)


@given(st.text(max_size=40))
def test_normalizing_is_idempotent_and_leaves_nothing_unfit(text: str) -> None:
    kept = readable(text, "x")
    assert line(kept) == kept == unicodedata.normalize("NFC", kept)
    assert not {unicodedata.category(each) for each in kept} & {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}
