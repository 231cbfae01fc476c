"""Answers `sync`: brings a socket what it misses and joins that with the live log; and verifies channels that were gained.

One `sync` of a socket at a time, in the order in which they came. From the moment it is begun the hub buffers what happens
in the channels concerned, so the answer of the store (a snapshot at `seq`) and the buffer (everything handed on since)
overlap rather than leave a hole. What a status says is checked against what follows it: a stream that does not bring every
number up to `seq`, in order, closes the socket with 4005 rather than hole it.

No store is asked where the position is the head, or is the one that `hello` gave and nothing happened since: a storm of
reconnects to quiet channels costs no RPC. Memory decides `gone` for channels in which the socket does not stand: a
channel gained just now is announced by `joined`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

import structlog

from chassis.errors import HubbubError, NotAllowed, NotFound, RateLimited, Unavailable
from chassis.grpc_client import call, stream
from gateway.backoff import delays
from gateway.clients import CALL_SECONDS, CATCH_UP_SECONDS
from gateway.connection import Connection
from gateway.contain import contained
from gateway.convert import channel_view
from gateway.lane import Lane
from gateway.metrics import CATCH_UPS
from gateway.outbound.channel import Channel, Gain
from gateway.outbound.frames import ChannelView, Left, Ref, Synced, SyncStatus, encode, refusal
from gateway.outbound.hub import Hub
from gateway.outbound.membership import RESYNC_NEEDED
from gateway.outbound.outbox import SLOW_CONSUMER, Outbox
from gateway.outbound.wire import text_frame
from hubbub.events.v1.events_pb2 import Event
from hubbub.messages.v1.messages_pb2 import Caller
from hubbub.messages.v1.messages_service_pb2 import CatchUpRequest, CatchUpStatus, GetChannelRequest, Position
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CONCURRENT = 256
"""Catch-ups that read from the store at one time; the others wait."""
WAITING_SYNCS = 8
"""Syncs of one socket that may wait."""
CHUNK_SECONDS = 15.0
"""In which a socket must have read what it was given before it gets more."""
VERIFY_SECONDS = 20.0
_GONE = SyncStatus("gone")


class _Broken(Exception):
    """The store's answer is not what its status said."""


@dataclass(slots=True)
class _Read:
    """One channel that the store is asked about."""

    channel: Channel
    position: int
    named: bool
    """The client asked for it; else it starts at the position that `hello` gave."""
    head: int
    """The channel's head when buffering began."""
    upcoming: int = 0
    """Number of the next entry that must come."""
    through: int = 0
    """Number of the last one."""


@dataclass(slots=True)
class _Sync:
    """One `sync` being answered."""

    connection: Connection
    ref: Ref
    statuses: dict[str, SyncStatus] = field(default_factory=dict)
    """What is said about the channels that the client named."""
    at_hand: dict[Channel, int] = field(default_factory=dict)
    """Channels that need no reading, with their positions."""
    reads: dict[str, _Read] = field(default_factory=dict)
    """The others."""
    lost: list[str] = field(default_factory=list)
    """Channels that turned out to be gone although the client did not name them."""
    announced: bool = False
    """`synced` is out."""

    def channels(self) -> list[Channel]:
        """Every channel in which the socket is catching up."""
        return [*self.at_hand, *(read.channel for read in self.reads.values())]


