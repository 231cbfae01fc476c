"""The client's position in every channel's log. Decides for each event whether to deliver it, drop it, or ask for missing ones.

Pure state: `session` sends the frames. Guarantee: every event of a channel is delivered once, in order, without a gap.
Repeats, gaps and restarts of the server lead at worst to another `sync` or to a reset.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from hubbub_client.updates import Checkpoint, Joined, Left, Reset

Start = Literal["head", "beginning"]
_POSITIONS_PER_FRAME = 1_000
"""A frame has room for about 1,400."""


class Sync:
    """Positions, and the one `sync` that may be unanswered; what else is missing waits for its answer."""

    def __init__(self, start: Start, checkpoint: Checkpoint | None) -> None:
        self._start = start
        """Where a channel without a position begins: after its newest event, or at its first."""
        self.positions: dict[str, int] = dict(checkpoint.positions) if checkpoint else {}
        """The number of the last event delivered, per channel of the user."""
        self.epoch: str | None = checkpoint.epoch if checkpoint else None
        """The epoch of the positions; None before the first `hello`."""
        self._resumed = checkpoint is not None
        """The positions are older than this client's first connection."""
        self._more = False
        """The user has channels that `hello` did not list."""
        self._wanted: dict[str, None] = {}
        """Channels that the next `sync` names, in order."""
        self._asked: frozenset[str] | None = None
        """Channels of the unanswered `sync`; None if there is none."""
        self._paused: set[str] = set()
        """Channels whose events found no room."""
        self._opened = False
        """This connection's first `sync` has been sent."""

    def hello(self, frame: Mapping[str, Any]) -> list[Reset | Joined | Left]:
        """Begin a connection. Returns what the application must know."""
        heads = {head["id"]: head for head in frame["channels"]}
        epoch, self._more = frame.get("epoch", ""), bool(frame.get("more"))
        self._asked, self._opened = None, False
        self._wanted.clear()
        self._paused.clear()
        voided = self.epoch is not None and epoch != self.epoch
        first = self.epoch is None
        self.epoch = epoch
        found: list[Reset | Joined | Left] = []
        # The answer to the `sync` says whether the user is still a member of a channel for which `hello` had no room.
        for channel in [id_ for id_ in self.positions if id_ not in heads and (voided or not self._more)]:
            del self.positions[channel]
            found.append(Left(channel))
        if voided:
            for channel, held in self.positions.items():
                self.positions[channel] = heads[channel]["seq"]
                found.append(Reset(channel, heads[channel]["seq"], held, epoch=True))
        else:
            self._want(self.positions)
        for channel, head in heads.items():
            if channel not in self.positions:
                joined = self._begin(head)
                if not first:
                    found.append(joined)
        return found

    def joined(self, head: Mapping[str, Any]) -> list[Joined]:
        """The user became a member. Returns what the application must know."""
        position = self.positions.get(head["id"])
        if position is None:
            return [self._begin(head)]
        if position < head["seq"]:
            self._want([head["id"]])
        return []

    def left(self, channel: str) -> list[Left]:
        """The user is no longer a member. Returns what the application must know."""
        self._wanted.pop(channel, None)
        self._paused.discard(channel)
        return [Left(channel)] if self.positions.pop(channel, None) is not None else []

    def next(self, channel: str, seq: int) -> bool:
        """Tell whether this event is the next one. If so, call `delivered` or `pause`."""
        position = self.positions.get(channel)
        if position is None:
            if not self._more:
                return False
            # The first event of a channel that `hello` had no room for is a position.
            position = self.positions[channel] = seq - 1
        if seq <= position or channel in self._paused:
            return False
        if seq == position + 1:
            return True
        # One request is enough: its answer contains every event that is dropped until then.
        if self._asked is None or channel not in self._asked:
            self._want([channel])
        return False

    def delivered(self, channel: str, seq: int) -> None:
        """The event is on its way to the application."""
        self.positions[channel] = seq

    def pause(self, channel: str) -> None:
        """The event found no room: drop the channel's events until `resume`."""
        self._paused.add(channel)

    def resume(self) -> None:
        """There is room again: ask for the events that were dropped."""
        paused, self._paused = self._paused, set()
        self._want(paused)

    def request(self) -> dict[str, Any] | None:
        """Return the next `sync` to send; None if there is nothing to ask, or one is unanswered."""
        if self._asked is not None or (self._opened and not self._wanted):
            return None
        self._opened = True
        channels = [channel for channel in self._wanted if channel in self.positions][:_POSITIONS_PER_FRAME]
        self._wanted = {channel: None for channel in self._wanted if channel not in channels and channel in self.positions}
        self._asked = frozenset(channels)
        epoch = {"epoch": self.epoch} if self.epoch else {}
        return {"type": "sync", **epoch, "positions": {channel: self.positions[channel] for channel in channels}}

    def synced(self, channels: Mapping[str, Mapping[str, Any]]) -> list[Reset | Left]:
        """Take the answer to `request`. The events of channels that are `complete` follow."""
        self._asked = None
        found: list[Reset | Left] = []
        for channel, state in channels.items():
            held = self.positions.get(channel)
            if held is None or state["status"] == "complete":
                continue
            seq = state.get("seq")
            if state["status"] == "gone" or seq is None:
                found += self.left(channel)
            else:  # `reset`, and every status that this package does not know
                self.positions[channel] = seq
                found.append(Reset(channel, seq, held, epoch=False))
        return found

    def unanswered(self) -> None:
        """The `sync` was refused, and nothing has changed: ask again."""
        if self._asked is None:
            return
        asked, self._asked = self._asked, None
        self._want(asked)
        self._opened = bool(asked)

    def _begin(self, head: Mapping[str, Any]) -> Joined:
        channel, seq = head["id"], head["seq"]
        if self._start == "beginning" and seq > 0:
            seq = 0
            self._want([channel])
        self.positions[channel] = seq
        return Joined(channel, seq, head["kind"], head["name"], head["role"])

    def _want(self, channels: Iterable[str]) -> None:
        self._wanted.update(dict.fromkeys(channels))
