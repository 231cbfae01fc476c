"""The log as durable readers within this service read it (`bus.reader.Log`): straight from the database."""

from __future__ import annotations

from collections.abc import Sequence

from bus.reader import Span
from chassis.postgres import EVERY_TENANT, Database
from hubbub.events.v1.events_pb2 import Event
from messages import convert
from messages.message import ChannelId, Range
from messages.store import epoch, log

_FIRST = ChannelId("00000000-0000-0000-0000-000000000000")


class ReaderLog:
    """Implements `bus.reader.Log`. Needs the primary: what the bus has carried must be there."""

    def __init__(self, database: Database, tenants: frozenset[str] | None = None) -> None:
        self._database = database
        self._tenants = tenants
        """Whose channels there are; None for all."""

    async def epoch(self) -> str:
        """The store's epoch. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            return (await epoch.current(connection)).id

    async def heads(self, after: str, limit: int) -> Sequence[tuple[str, int]]:
        """A page of all channels with their heads. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            return await log.heads_after(connection, ChannelId(after) if after else _FIRST, limit, self._tenants)

    async def events(self, spans: Sequence[Span]) -> Sequence[Event]:
        """The events of the spans. Raises `Unavailable`."""
        return await self.read([Range(ChannelId(each.channel), each.after, each.through) for each in spans])

    async def read(self, ranges: Sequence[Range]) -> Sequence[Event]:
        """The events of ranges. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            return [convert.event(entry) for entry in await log.read(connection, ranges)]