class CatchUps:
    """What sockets miss."""

    def __init__(
        self,
        hub: Hub,
        outbox: Outbox,
        messages: MessagesServiceStub,
        *,
        group: asyncio.TaskGroup,
        close: Callable[[Connection, int], None],
        sync_events: int,
    ) -> None:
        self._hub = hub
        self._outbox = outbox
        self._messages = messages
        self._group = group
        self._close = close
        self._sync_events = sync_events
        """More missing entries than this in one channel are not sent."""
        self._slots = asyncio.Semaphore(CONCURRENT)
        hub.memberships.on_gain = self._verify_soon

    def sync(self, connection: Connection, ref: Ref, positions: Mapping[str, int]) -> None:
        """Answer a `sync`, after those that came before it. Raises `RateLimited` when too many wait."""
        if connection.flow is None:
            connection.flow = Lane(self._group, WAITING_SYNCS, partial(self._close, connection, 1011))
        if not connection.flow.add(partial(self._sync, connection, ref, positions)):
            raise RateLimited("Too many syncs at once")

    async def _sync(self, connection: Connection, ref: Ref, positions: Mapping[str, int]) -> None:
        sync = self._plan(_Sync(connection, ref), positions)
        for channel in sync.channels():
            self._hub.begin(channel, connection)
        if not sync.reads:
            CATCH_UPS.labels("memory").inc()
            self._announce(sync)
            return
        try:
            async with self._slots:
                await self._read(sync)
        except HubbubError as error:
            self._fail(sync, error)
        except _Broken:
            self._break(connection, "broken", RESYNC_NEEDED)
        except TimeoutError:
            self._break(connection, "slow", SLOW_CONSUMER)
        else:
            CATCH_UPS.labels("complete").inc()
            for read in sync.reads.values():
                self._hub.finish(read.channel, connection, read.through)

    def _plan(self, sync: _Sync, positions: Mapping[str, int]) -> _Sync:
        """Tell apart what can be said at once, what needs no reading, and what must be read."""
        connection, account = sync.connection, sync.connection.account
        wanted = dict(positions)
        if not connection.flowing:
            for channel in account.channels.values():
                if connection in channel.waiting:
                    wanted.setdefault(channel.id, channel.waiting[connection])
        for channel_id, position in wanted.items():
            found, named = account.channels.get(channel_id), channel_id in positions
            if found is None or connection in found.catching or not found.holds(connection):
                sync.statuses[channel_id] = _GONE
            elif position == found.head or (position == found.waiting.get(connection) and position > found.head):
                sync.at_hand[found] = position
                if named:
                    sync.statuses[channel_id] = SyncStatus("complete", position)
            else:
                sync.reads[channel_id] = _Read(found, position, named, found.head)
        return sync

    def _announce(self, sync: _Sync) -> None:
        sync.announced = sync.connection.flowing = True
        self._outbox.send(sync.connection, encode(Synced(sync.statuses, sync.ref)))
        for channel_id in sync.lost:
            self._outbox.send(sync.connection, encode(Left(channel_id)))
        for channel, position in sync.at_hand.items():
            self._hub.finish(channel, sync.connection, position)

    async def _read(self, sync: _Sync) -> None:
        """Read from the store, and pass on at the pace at which the socket reads. Raises what `_sync` handles."""
        request = CatchUpRequest(
            caller=sync.connection.identity.caller,
            positions=[Position(channel=key, seq=read.position) for key, read in sync.reads.items()],
            limit=self._sync_events,
        )
        async with aclosing(stream(self._messages.CatchUp, request, timeout=CATCH_UP_SECONDS)) as answers:
            async for answer in answers:
                if not sync.announced:
                    self._judge(sync, answer.statuses)
                    self._announce(sync)
                for event in answer.events:
                    self._pass_on(sync, event)
                await self._outbox.drained(sync.connection, CHUNK_SECONDS)
        if not sync.announced or any(read.upcoming != read.through + 1 for read in sync.reads.values()):
            raise _Broken

    def _judge(self, sync: _Sync, judged: Sequence[CatchUpStatus]) -> None:
        """Take the store's statuses over. Raises where they do not fit what was asked or what was handed on here."""
        if {status.channel for status in judged} != sync.reads.keys():
            raise _Broken
        for status in judged:
            read = sync.reads[status.channel]
            if status.status != "gone" and status.seq < read.head:
                raise Unavailable  # a reader of the store that lags behind the bus
            if status.status == "reset" and not read.named:
                raise _Broken  # there is no frame that could say so
        for status in judged:
            self._take_status(sync, status)

    def _take_status(self, sync: _Sync, status: CatchUpStatus) -> None:
        read = sync.reads[status.channel]
        said = _GONE
        match status.status:
            case "complete":
                read.upcoming, read.through = max(status.after, read.position) + 1, status.seq
                said = SyncStatus("complete", status.seq)
            case "reset":
                read.upcoming, read.through = status.seq + 1, status.seq
                said = SyncStatus("reset", status.seq)
            case _:
                self._hub.forget(read.channel, sync.connection)
                del sync.reads[status.channel]
        if read.named:
            sync.statuses[status.channel] = said
        elif said is _GONE:
            sync.lost.append(status.channel)

    def _pass_on(self, sync: _Sync, event: Event) -> None:
        read = sync.reads.get(event.channel)
        if read is None or event.seq != read.upcoming or event.seq > read.through:
            raise _Broken
        read.upcoming += 1
        self._outbox.send(sync.connection, text_frame(event.payload))

    def _fail(self, sync: _Sync, error: HubbubError) -> None:
        """The store does not answer: nothing has happened yet, or the socket must start anew."""
        if sync.announced:
            self._break(sync.connection, "cut", RESYNC_NEEDED)
            return
        CATCH_UPS.labels("unavailable").inc()
        for channel in sync.channels():
            self._hub.abandon(channel, sync.connection)
        self._outbox.send(sync.connection, refusal(error, sync.ref))

    def _break(self, connection: Connection, outcome: str, code: int) -> None:
        CATCH_UPS.labels(outcome).inc()
        log.warning("catch_up_broken", connection=connection.id, outcome=outcome)
        self._close(connection, code)

    def _verify_soon(self, gain: Gain) -> None:
        self._group.create_task(contained("gain", self._verify(gain), partial(self._give_up, gain)))

    async def _verify(self, gain: Gain) -> None:
        """Ask the store, as the user, whether the membership holds; a store that stays away closes the newcomers."""
        caller = Caller(tenant=gain.account.tenant, user=gain.account.user)
        request = GetChannelRequest(caller=caller, channel=gain.channel.id)
        async for _attempt in delays(VERIFY_SECONDS):
            try:
                answer = await call(self._messages.GetChannel, request, timeout=CALL_SECONDS)
            except (NotFound, NotAllowed):
                self._hub.memberships.not_gained(gain)
                return
            except HubbubError:
                continue
            if answer.channel.role:
                self._gained(gain, channel_view(answer.channel))
            else:
                self._hub.memberships.not_gained(gain)
            return
        self._give_up(gain)

    def _give_up(self, gain: Gain) -> None:
        for connection in tuple(gain.newcomers):
            self._close(connection, RESYNC_NEEDED)
        self._hub.memberships.not_gained(gain)

    def _gained(self, gain: Gain, view: ChannelView) -> None:
        """Welcome the newcomers; one that is syncing hears `joined` after the `synced` that cannot know of it."""
        self._hub.memberships.gained(gain, view)
        for connection in gain.newcomers:
            flow = connection.flow
            if flow is None or not flow.busy:
                self._hub.memberships.welcome(gain.channel, connection, view)
            elif not flow.add(partial(self._welcome, gain.channel, connection, view)):
                self._close(connection, RESYNC_NEEDED)

    async def _welcome(self, channel: Channel, connection: Connection, view: ChannelView) -> None:
        self._hub.memberships.welcome(channel, connection, view)
