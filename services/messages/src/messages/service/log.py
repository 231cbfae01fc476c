"""RPCs that read the log: catch-up of a socket, gaps and heads for a gateway, pages for a member.

A committed log never changes up to its head, except that a deletion erases text. So one statement reads the heads and what the
caller may read, and later ones the entries up to those heads. Entries appended in between have higher numbers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

from chassis.errors import InvalidArgument, NotFound
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1.events_pb2 import Event
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, validate
from messages.message import Caller, ChannelId, Entry, Range, TenantId
from messages.service.rpc_base import RpcBase, fit_to_answer
from messages.store import log

_POSITIONS = 10_000
_HEADS = 1_000
_FETCH = 1_000
_RANGES = 500
_CHUNK_BYTES = 256 * 1024


class Log(RpcBase):
    """RPCs that read the log."""

    async def CatchUp(self, request: rpc.CatchUpRequest, _context: object) -> AsyncIterator[rpc.CatchUpResponse]:
        """The entries that a socket misses: first the status of every position, then the entries."""
        caller = await self._admitted(request.caller)
        validate.at_most(request.positions, _POSITIONS, "positions")
        epoch, statuses, ranges, floors = await self._statuses(caller, request)
        yield rpc.CatchUpResponse(statuses=statuses, epoch=epoch)
        for page in log.pages(ranges):
            entries = await log.read_now(self._database, [caller.tenant], page)
            chunk, size = rpc.CatchUpResponse(epoch=_epoch(entries)), 0
            for entry in entries:
                event = convert.event_for(entry, floors[entry.channel])
                if size and size + len(event.payload) > _CHUNK_BYTES:
                    yield chunk
                    chunk, size = rpc.CatchUpResponse(epoch=entry.epoch), 0
                chunk.events.append(event)
                size += len(event.payload)
            yield chunk

    async def _statuses(
        self, caller: Caller, request: rpc.CatchUpRequest
    ) -> tuple[str, list[rpc.CatchUpStatus], list[Range], dict[ChannelId, int]]:
        """The epoch, the status of every position, and of those that are complete the missing ranges and the floors."""
        requested = [(_channel_id(position.channel), validate.seq(position.seq)) for position in request.positions]
        async with self._database.connection([caller.tenant]) as connection:
            epoch, seen = await log.positions(connection, caller, [channel for channel, _ in requested if channel])
        places = iter(seen)
        statuses, ranges, floors = [], [], {}
        for (channel, seq), position in zip(requested, request.positions, strict=True):
            place = next(places) if channel else None
            if channel is None or place is None:
                statuses.append(rpc.CatchUpStatus(channel=position.channel, status=rpc.RESUME_STATUS_GONE))
                continue
            head, floor, archived_to = place
            missing = Range(channel, max(seq, floor), head)
            if seq > head or missing.after < archived_to or missing.count > request.limit:
                statuses.append(rpc.CatchUpStatus(channel=channel, status=rpc.RESUME_STATUS_RESET, seq=head))
                continue
            statuses.append(rpc.CatchUpStatus(channel=channel, status=rpc.RESUME_STATUS_COMPLETE, seq=head, after=missing.after))
            ranges.append(missing)
            floors[channel] = floor
        return epoch, statuses, ranges, floors

    async def FetchEvents(self, request: rpc.FetchEventsRequest, _context: object) -> rpc.FetchEventsResponse:
        """Entries for a gateway that found a gap: as many as requested, or fewer when they are large."""
        tenant, channel = TenantId(validate.tenant(request.tenant)), validate.channel_id(request.channel)
        async with self._database.connection([tenant]) as connection:
            found = await log.head(connection, tenant, channel)
        if found is None:
            raise NotFound
        head, epoch, roster = found
        through = min(head, validate.seq(request.through or head))
        limit = validate.page(request.page_size, _FETCH, _FETCH)
        entries = await self._read(tenant, channel, validate.seq(request.after), through, limit)
        events = fit_to_answer(map(convert.event, entries))
        answer = rpc.FetchEventsResponse(events=events, head=head, epoch=_epoch(entries) or epoch, roster=roster)
        if request.HasField("after_roster"):  # read after the entries, so that none of these precedes a change that is missing
            answer.roster = max([roster, *(entry.roster for entry in entries)])
            after = validate.seq(request.after_roster)
            async with self._database.connection([tenant]) as connection:
                changes = await log.roster_changes(connection, [Range(channel, after, min(answer.roster, after + limit))])
            answer.changes.extend(map(convert.change, changes))
        return answer

    async def FetchRanges(self, request: rpc.FetchRangesRequest, _context: object) -> rpc.FetchRangesResponse:
        """Entries that sockets of a gateway miss: a page of all ranges, of which the last ones may be left out."""
        validate.at_most(request.ranges, _RANGES, "ranges")
        tenants = [TenantId(validate.tenant(each.tenant)) for each in request.ranges]
        ranges = [
            Range(validate.channel_id(each.channel), validate.seq(each.after), validate.seq(each.through))
            for each in request.ranges
        ]
        if not all(each.count for each in ranges):
            raise InvalidArgument("An empty range")
        page = next(log.pages(ranges), [])
        entries = await log.read_now(self._database, sorted(set(tenants)), page)
        found = fit_to_answer(map(convert.event, entries))
        answers = _by_range(found, zip(page, tenants, strict=False), cut=len(found) < len(entries))
        return rpc.FetchRangesResponse(ranges=answers, epoch=_epoch(entries))

    async def GetHeads(self, request: rpc.GetHeadsRequest, _context: object) -> rpc.GetHeadsResponse:
        """Heads of channels of any tenants, with which gateways compare their own. Contains nothing but numbers."""
        if len(request.channels) > _HEADS:
            raise InvalidArgument(f"At most {_HEADS} channels")
        requested = [channel for channel in map(_channel_id, request.channels) if channel]
        async with self._database.connection(EVERY_TENANT) as connection:
            epoch, heads = await log.heads(connection, requested)
        positions = [rpc.Position(channel=channel, seq=seq, roster=roster) for channel, (seq, roster) in heads.items()]
        return rpc.GetHeadsResponse(heads=positions, epoch=epoch)

    async def ListEvents(self, request: rpc.ListEventsRequest, _context: object) -> rpc.ListEventsResponse:
        """The log itself, oldest first, for members."""
        channel = validate.channel_id(request.channel)
        caller, membership = await self._member(request.caller, channel)
        after = max(validate.seq(request.after), membership.floor)
        limit = validate.page(request.page_size, 200, 1_000)
        entries = await self._read(caller.tenant, channel, after, membership.head, limit)
        return rpc.ListEventsResponse(events=fit_to_answer(convert.event_for(entry, membership.floor) for entry in entries))

    async def _read(self, tenant: TenantId, channel: ChannelId, after: int, through: int, limit: int) -> list[Entry]:
        wanted = Range(channel, after, min(through, after + limit))
        if not wanted.count:
            return []
        return await log.read_now(self._database, [tenant], [wanted])


def _epoch(entries: Sequence[Entry]) -> str:
    """The epoch of entries of one read; empty without entries."""
    return entries[0].epoch if entries else ""


def _by_range(events: Sequence[Event], ranges: Iterable[tuple[Range, TenantId]], *, cut: bool) -> list[rpc.FetchedRange]:
    """Distribute events to the ranges from which they were read, in order. `cut`: events after the last one were left out."""
    answers, at = [], 0
    for each, tenant in ranges:
        began = at
        for seq in range(each.after + 1, each.through + 1):
            if at == len(events) or (events[at].channel, events[at].seq) != (each.channel, seq):
                break
            at += 1
        answers.append(rpc.FetchedRange(events=(event for event in events[began:at] if event.tenant == tenant)))
        if cut and at == len(events):
            break
    return answers


def _channel_id(value: str) -> ChannelId | None:
    try:
        return validate.channel_id(value)
    except NotFound:
        return None
