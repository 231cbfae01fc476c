"""How far the application has read, in a form that a later client can continue from."""

from collections.abc import Mapping, Sequence

from hubbub_client.updates import Checkpoint, Joined, Left, Reset, Signal, Update


class Progress:
    """The number of the last event that the application has finished with, per channel, and their epoch.

    When the store begins a new epoch, the checkpoint stays in the old one until the application has finished with the reset of
    every channel: a client that continues from it is told of all of them again.
    """

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self._epoch = checkpoint.epoch if checkpoint else None
        self._positions: dict[str, int] = dict(checkpoint.positions) if checkpoint else {}
        self._next_epoch = ""
        self._next_positions: dict[str, int] = {}
        """Those in the new epoch, while resets are outstanding."""
        self._outstanding: set[str] = set()
        """Channels whose reset the application has not finished with."""

    def connected(self, epoch: str, positions: Mapping[str, int], updates: Sequence[Reset | Joined | Left]) -> None:
        """A connection begins, with these positions and news."""
        if self._epoch is None:
            self._epoch, self._positions = epoch, dict(positions)
        elif epoch not in (self._epoch, self._next_epoch):
            self._next_epoch, self._next_positions = epoch, {}
            self._outstanding = {update.channel for update in updates if isinstance(update, Reset)}
            self._complete()

    def finished(self, update: Update) -> None:
        """The application has finished with an update."""
        if isinstance(update, Signal):
            return
        if isinstance(update, Left):
            self._positions.pop(update.channel, None)
            self._next_positions.pop(update.channel, None)
            self._outstanding.discard(update.channel)
        else:
            if isinstance(update, Reset) and update.epoch:
                self._outstanding.discard(update.channel)
            new = self._next_epoch and update.channel not in self._outstanding
            (self._next_positions if new else self._positions)[update.channel] = update.seq
        self._complete()

    def checkpoint(self) -> Checkpoint | None:
        """The position to continue from; None before the first connection."""
        return Checkpoint(self._epoch, dict(self._positions)) if self._epoch is not None else None

    def _complete(self) -> None:
        if self._next_epoch and not self._outstanding:
            self._epoch, self._positions = self._next_epoch, self._next_positions
            self._next_epoch, self._next_positions = "", {}
