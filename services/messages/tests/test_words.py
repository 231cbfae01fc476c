"""The words under which search finds a text: scripts, accents, stems, prefixes, parts. PostgreSQL does the matching."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from messages import words

FOUND = [
    ("tea", "green TEA?"),
    ("GREEN tea", "tea that is green"),
    ("cafe", "Café"),
    ("café", "CAFE"),
    ("strasse", "Straße"),
    ("deploy", "we deployed it"),
    ("running", "it runs"),
    ("boxes", "a box"),
    ("книга", "две книги"),
    ("елка", "Ёлка"),
    ("ελλαδα", "Ελλάδα"),
    ("検索", "日本語のメッセージを検索する"),
    ("検", "検索"),
    ("索", "検索"),
    ("ガ", "ガラス"),
    ("검색", "메시지 검색을 하다"),
    ("ภาษา", "ฉันพูดภาษาไทย"),
    ("हिन्दी", "मैं हिन्दी बोलता हूँ"),
    ("سلام", "سَلَام"),
    ("foo bar baz", "foo_bar-baz"),
    ("foo_bar-baz", "foo bar baz"),
    ("bar", "foo_bar-baz"),
    ("example", "write to ann@example.org"),
    ("ann@example.org", "write to ann@example.org now"),
    ("report", "https://example.org/a/QuarterlyReport2026.pdf"),
    ("quarterlyreport2026.pdf", "QuarterlyReport2026.pdf"),
    ("2026", "QuarterlyReport2026.pdf"),
    ("c++", "I like C++."),
    ("c", "I like C++."),
    ("dep", "the deployment"),
    ("depl", "the deployment"),
    ("deplo", "the deployment"),
    ("rep", "QuarterlyReport2026.pdf"),
    ("runs", "he is running"),
    ("the rep", "the report"),
    ("кни", "две книги"),
    ("c++", "I like C++"),
    ("the depl", "the deployment"),
    ('"green tea"', "some green tea"),
    ("tea -coffee", "tea"),
    ("coffee OR tea", "tea"),
    ("3f2a9c", "ticket-3f2a9c"),
    ("O'Brien", "Mr. O'Brien"),
    ("back\\slash", "back\\slash"),
]
NOT_FOUND = [
    ("tea", "coffee"),
    ("te", "tea"),
    ("dep ", "the deployment"),
    ("pl", "the deployment"),
    ("epl", "the deployment"),
    ('"dep"', "the deployment"),
    ("x", "xylophone"),
    ("green tea", "green"),
    ('"green tea"', "tea green"),
    ('"tea"', "teapot"),
    ("depl the", "the deployment"),
    ("tea -coffee", "tea and coffee"),
    ('tea -"black coffee"', "tea, black coffee"),
    ("foo-baz", "foo bar baz"),
    ("索検", "検索"),
    ("-tea", "coffee"),
    ("", "tea"),
    ("-- ---", "tea"),
    ("!", "tea!"),
]


async def matches(connection: psycopg.AsyncConnection[Any], typed: str, *texts: str, sender: str = "", by: str = "") -> bool:
    """Whether a query finds a message."""
    found = words.query(typed, by)
    if not found.tsquery:
        return False
    parameters = [words.vector(texts, sender), found.tsquery]
    row = await (await connection.execute("SELECT %s::tsvector @@ %s::tsquery", parameters)).fetchone()
    assert row is not None
    return bool(row[0])


@pytest.mark.parametrize(("typed", "text"), FOUND)
async def test_a_query_finds_a_text(database: str, typed: str, text: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert await matches(connection, typed, text), (words.query(typed), words.vector([text]))


@pytest.mark.parametrize(("typed", "text"), NOT_FOUND)
async def test_a_query_does_not_find_a_text(database: str, typed: str, text: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert not await matches(connection, typed, text), (words.query(typed), words.vector([text]))


async def test_a_phrase_does_not_reach_from_a_text_into_a_file_name(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert await matches(connection, '"green tea"', "green tea", "coffee.pdf")
        assert not await matches(connection, '"tea coffee"', "green tea", "coffee.pdf")
        assert await matches(connection, "tea coffee", "green tea", "coffee.pdf")


async def test_a_sender_is_found_only_as_a_sender(database: str) -> None:
    async with await psycopg.AsyncConnection.connect(database) as connection:
        assert await matches(connection, "hello OR bye", "hello", sender="o'ann\\", by="o'ann\\")
        assert not await matches(connection, "hello OR bye", "hello", sender="bob", by="ann")
        assert not await matches(connection, "@bob", "hello", sender="bob")


@settings(max_examples=200)
@example("'\\'\\'", "'\\")
@example('"-"-"', "a" * 9_000)
@given(st.text(max_size=256), st.text(max_size=400))
def test_any_text_makes_a_vector_and_any_query_can_be_asked(asking: psycopg.Connection[Any], typed: str, text: str) -> None:
    typed, text = typed.replace("\x00", ""), text.replace("\x00", "")
    asking.execute("SELECT %s::tsvector @@ %s::tsquery", [words.vector([text]), words.query(typed).tsquery or "'x'"])


@pytest.fixture(scope="module")
def asking(shared_url: str) -> Any:
    with psycopg.connect(shared_url, autocommit=True) as connection:
        yield connection
