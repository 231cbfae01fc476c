"""Detects a file's media type from its first bytes, and checks it against the claimed type."""

from __future__ import annotations

HEAD_BYTES = 64 * 1024
"""How many bytes `matches_type` needs."""
_ZIP = b"PK\x03\x04"
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (0, _ZIP, "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"MZ", "application/x-msdownload"),
    (0, b"\x7fELF", "application/x-executable"),
)
# Types with the same container format as a type with a known signature.
_FAMILIES = {
    "video/quicktime": "video/mp4",
    "audio/mp4": "video/mp4",
    "video/x-matroska": "video/webm",
    "audio/webm": "video/webm",
    "video/ogg": "audio/ogg",
    "audio/x-wav": "audio/wav",
    "application/x-zip-compressed": "application/zip",
    "application/x-gzip": "application/gzip",
}
_ZIPPED = ("application/vnd.openxmlformats", "application/vnd.oasis.opendocument", "application/epub+zip")
_CHECKED = frozenset(kind for _, _, kind in _SIGNATURES) - {"application/x-msdownload", "application/x-executable"}
_OPAQUE = "application/octet-stream"
_MPEG_SYNC = 0xE0


def sniff(head: bytes) -> str:
    """Return the media type of a known signature, or empty text."""
    for offset, signature, kind in _SIGNATURES:
        if head.startswith(signature, offset):
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & _MPEG_SYNC == _MPEG_SYNC:  # noqa: PLR2004 - an MPEG audio frame
        return "audio/mpeg"
    return ""


def matches_type(claimed: str, head: bytes) -> bool:
    """Return whether a file that begins with `head` may have the type `claimed`.

    A type with a known signature requires it. Text must contain no NUL byte. A type without a known signature must not begin with
    the signature of another type. `application/octet-stream` allows anything.
    """
    if claimed == _OPAQUE:
        return True
    found = sniff(head)
    if claimed.startswith("text/"):
        return not found and b"\x00" not in head
    if claimed.startswith(_ZIPPED):
        return found == "application/zip"
    family = _FAMILIES.get(claimed, claimed)
    if family in _CHECKED:
        return found == family
    return not found
