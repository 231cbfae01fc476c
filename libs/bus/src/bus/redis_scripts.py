"""Loads the Lua scripts in `lua/` and builds the commands that call them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from importlib.resources import files

from bus.redis_connection import Command


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the SHA-1 by which the server identifies it."""

    source: str
    sha: str

    def call(self, keys: list[str], *arguments: str | bytes | int) -> Command:
        """Return the command that runs the script."""
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)


@dataclass(frozen=True, slots=True)
class Scripts:
    """All scripts of the bus."""

    publish: Script
    look: Script
    backlog: Script
    stream_state: Script
    rebalance: Script
    release_leases: Script
    renew_lease: Script
    unacknowledged: Script
    gateway_addresses: Script

    @classmethod
    def load(cls) -> Scripts:
        """Read the scripts from the package."""
        return cls(*(_script(each.name) for each in fields(cls)))

    def sources(self) -> tuple[str, ...]:
        """Return the sources to load into the server before the first call."""
        return tuple(getattr(self, each.name).source for each in fields(self))


def _script(name: str) -> Script:
    source = (files("bus") / "lua" / f"{name}.lua").read_text()
    return Script(source, hashlib.sha1(source.encode()).hexdigest())  # noqa: S324 (the server identifies scripts by SHA-1)
