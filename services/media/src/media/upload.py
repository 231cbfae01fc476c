"""What an upload is: its nouns, where it can stand, where its bytes lie."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """Where an upload stands."""

    PENDING = "pending"
    SCANNING = "scanning"
    CLEAN = "clean"
    BLOCKED = "blocked"
    """Dangerous, or not what it claimed to be."""
    FAILED = "failed"
    """Wrong size or sum, or never arrived."""


class Refusal(StrEnum):
    """Why an upload was refused."""

    SIZE = "SIZE"
    SUM = "SUM"
    TYPE = "TYPE"
    MALWARE = "MALWARE"
    IMAGE = "IMAGE"
    """It claims to be an image and cannot be shown as one: broken, or of too many pixels."""
    UNSCANNABLE = "UNSCANNABLE"
    """Examining it failed again and again."""


class Announcement(msgspec.Struct, frozen=True):
    """A file that somebody wants to upload."""

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
        """Object key where the client puts the bytes; while the form is good they may change there."""
        return f"incoming/{self.tenant}/{self.id}"

    @property
    def kept(self) -> str:
        """Object key of the very bytes that were found clean; no form leads there."""
        return f"kept/{self.tenant}/{self.id}"

    @property
    def thumb(self) -> str:
        """Object key of the thumbnail."""
        return f"kept/{self.tenant}/{self.id}.thumb"


class Verdict(msgspec.Struct, frozen=True):
    """What examining an upload came to."""

    state: State
    reason: str = ""
    width: int = 0
    height: int = 0
    thumbnail: bool = False
