"""Spellings of origins in settings, and those that are refused at start."""

from __future__ import annotations

import pytest

from gateway.config import framers, origin_of, origins


@pytest.mark.parametrize(
    ("spelled", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        (" HTTPS://Shop.Example/ ", "https://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://shop.example:80", "http://shop.example"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_an_origin_is_normalized_to_the_spelling_of_browsers(spelled: str, origin: str) -> None:
    assert origin_of(spelled) == origin


@pytest.mark.parametrize(
    "spelled",
    [
        "*",
        "null",
        "shop.example",
        "https://",
        "https://*.shop.example",
        "https://shop.example/path",
        "https://shop.example?q",
        "https://user@shop.example",
        "https://shop..example",
        "https://shop.example:0",
        "https://shop.example:65536",
        "https://shop.example; script-src *",
        "https://shop.example https://evil.example",
        "https://shop.example\nX-Header: x",
        "ftp://shop.example",
        "javascript:alert(1)",
        "https://bücher.example",
    ],
)
def test_an_invalid_origin_is_refused_and_named(spelled: str) -> None:
    with pytest.raises(ValueError, match="an origin is like"):
        origin_of(spelled)
    with pytest.raises(ValueError, match="an origin is like"):
        origins(f"https://fine.example,{spelled}")


def test_a_widget_has_origins_by_tenant() -> None:
    assert framers('{"acme": ["https://Shop.example/", "http://localhost:3000"]}') == (
        ("acme", ("https://shop.example", "http://localhost:3000")),
    )


@pytest.mark.parametrize(
    "value",
    ["[]", '{"acme": "https://shop.example"}', '{"acme": []}', '{"Acme": ["https://shop.example"]}', '{"acme": ["*"]}', "{"],
)
def test_an_invalid_widget_setting_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"origin|tenant"):
        framers(value)
