"""Hostile values for the tests of every interface."""

from typing import Any

MEGABYTE = "x" * 1_000_000

NO_TEXT: dict[str, Any] = {
    "an object": {"$gt": ""},
    "a list": ["x"],
    "a list of objects": [{"a": None}],
    "a number": 7,
    "a fraction": -1.5,
    "beyond any integer": 10**30,
    "true": True,
}
"""JSON values that are not strings."""

UNSTORABLE: dict[str, str] = {"a NUL": "a\x00b", "a lone surrogate": "a\ud800b"}
"""Strings that JSON can carry and PostgreSQL or UTF-8 cannot."""

STRANGE: dict[str, str] = {
    "a right-to-left override": "\u202egnp.exe",
    "isolates and joiners": "\u2066\u200d\u200b\ufeff",
    "a pile of accents": "e" + "\u0301" * 40,
    "SQL": "x'; DROP TABLE messages; --",
    "a path": "../../../../etc/passwd",
    "a format": "%s%n{0}{x.__class__}",
    "a template": "${7*7}{{7*7}}",
    "a wildcard": "%_*\\",
    "markup": "<img src=x onerror=alert(1)>",
    "line separators": "a\u2028b\u2029c",
    "beyond the basic plane": "\U0001f468\u200d\U0001f469\U0010ffff",
    "a boolean's name": "true",
    "a null's name": "null",
    "white space": "   ",
}
"""Valid strings that break careless code."""
