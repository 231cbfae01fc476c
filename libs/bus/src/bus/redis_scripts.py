"""Names the Lua scripts beside it, and how each is called.

Leaves what they do to the scripts themselves.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from importlib.resources import files

from bus.redis_connection import Command


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name by which the server knows it."""

    source: str
    sha: str

    def call(self, keys: list[str], *arguments: str | bytes | int) -> Command:
        """Return the command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


@dataclass(frozen=True, slots=True)
class Scripts:
    """All of them."""

    publish: Script
    look: Script
    share: Script
    give: Script
    renew_lease: Script
    unacknowledged: Script

    @classmethod
    def read(cls) -> Scripts:
        """Read them from the package."""
        return cls(*(_script(each.name) for each in fields(cls)))

    def sources(self) -> tuple[str, ...]:
        """Return what a server must be given before it is called."""
        return tuple(getattr(self, each.name).source for each in fields(self))


def _script(name: str) -> Script:
    source = (files("bus") / "lua" / f"{name}.lua").read_text()
    return Script(source, hashlib.sha1(source.encode()).hexdigest())  # noqa: S324 (the server's own naming)
