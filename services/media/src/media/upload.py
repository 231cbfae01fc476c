"""Types of uploads: states, refusals, verdicts and object keys."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """The state of an upload."""

    PENDING = "pending"
    SCANNING = "scanning"
    CLEAN = "clean"
    BLOCKED = "blocked"
    """Malware, or not of the claimed type."""
    FAILED = "failed"
    """Wrong size or checksum, could not be scanned, or never arrived."""


class Refusal(StrEnum):
    """Why an upload was refused."""

    SIZE = "SIZE"
    SUM = "SUM"
    TYPE = "TYPE"
    MALWARE = "MALWARE"
    IMAGE = "IMAGE"
    """Claimed to be an image, but is broken or has too many pixels."""
    UNSCANNABLE = "UNSCANNABLE"
    """Every attempt to scan it failed."""


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
    state: State
    reason: str
    width: int
    height: int
    thumbnail: bool

    @property
    def incoming(self) -> str:
        """Object key to which the client uploads. The client may replace the object while the form is valid."""
        return f"incoming/{self.tenant}/{self.id}"

    @property
    def kept(self) -> str:
        """Object key of the content that was found clean. No form writes to it."""
        return f"kept/{self.tenant}/{self.id}"

    @property
    def thumb(self) -> str:
        """Object key of the thumbnail."""
        return f"kept/{self.tenant}/{self.id}.thumb"


class Verdict(msgspec.Struct, frozen=True):
    """The result of scanning an upload."""

    state: State
    reason: str = ""
    width: int = 0
    height: int = 0
    thumbnail: bool = False
