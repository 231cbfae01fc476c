"""Reads the events that connections missed: from memory (`tails`) where possible, else from the store, once for all who wait.

A storm of reconnects asks for the same ranges many times. A range is read once: a connection that needs events of a read under
way waits for it, and what was read stays in the channel's tail. Ranges of many channels travel in one call.

The events are those of the channel. Who may see which is decided by the caller, from what the hub knows of the membership.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from chassis.errors import HubbubError, Unavailable
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.hub.epoch import StoreEpoch
from gateway.hub.tails import Tail, Tails
from gateway.metrics import MISSED_RANGES
from gateway.model import Channel, Shown, shown
from gateway.supervise import guarded
from hubbub.messages.v1.messages_service_pb2 import EventRange, FetchRangesRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

BATCH = 500
"""Ranges read by one call; the service accepts as many."""
CONCURRENT = 4
"""Calls at one time."""
GATHER_SECONDS = 0.005
"""Time to gather ranges while a call is under way."""


class Broken(Exception):
    """The store's events are not those that were asked for."""


@dataclass(slots=True, eq=False)
class _Read:
    """A range that is being read."""

    channel: Channel
    after: int
    through: int
    tail: Tail | None
    """The channel's tail when the read began."""
    cleared: int
    """`Tails.cleared` when the read began."""
    done: asyncio.Future[Sequence[Shown]]


class MissedEvents:
    """Reads of missed events."""

    def __init__(self, tails: Tails, epoch: StoreEpoch, messages: MessagesServiceStub, group: asyncio.TaskGroup) -> None:
        self._tails = tails
        self._epoch = epoch
        self._messages = messages
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[Channel, _Read] = {}
        """Of each channel, the read that begins earliest."""
        self._waiting: list[_Read] = []
        """Reads of which no call has begun."""
        self._calls = 0
        """Calls under way."""
        self._scheduled = False

    async def read(self, channel: Channel, after: int, through: int) -> Sequence[Shown]:
        """The events from `after` + 1 on, up to `through` or fewer, but at least one. Raises `HubbubError`, `Broken`."""
        while True:
            found = self._tails.after(channel, after, through)
            if found is not None:
                return found
            read = self._under_way.get(channel)
            if read is None or not read.after <= after < read.through:
                read = self._begin(channel, after, through)
            events = await asyncio.shield(read.done)
            wanted = events[after - read.after : through - read.after]
            if wanted:
                return wanted

    def _begin(self, channel: Channel, after: int, through: int) -> _Read:
        tail = self._tails.of(channel)
        if tail is not None and tail.events[0].seq > after + 1:
            through = min(through, tail.events[0].seq - 1)
        read = _Read(channel, after, through, tail, self._tails.cleared, self._loop.create_future())
        read.done.add_done_callback(_retrieved)
        known = self._under_way.get(channel)
        if known is None or after < known.after:
            self._under_way[channel] = read
        self._waiting.append(read)
        if not self._scheduled:
            self._schedule()
        return read

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_later(GATHER_SECONDS if self._calls else 0, self._start)

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and self._calls < CONCURRENT:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            self._calls += 1
            self._group.create_task(guarded("missed", self._call(batch), partial(self._fail, batch, Unavailable())))

    async def _call(self, batch: Sequence[_Read]) -> None:
        MISSED_RANGES.observe(len(batch))
        ranges = [
            EventRange(tenant=read.channel.tenant, channel=read.channel.id, after=read.after, through=read.through)
            for read in batch
        ]
        try:
            answer = await call(self._messages.FetchRanges, FetchRangesRequest(ranges=ranges), timeout=CALL_SECONDS)
        except HubbubError as error:
            self._fail(batch, error)
        else:
            if not self._epoch.accept(answer.epoch):
                self._fail(batch, Unavailable())
                return
            if not answer.ranges:
                self._fail(batch, Broken())
                return
            for read, found in zip(batch, answer.ranges, strict=False):
                self._take(read, list(map(shown, found.events)))
            self._waiting = [*batch[len(answer.ranges) :], *self._waiting]  # those that did not fit into the answer
        finally:
            self._calls -= 1
            if self._waiting and not self._scheduled:
                self._schedule()

    def _take(self, read: _Read, events: list[Shown]) -> None:
        if not events or [event.seq for event in events] != list(range(read.after + 1, read.after + 1 + len(events))):
            self._fail([read], Broken())
            return
        self._tails.extend_back(read.channel, read.tail, read.cleared, events)
        self._end(read)
        read.done.set_result(events)

    def _fail(self, batch: Sequence[_Read], error: Exception) -> None:
        for read in batch:
            self._end(read)
            if not read.done.done():
                read.done.set_exception(error)

    def _end(self, read: _Read) -> None:
        if self._under_way.get(read.channel) is read:
            del self._under_way[read.channel]


def _retrieved(done: asyncio.Future[Sequence[Shown]]) -> None:
    """Take note of an exception for which no connection waits any more."""
    if not done.cancelled():
        done.exception()
