"""Divides the command topics among tenants: bounds how much of one tenant is on the bus without an outcome.

The bus is first in, first out, so whatever one tenant has there is what the others wait for. The rest of a tenant's commands
waits in this process, in order, and leaves as outcomes arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from chassis.errors import RateLimited

CHANGE_WEIGHT = 10
"""A command that is not a post is a statement of its own and takes about as long as so many posts."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits to be published."""

    id: str
    partition: int
    encoded: bytes
    """As an element of a `CommandBatch`: concatenated elements are a batch."""
    weight: int
    """The number of posts that take as long; 0 for a command of which no outcome is awaited."""


@dataclass(slots=True)
class Share:
    """The commands of one tenant."""

    waiting: deque[Waiting] = field(default_factory=deque)
    waiting_bytes: int = 0
    published: int = 0
    """Weight of the commands that are on the bus and have no outcome yet."""
    published_bytes: int = 0


class Shares:
    """The commands of every tenant that wait or have no outcome yet."""

    def __init__(self, awaited: Container[str], most: int, most_bytes: int, most_waiting: int, most_waiting_bytes: int) -> None:
        self._awaited = awaited
        """The ids of the commands that await their outcome."""
        self._most = most
        """Weight of one tenant's published commands. A command may exceed it, so the heaviest is published, too."""
        self._most_bytes = most_bytes
        self._most_waiting = most_waiting
        """Of one tenant."""
        self._most_waiting_bytes = most_waiting_bytes
        self._tenants: dict[str, Share] = {}
        self._published: dict[str, tuple[str, Waiting]] = {}
        """Published commands that have no outcome yet, with their tenants, by id."""
        self.count = 0
        """Number of waiting commands of all tenants."""
        self.size = 0
        """Their bytes."""

    def add(self, tenant: str, command: Waiting) -> bool:
        """Let a command wait. Return whether it may be taken now. Raises `RateLimited` at the tenant's bound."""
        share = self._tenants.get(tenant)
        if share is None:
            share = self._tenants[tenant] = Share()
        size = len(command.encoded)
        if len(share.waiting) >= self._most_waiting or share.waiting_bytes + size > self._most_waiting_bytes:
            raise RateLimited("Too many commands of this tenant wait for the bus")
        share.waiting.append(command)
        share.waiting_bytes += size
        self.count += 1
        self.size += size
        return self._has_room(share)

    def take(self) -> Iterator[Waiting]:
        """Take the commands that may be published now, in order for each tenant, without those that expired."""
        for tenant in list(self._tenants):
            share = self._tenants[tenant]
            while share.waiting and self._has_room(share):
                command = share.waiting.popleft()
                size = len(command.encoded)
                share.waiting_bytes -= size
                self.count -= 1
                self.size -= size
                if command.weight:
                    if command.id not in self._awaited:
                        continue  # it expired here, and its client was told to repeat it
                    share.published += command.weight
                    share.published_bytes += size
                    self._published[command.id] = (tenant, command)
                yield command
            self._forget_idle(tenant, share)

    def answered(self, command: str) -> bool:
        """Give the room of a command back. Return whether another one may be taken for it."""
        found = self._published.pop(command, None)
        if found is None:
            return False
        tenant, published = found
        share = self._tenants[tenant]
        share.published -= published.weight
        share.published_bytes -= len(published.encoded)
        if share.waiting:
            return self._has_room(share)
        self._forget_idle(tenant, share)
        return False

    def _has_room(self, share: Share) -> bool:
        return share.published < self._most and share.published_bytes < self._most_bytes

    def _forget_idle(self, tenant: str, share: Share) -> None:
        if not share.waiting and not share.published:
            del self._tenants[tenant]
