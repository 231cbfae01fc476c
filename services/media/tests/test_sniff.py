"""Telling what bytes are."""

from __future__ import annotations

import pytest

from media.sniff import fits


@pytest.mark.parametrize(
    ("claimed", "head", "fitting"),
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
def test_types_are_told_by_how_bytes_begin(claimed: str, head: bytes, fitting: bool) -> None:
    assert fits(claimed, head) is fitting
