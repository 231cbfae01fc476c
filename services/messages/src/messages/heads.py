"""Where the channels stand that a worker posts to, so that their next posts are numbered without asking (`docs/adr/0020`).

Nothing here is believed: a statement that goes by heads stores nothing unless each channel still stands there. Being wrong costs
a second try, so a channel that others write, too, or whose posts are refused, is left alone for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from messages.commands import Command, Post, Read, Verdict
from messages.message import ChannelId, TenantId

_MOST = 20_000
"""Channels, of 300 bytes or so."""
_DOUBT_SECONDS = 10.0


class Head(msgspec.Struct, gc=False):
    """Where a channel stands, and what does not change or is looked at again."""

    tenant: TenantId
    kind: str
    slow: bool
    """Whether it is in slow mode."""
    seq: int
    """The newest entry's number."""
    posts: int
    """How many messages it has."""
    outdated: bool = False
    """Whether the channel may have changed since."""


class Heads:
    """The heads that one worker knows. Those used least lately make room."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[ChannelId, Head | float] = {}
        """Last used last. A time: it was seen, and is not to be learnt before."""

    def __getitem__(self, channel: ChannelId) -> Head:
        """A channel's head; KeyError where it is not known."""
        head = self._known[channel]
        if not isinstance(head, Head):
            raise KeyError(channel)
        return head

    def run_of(self, batch: Sequence[Command]) -> list[Command]:
        """The posts of a batch that can be numbered.

        Not those of a channel to which the batch does anything else, answers a thread (whose root is to be looked for), or says
        a key twice.
        """
        run, others = [], set()
        keys = set()
        for command in batch:
            body, channel = command.body, command.channel
            if type(body) is Read:
                continue
            head, key = self._known.get(channel), (channel, command.actor, command.key)
            if (
                type(head) is Head and not head.outdated and head.tenant == command.tenant
                and type(body) is Post and not body.thread and key not in keys
            ):  # fmt: skip
                keys.add(key)
                run.append(command)
            else:
                others.add(channel)
        return [command for command in run if command.channel not in others] if others else run

    def to_learn(self, channels: Iterable[ChannelId]) -> list[ChannelId]:
        """Those whose heads are worth asking for: seen before, as most channels are not soon again, and not in doubt."""
        now = self._clock()
        wanted = []
        for channel in channels:
            known = self._known.get(channel)
            if known is None:
                self._put(channel, now)
            elif isinstance(known, Head) or known <= now:
                wanted.append(channel)
        return wanted

    def learn(self, heads: Mapping[ChannelId, Head], judged: Iterable[tuple[Command, str]]) -> None:
        """Remember where channels stand after `judged`, unless something was refused there or others wrote there, too."""
        made: dict[ChannelId, int] = {}
        doubted = {channel for channel, head in heads.items() if head.slow}
        for command, verdict in judged:
            if verdict == Verdict.FRESH:
                made[command.channel] = made.get(command.channel, 0) + 1
            else:
                doubted.add(command.channel)
        for channel, head in heads.items():
            known = self._known.get(channel)
            if isinstance(known, Head) and known.seq + made.get(channel, 0) != head.seq:
                doubted.add(channel)
            self._put(channel, self._clock() + _DOUBT_SECONDS if channel in doubted else head)

    def keep(self, heads: Mapping[ChannelId, Head]) -> None:
        """Remember where channels stand after their posts were numbered."""
        for channel, head in heads.items():
            self._put(channel, head)

    def suspect(self, channels: Iterable[ChannelId]) -> None:
        """Number nothing more in channels, one of which was not as remembered, until they are learnt again."""
        for channel in channels:
            known = self._known.get(channel)
            if isinstance(known, Head):
                known.outdated = True

    def forget(self, channels: Iterable[ChannelId]) -> None:
        """Know nothing more of channels but that they were seen: nobody can tell what became of them."""
        for channel in channels:
            self._put(channel, self._clock())

    def _put(self, channel: ChannelId, known: Head | float) -> None:
        self._known.pop(channel, None)
        self._known[channel] = known
        if len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
