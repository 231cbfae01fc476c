"""The RPCs that read the log: catching up, filling a gateway's hole, auditing heads, paging.

A committed log never changes below its head, except that a deletion takes words away. So the heads and what the caller may see
are read at one moment, and the entries up to those heads afterwards: whatever happens in between has a higher number.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from chassis.errors import InvalidArgument, NotFound
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, validate
from messages.message import Caller, ChannelId, Range, TenantId
from messages.service import access
from messages.service.desk import Desk, that_fit
from messages.store import log

_POSITIONS = 10_000
_HEADS = 1_000
_FETCH = 1_000
_CHUNK_BYTES = 256 * 1024


class Log(Desk):
    """Reading the log."""

    async def CatchUp(self, request: rpc.CatchUpRequest, _context: object) -> AsyncIterator[rpc.CatchUpResponse]:
        """What a socket misses: first the status of every position, then the entries."""
        caller = await self._admitted(request.caller)
        validate.at_most(request.positions, _POSITIONS, "positions")
        statuses, ranges = await self._judge(caller, request)
        yield rpc.CatchUpResponse(statuses=statuses)
        for page in log.pages(ranges):
            async with self._database.connection([caller.tenant]) as connection:
                entries = await log.read(connection, page)
            chunk, size = rpc.CatchUpResponse(), 0
            for entry in entries:
                event = convert.event(entry)
                if size and size + len(event.payload) > _CHUNK_BYTES:
                    yield chunk
                    chunk, size = rpc.CatchUpResponse(), 0
                chunk.events.append(event)
                size += len(event.payload)
            yield chunk

    async def _judge(self, caller: Caller, request: rpc.CatchUpRequest) -> tuple[list[rpc.CatchUpStatus], list[Range]]:
        """The status of every position, and what of the log the complete ones miss."""
        asked = [(_channel_id(position.channel), validate.seq(position.seq)) for position in request.positions]
        async with self._database.connection([caller.tenant]) as connection:
            seen = await log.positions(connection, caller, [channel for channel, _ in asked if channel])
        places = iter(seen)
        statuses, ranges = [], []
        for (channel, position), given in zip(asked, request.positions, strict=True):
            place = next(places) if channel else None
            if channel is None or place is None:
                statuses.append(rpc.CatchUpStatus(channel=given.channel, status=rpc.RESUME_STATUS_GONE))
                continue
            head, floor = place
            missing = Range(channel, max(position, floor), head)
            if position > head or missing.count > request.limit:
                statuses.append(rpc.CatchUpStatus(channel=channel, status=rpc.RESUME_STATUS_RESET, seq=head))
                continue
            statuses.append(rpc.CatchUpStatus(channel=channel, status=rpc.RESUME_STATUS_COMPLETE, seq=head, after=missing.after))
            ranges.append(missing)
        return statuses, ranges

    async def FetchEvents(self, request: rpc.FetchEventsRequest, _context: object) -> rpc.FetchEventsResponse:
        """Entries for a gateway that found a hole; as many as asked, or fewer where they are large."""
        tenant, channel = TenantId(validate.tenant(request.tenant)), validate.channel_id(request.channel)
        async with self._database.connection([tenant]) as connection:
            head = await log.head(connection, tenant, channel)
        if head is None:
            raise NotFound
        through = min(head, validate.seq(request.through or head))
        found = await self._read(
            tenant, channel, validate.seq(request.after), through, validate.page(request.page_size, _FETCH, _FETCH)
        )
        return rpc.FetchEventsResponse(events=found, head=head)

    async def GetHeads(self, request: rpc.GetHeadsRequest, _context: object) -> rpc.GetHeadsResponse:
        """Heads of channels, of any tenants, for the audit: numbers and nothing else."""
        if len(request.channels) > _HEADS:
            raise InvalidArgument(f"At most {_HEADS} channels")
        asked = [channel for channel in map(_channel_id, request.channels) if channel]
        async with self._database.connection(EVERY_TENANT) as connection:
            heads = await log.heads(connection, asked)
        return rpc.GetHeadsResponse(heads=[rpc.Position(channel=channel, seq=seq) for channel, seq in heads.items()])

    async def ListEvents(self, request: rpc.ListEventsRequest, _context: object) -> rpc.ListEventsResponse:
        """The log itself, oldest first, for members."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        standing, _ = access.member(await self._standing(caller, channel))
        after = max(validate.seq(request.after), standing.floor)
        found = await self._read(caller.tenant, channel, after, standing.head, validate.page(request.page_size, 200, 1_000))
        return rpc.ListEventsResponse(events=found)

    async def _read(self, tenant: TenantId, channel: ChannelId, after: int, through: int, limit: int) -> list[events.Event]:
        wanted = Range(channel, after, min(through, after + limit))
        if not wanted.count:
            return []
        async with self._database.connection([tenant]) as connection:
            return that_fit(convert.event(entry) for entry in await log.read(connection, [wanted]))


def _channel_id(value: str) -> ChannelId | None:
    try:
        return validate.channel_id(value)
    except NotFound:
        return None
