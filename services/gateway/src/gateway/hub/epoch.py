"""Knows the store's epoch: positions and events count in their epoch only (docs/adr/0049).

Every answer of the messages service and every batch of events says in which epoch it was read or numbered. Later epochs compare
greater. The first sight of a later one is reported before anything of it is used; what is of an earlier one is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway.metrics import EPOCHS

log = structlog.get_logger()


class StoreEpoch:
    """The latest epoch seen."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self.id = ""
        """Empty until the first answer."""
        self._first = False
        """The store has never had another epoch."""
        self._on_change = on_change
        """Called when a later epoch replaces a known one."""

    def accept(self, epoch: str, *, first: bool = False) -> bool:
        """Whether this is the latest epoch, as which it is known from now on. An empty one is of a service that knows none."""
        if not epoch or epoch == self.id:
            self._first |= first
            return True
        if epoch < self.id:
            return False
        former, self.id, self._first = self.id, epoch, first
        if former:
            EPOCHS.inc()
            log.error("store_epoch_changed", epoch=epoch, former=former)
            self._on_change()
        return True

    def covers(self, position: int, epoch: str | None) -> bool:
        """Whether a client's position counts. Without an epoch it does while the store has never had another one."""
        if position == 0 or not self.id:
            return True
        return self._first if epoch is None else epoch == self.id
