"""Answers `sync`: reads the events that a connection misses and joins them with the live log.

A connection's syncs are answered in order, one at a time. From the beginning of a sync the hub buffers new events of its
channels, so what is read up to `seq` and the buffer (everything delivered since) overlap and leave no gap. The events are checked
against the announced status: a stream that does not contain every number up to `seq`, in order, closes the connection.

A position equal to the head, or to the one from `hello`, needs nothing. Otherwise there are two ways:

- The first `sync` follows `hello`, for which the store has just confirmed the user's memberships. Up to the channel's head here,
  everything was logged before a removal that has not been delivered yet, so the hub's word suffices: the events come from
  `missed`, which reads each range once for all connections.
- A later `sync`, or a position beyond the head here, is answered by the store (`CatchUp`), which checks the membership again.

A channel that the connection is not in is `gone`; a channel gained just now is announced by `joined` (`gains`).

A position of another epoch of the store is `reset`: its number may belong to an entry that the store has lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from functools import partial

import structlog

from chassis.errors import HubbubError, RateLimited, Unavailable
from chassis.grpc_client import stream
from chassis.under_way import UnderWay
from gateway.clients import CATCH_UP_SECONDS
from gateway.hub.hub import Hub
from gateway.hub.missed import Broken, MissedEvents
from gateway.hub.sync_plan import Behind, Read, Sync, groups
from gateway.metrics import CATCH_UPS
from gateway.model import Channel, Connection, Shown
from gateway.protocol.close_codes import Close
from gateway.protocol.incoming import COST_BYTES
from gateway.protocol.outgoing import Left, Ref, Synced, SyncStatus, encode, refusal
from gateway.rates.shared import SharedRate
from gateway.serial_queue import SerialQueue
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import Event
from hubbub.messages.v1.messages_service_pb2 import (
    RESUME_STATUS_COMPLETE,
    RESUME_STATUS_GONE,
    RESUME_STATUS_RESET,
    CatchUpRequest,
    CatchUpStatus,
    Position,
)
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CONCURRENT = 256
"""Syncs that read from the store at one time; the others wait, outside of the hub's buffers."""
TENANT_CONCURRENT = CONCURRENT // 2
USER_CONCURRENT = 2
WAITING_READS = 10_000
"""Syncs of one user or tenant that wait to read."""
EVENTS_PER_TOKEN = 50
"""Events of a catch-up that cost a token, besides those for their bytes."""
WAITING_SYNCS = 8
"""Syncs of one connection that may wait."""
CHUNK_BYTES = 256 * 1024
CHUNK_SECONDS = 15.0
"""Time for the client to read one chunk before it gets the next."""
_WAITING = "Other syncs of this user or tenant are being read"
_GONE = SyncStatus("gone")


