"""Divides the command topics among tenants: bounds how much of one tenant is on the bus without an outcome.

The bus is first in, first out, so the others wait for everything that one tenant has there. The rest of a tenant's commands
waits in this process, in order, and leaves as outcomes arrive. A tenant may fill the bus as long as it is the only active one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from chassis.errors import HubbubError, RateLimited, Unavailable
from gateway.commands.pending import Pending

CHANGE_WEIGHT = 8
"""A command that is not a post is a statement of its own: in batches of 100 it takes 145 µs of a transaction, a post 19 µs."""
WAITING_SECONDS = 5.0
"""Once a tenant's oldest command has waited so long, further ones are refused: they would expire before their outcome."""
ACTIVE_SECONDS = 10.0
"""Time after its last command or event for which a tenant counts as active."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command that waits to be published."""

    id: str
    partition: int
    encoded: bytes
    """As an element of a `CommandBatch`: concatenated elements are a batch."""
    weight: int
    """The number of posts that take as long; 0 for a command of which no outcome is awaited."""
    since: float
    """When it came, in seconds of the clock."""


@dataclass(slots=True)
class Share:
    """The commands of one tenant."""

    waiting: deque[Waiting] = field(default_factory=deque)
    waiting_bytes: int = 0
    published: int = 0
    """Weight of the commands that are on the bus and have no outcome yet."""
    published_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one tenant may have. The last command may exceed it, so that the heaviest is published, too."""

    commands: int
    """Weight of published commands, or number of waiting ones."""
    size: int
    """Bytes."""


class ActiveTenants:
    """Knows whether a tenant is the only active one. It remembers two tenants, whatever their number."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest, self._latest_at = "", -ACTIVE_SECONDS
        """The tenant seen last, and when."""
        self._other, self._other_at = "", -ACTIVE_SECONDS
        """Another tenant, the last one seen before."""

    def seen(self, tenant: str) -> None:
        """Record that a tenant is active."""
        if tenant != self._latest:
            self._other, self._other_at = self._latest, self._latest_at
            self._latest = tenant
        self._latest_at = self._clock()

    def only(self, tenant: str) -> bool:
        """Whether no other tenant was seen in the last `ACTIVE_SECONDS`."""
        name, at = (self._other, self._other_at) if tenant == self._latest else (self._latest, self._latest_at)
        return not name or self._clock() - at >= ACTIVE_SECONDS


class Shares:
    """The commands of every tenant that wait or have no outcome yet."""

    def __init__(self, pending: Pending, tenants: ActiveTenants, *, alone: Bounds, shared: Bounds, waiting: Bounds) -> None:
        self._pending = pending
        self._active = tenants
        self._alone = alone
        """Bounds of the published commands of a tenant while no other one is active."""
        self._shared = shared
        """Bounds of the published commands of a tenant while others are active."""
        self._waiting = waiting
        self._tenants: dict[str, Share] = {}
        self._published: dict[str, tuple[str, Waiting, int]] = {}
        """Published commands that have no outcome yet, by id, oldest first: with their tenants, and the number of outcomes
        before they were published."""
        self.count = 0
        """Number of waiting commands of all tenants."""
        self.size = 0
        """Their bytes."""

    def add(self, tenant: str, command: Waiting) -> bool:
        """Let a command wait. Return whether it may be taken now.

        Raises at the tenant's bound: `RateLimited`, or `Unavailable` if no other tenant is active or commands have no outcomes.
        """
        share = self._tenants.get(tenant)
        if share is None:
            share = self._tenants[tenant] = Share()
        size = len(command.encoded)
        self._active.seen(tenant)
        if share.waiting and command.since - share.waiting[0].since >= WAITING_SECONDS:
            raise self._refusal(tenant, "The commands of this tenant come faster than they are carried out")
        if len(share.waiting) >= self._waiting.commands or share.waiting_bytes + size > self._waiting.size:
            raise self._refusal(tenant, "Too many commands of this tenant wait for the bus")
        share.waiting.append(command)
        share.waiting_bytes += size
        self.count += 1
        self.size += size
        return self._has_room(tenant, share)

    def take(self) -> Iterator[Waiting]:
        """Take the commands that may be published now, in order for each tenant, without those that expired."""
        for tenant in list(self._tenants):
            share = self._tenants[tenant]
            while share.waiting and self._has_room(tenant, share):
                command = share.waiting.popleft()
                size = len(command.encoded)
                share.waiting_bytes -= size
                self.count -= 1
                self.size -= size
                if command.weight:
                    if command.id not in self._pending:
                        continue  # it expired here, and its client was told to repeat it
                    share.published += command.weight
                    share.published_bytes += size
                    self._published[command.id] = (tenant, command, self._pending.outcomes)
                yield command
            self._forget_idle(tenant, share)

    def answered(self, command: str) -> bool:
        """Give the room of a command back. Return whether another one may be taken for it."""
        found = self._published.pop(command, None)
        if found is None:
            return False
        tenant, published, _ = found
        share = self._tenants[tenant]
        share.published -= published.weight
        share.published_bytes -= len(published.encoded)
        if share.waiting:
            return self._has_room(tenant, share)
        self._forget_idle(tenant, share)
        return False

    def _refusal(self, tenant: str, detail: str) -> HubbubError:
        """The tenant has met its share, unless it is alone or the workers do nothing: then the queue is full."""
        oldest = next(iter(self._published.values()), None)
        idle = oldest is not None and oldest[2] == self._pending.outcomes
        return Unavailable(detail) if idle or self._active.only(tenant) else RateLimited(detail)

    def _has_room(self, tenant: str, share: Share) -> bool:
        if _below(share, self._shared):
            return True
        return _below(share, self._alone) and self._active.only(tenant)

    def _forget_idle(self, tenant: str, share: Share) -> None:
        if not share.waiting and not share.published:
            del self._tenants[tenant]


def _below(share: Share, bounds: Bounds) -> bool:
    return share.published < bounds.commands and share.published_bytes < bounds.size
