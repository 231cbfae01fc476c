"""The nouns: who somebody is here, and whether they are there.

Leaves their protobuf shapes to `convert` and their place in Redis to `leases`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

User = NewType("User", str)
"""tenant/id: a tenant has no slash in it."""

STATUSES = frozenset({"online", "away", "dnd"})
"""What a connection can be; `offline` is having none."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Whether a user is there."""

    user: User
    status: str
    """online, away, dnd or offline."""
    seen_milliseconds: int | None
    """Since the epoch, when last connected; None while there and where never seen."""
    version: int
    """Grows with each change of this user's presence; 0 where never seen."""


@dataclass(frozen=True, slots=True)
class Change:
    """A connection that came, changed or went."""

    user: User
    connection: str
    status: str
    """Empty when it went."""
