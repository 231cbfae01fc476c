"""Detecting media types."""

from __future__ import annotations

import pytest

from media.sniff import matches_type


@pytest.mark.parametrize(
    ("claimed", "head", "matches"),
    [
        ("text/plain", "straße".encode(), True),
        ("application/json", b"{}", True),
        ("application/octet-stream", b"MZ", True),
        ("video/quicktime", b"\x00\x00\x00\x14ftypqt  ", True),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK\x03\x04", True),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"MZ", False),
        ("audio/mpeg", b"\xff\xfb\x90", True),
        ("image/svg+xml", b"<svg", True),
        ("image/svg+xml", b"\x89PNG\r\n\x1a\n", False),
    ],
)
def test_claimed_types_are_checked_against_the_first_bytes(claimed: str, head: bytes, matches: bool) -> None:
    assert matches_type(claimed, head) is matches