class CatchUps:
    """Syncs that are being answered."""

    def __init__(
        self,
        hub: Hub,
        registry: Registry,
        messages: MessagesServiceStub,
        *,
        group: asyncio.TaskGroup,
        rate: SharedRate,
        sync_events: int,
    ) -> None:
        self._hub = hub
        self._writer = registry.writer
        self._close = registry.close
        self._messages = messages
        self._group = group
        self._sync_events = sync_events
        """If a channel misses more events than this, none is sent."""
        self._rate = rate
        """Of what catch-ups send to a user."""
        self._users = UnderWay(USER_CONCURRENT, _WAITING, waiting=WAITING_READS, seconds=CATCH_UP_SECONDS)
        self._tenants = UnderWay(TENANT_CONCURRENT, _WAITING, waiting=WAITING_READS, seconds=CATCH_UP_SECONDS)
        self._missed = MissedEvents(hub.tails, hub.epoch, messages, group)
        self._slots = asyncio.Semaphore(CONCURRENT)

    def sync(self, connection: Connection, ref: Ref, positions: Mapping[str, int], epoch: str | None = None) -> None:
        """Answer a `sync` after the connection's earlier ones. Raises `RateLimited` if too many wait."""
        if connection.flow is None:
            connection.flow = SerialQueue(self._group, WAITING_SYNCS, partial(self._close, connection, Close.INTERNAL_ERROR))
        if not connection.flow.add(partial(self._sync, connection, ref, positions, epoch)):
            raise RateLimited("Too many syncs at once")

    async def _sync(self, connection: Connection, ref: Ref, positions: Mapping[str, int], epoch: str | None) -> None:
        account, trail = connection.account, connection.trail
        if trail is not None and positions:
            trail.forget()
            trail.catching_named = True
        try:
            sync = self._plan(connection, ref, positions, epoch)
            if self._in_memory(sync):
                await self._answer(sync, "memory")
                return
            async with self._users.turn(account.tenant, account.user), self._tenants.turn(account.tenant), self._slots:
                # Planned again: channels moved on during the wait.
                await self._answer(self._plan(connection, ref, positions, epoch), "complete")
        except Broken:
            self._break(connection, "broken", Close.RESYNC_NEEDED)
        except RateLimited as error:
            self._writer.send(connection, refusal(error, ref))
        finally:
            if trail is not None:
                trail.catching_named = False

    async def _answer(self, sync: Sync, outcome: str) -> None:
        """Buffer new events, and send what is missing. Raises `Broken`."""
        if sync.behind or sync.reads:  # otherwise all is done before the next event is taken
            sync.at_hand |= {channel: sync.connection.waiting[channel] for channel in sync.quiet}
            sync.quiet.clear()
        for channel in sync.channels():
            channel.begin_catching(sync.connection)
        try:
            await self._catch_up(sync)
        except HubbubError as error:
            self._fail(sync, error)
        except TimeoutError:
            self._break(sync.connection, "slow", Close.SLOW_CONSUMER)
        else:
            CATCH_UPS.labels(outcome).inc()

    def _in_memory(self, sync: Sync) -> bool:
        """Whether the sync needs nothing from the store."""
        return not sync.reads and all(self._hub.tails.holds(each.channel, each.after, each.through) for each in sync.behind)

    async def _catch_up(self, sync: Sync) -> None:
        """Send `synced` and what is missing. Raises what `_answer` handles."""
        rest = groups(sync.behind)
        first = next(rest, [])
        pages = await self._pages(first)  # before `synced`, so that a store that does not answer leaves everything as it was
        if sync.reads:
            await self._read(sync)
            for read in sync.reads.values():
                self._hub.finish(read.channel, sync.connection, read.through)
        else:
            self._announce(sync)
        await self._send(sync, first, pages)
        for group in rest:
            await self._send(sync, group, await self._pages(group))

    def _plan(self, connection: Connection, ref: Ref, positions: Mapping[str, int], epoch: str | None) -> Sync:
        """Decide for each channel: gone, reset, at hand, behind, or to be read. Raises `Broken`."""
        sync, account = Sync(connection, ref), connection.account
        wanted = dict(positions)
        if not connection.flowing:
            wanted |= self._unnamed(sync, positions)
        for channel_id, position in wanted.items():
            found, named = account.channels.get(channel_id), channel_id in positions
            if found is None or connection in found.catching or not found.holds(connection):
                sync.statuses[channel_id] = _GONE
            elif named and not self._hub.epoch.covers(position, epoch):
                head = sync.at_hand[found] = max(found.head, connection.waiting.get(found, 0))
                sync.statuses[channel_id] = SyncStatus("reset", head)
            elif position == found.head or (position == connection.waiting.get(found) and position > found.head):
                sync.at_hand[found] = position
                if named:
                    sync.statuses[channel_id] = SyncStatus("complete", position)
            elif connection.flowing or max(position, found.floor(connection)) > found.head:
                sync.reads[channel_id] = Read(found, position, named, found.head)
            else:
                self._plan_behind(sync, found, position, named=named)
        return sync

    def _unnamed(self, sync: Sync, positions: Mapping[str, int]) -> dict[str, int]:
        """Channels that start at the position from `hello`, with it, unless nothing has happened in them since."""
        started: dict[str, int] = {}
        quiet = sync.quiet
        for channel, start in sync.connection.waiting.items():
            if positions and channel.id in positions:
                continue
            if start >= channel.head:
                quiet.append(channel)
            else:
                started[channel.id] = start
        return started

    def _plan_behind(self, sync: Sync, channel: Channel, position: int, *, named: bool) -> None:
        floor = channel.floor(sync.connection)
        behind = Behind(channel, max(position, floor), channel.head, floor)
        reset = behind.count > self._sync_events or behind.after < channel.archived_to
        if reset and not named:
            raise Broken  # `synced` has no place for a channel that the client did not name
        if named:
            sync.statuses[channel.id] = SyncStatus("reset" if reset else "complete", channel.head)
        if reset or behind.count <= 0:
            sync.at_hand[channel] = channel.head
        else:
            sync.behind.append(behind)

    def _announce(self, sync: Sync) -> None:
        sync.announced = sync.connection.flowing = True
        self._writer.send(sync.connection, encode(Synced(sync.statuses, sync.ref)))
        for channel_id in sync.lost:
            self._writer.send(sync.connection, encode(Left(channel_id)))
        connection = sync.connection
        for channel in sync.quiet:
            channel.place(connection, connection.waiting.pop(channel))
        for channel, position in sync.at_hand.items():
            self._hub.finish(channel, sync.connection, position)

    async def _pages(self, group: Sequence[Behind]) -> list[Sequence[Shown]]:
        """The missing events of each channel, or the first of them. Raises `HubbubError`, `Broken`."""
        found = [self._hub.tails.after(each.channel, each.after, each.through) for each in group]
        if all(page is not None for page in found):
            return [page or [] for page in found]
        return await asyncio.gather(*(self._missed.read(each.channel, each.after, each.through) for each in group))

    async def _send(self, sync: Sync, group: Sequence[Behind], pages: Sequence[Sequence[Shown]]) -> None:
        """Send the missing events of each channel at the pace of the client."""
        connection, size = sync.connection, 0
        for each, first in zip(group, pages, strict=True):
            page = first
            while connection.closing is None:
                for event in page:
                    payload = event.to(each.floor)
                    self._writer.send(connection, payload)
                    size += len(payload)
                if size > CHUNK_BYTES:
                    await self._writer.drained(connection, CHUNK_SECONDS)
                    size = 0
                await self._charge(connection, [event.payload for event in page])
                each.after += len(page)
                if each.after >= each.through:
                    break
                page = await self._missed.read(each.channel, each.after, each.through)
            self._hub.finish(each.channel, connection, each.through)

    async def _read(self, sync: Sync) -> None:
        """Read from the store and send at the pace of the client. Raises what `_sync` handles."""
        request = CatchUpRequest(
            caller=sync.connection.identity.caller,
            positions=[Position(channel=key, seq=read.position) for key, read in sync.reads.items()],
            limit=self._sync_events,
        )
        async with aclosing(stream(self._messages.CatchUp, request, timeout=CATCH_UP_SECONDS)) as answers:
            async for answer in answers:
                if not self._hub.epoch.accept(answer.epoch):
                    raise Unavailable
                if sync.connection.closing is not None:  # a new epoch
                    return
                if not sync.announced:
                    self._take_statuses(sync, answer.statuses)
                    self._announce(sync)
                for event in answer.events:
                    self._pass_on(sync, event)
                await self._charge(sync.connection, [event.payload for event in answer.events])
                await self._writer.drained(sync.connection, CHUNK_SECONDS)
        if not sync.announced or any(read.upcoming != read.through + 1 for read in sync.reads.values()):
            raise Broken

    async def _charge(self, connection: Connection, payloads: Sequence[bytes]) -> None:
        """Charge the user for what was sent, and wait as long as that exceeds the rate: a catch-up is never refused halfway."""
        account = connection.account
        cost = len(payloads) / EVENTS_PER_TOKEN + sum(map(len, payloads)) / COST_BYTES
        while cost:
            try:
                self._rate.take(account.tenant, account.user, cost=cost)
            except RateLimited as error:
                await asyncio.sleep(error.retry_after)
            else:
                return

    def _take_statuses(self, sync: Sync, statuses: Sequence[CatchUpStatus]) -> None:
        """Take the store's statuses. Raises if they do not match the request, or are older than what was delivered here."""
        if {status.channel for status in statuses} != sync.reads.keys():
            raise Broken
        for status in statuses:
            read = sync.reads[status.channel]
            if status.status != RESUME_STATUS_GONE and status.seq < read.head:
                raise Unavailable  # a replica that lags behind the bus
            if status.status == RESUME_STATUS_RESET and not read.named:
                raise Broken  # `synced` has no place for a channel that the client did not name
        for status in statuses:
            self._take_status(sync, status)

    def _take_status(self, sync: Sync, status: CatchUpStatus) -> None:
        read = sync.reads[status.channel]
        outcome = _GONE
        if status.status == RESUME_STATUS_COMPLETE:
            read.upcoming, read.through = max(status.after, read.position) + 1, status.seq
            outcome = SyncStatus("complete", status.seq)
        elif status.status == RESUME_STATUS_RESET:
            read.upcoming, read.through = status.seq + 1, status.seq
            outcome = SyncStatus("reset", status.seq)
        else:
            read.channel.remove(sync.connection)
            del sync.reads[status.channel]
        if read.named:
            sync.statuses[status.channel] = outcome
        elif outcome is _GONE:
            sync.lost.append(status.channel)

    def _pass_on(self, sync: Sync, event: Event) -> None:
        read = sync.reads.get(event.channel)
        if read is None or event.seq != read.upcoming or event.seq > read.through:
            raise Broken
        read.upcoming += 1
        self._writer.send(sync.connection, event.payload)

    def _fail(self, sync: Sync, error: HubbubError) -> None:
        """The store does not answer: answer with an error if nothing was sent yet, otherwise close."""
        if sync.announced:
            self._break(sync.connection, "cut", Close.RESYNC_NEEDED)
            return
        CATCH_UPS.labels("unavailable").inc()
        for channel in sync.channels():
            self._hub.abandon(channel, sync.connection)
        self._writer.send(sync.connection, refusal(error, sync.ref))

    def _break(self, connection: Connection, outcome: str, reason: Close) -> None:
        CATCH_UPS.labels(outcome).inc()
        log.warning("catch_up_broken", connection=connection.id, outcome=outcome)
        self._close(connection, reason)
