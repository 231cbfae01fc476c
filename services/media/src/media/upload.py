"""What an upload is, which states it has, and where its bytes are in object storage."""

from __future__ import annotations

from enum import StrEnum

import msgspec

THUMBNAIL_TYPE = "image/webp"


class State(StrEnum):
    """States of an upload. The last three are final."""

    PENDING = "pending"
    SCANNING = "scanning"
    CLEAN = "clean"
    BLOCKED = "blocked"
    """Dangerous, or not what it was announced as."""
    FAILED = "failed"
    """Wrong size or checksum, never completed, or impossible to examine."""


class Refusal(StrEnum):
    """Why an upload was refused."""

    SIZE = "SIZE"
    SUM = "SUM"
    TYPE = "TYPE"
    MALWARE = "MALWARE"
    IMAGE = "IMAGE"
    """Announced as a picture, and broken, of too many pixels or too costly to decode."""
    UNSCANNABLE = "UNSCANNABLE"
    """Examining it failed repeatedly."""


class Announcement(msgspec.Struct, frozen=True):
    """A file that a user wants to upload."""

    tenant: str
    channel: str
    owner: str
    name: str
    size: int
    type: str
    sha256: str | None


class Upload(msgspec.Struct, frozen=True):
    """An upload's row."""

    id: str
    tenant: str
    channel: str
    owner: str
    name: str
    size: int
    type: str
    sha256: str | None
    """As announced; None where the client gave none."""
    state: State
    reason: str
    width: int
    height: int
    thumbnail: bool
    """Whether it is a picture."""
    kept_sha256: str | None
    """Of the bytes that were examined and kept. None until then, and for uploads that an earlier release kept."""

    @property
    def incoming(self) -> str:
        """Object key of the uploaded bytes. The client can replace them as long as the form works."""
        return f"incoming/{self.tenant}/{self.id}"

    @property
    def kept(self) -> str:
        """Object key of the examined bytes. It names their checksum, so no other examination writes to it."""
        return self.kept_as(self.kept_sha256)

    @property
    def picture(self) -> str:
        """Object key of a picture as others see it; the thumbnail where an earlier release kept no such copy."""
        return f"{self.kept}.picture" if self.kept_sha256 else self.thumb

    @property
    def thumb(self) -> str:
        """Object key of the thumbnail."""
        return f"{self.kept}.thumb"

    def kept_as(self, sha256: str | None) -> str:
        """Object key for examined bytes of this checksum."""
        folder = f"kept/{self.tenant}/{self.id}"
        return f"{folder}/{sha256}" if sha256 else folder


class Verdict(msgspec.Struct, frozen=True):
    """The result of examining an upload."""

    state: State
    reason: str = ""
    width: int = 0
    height: int = 0
    thumbnail: bool = False
    kept_sha256: str | None = None
