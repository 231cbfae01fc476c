"""The log as durable readers within this service read it (`bus.reader.Log`): straight from the database, of every tenant."""

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

    def __init__(self, database: Database) -> None:
        self._database = database

    async def epoch(self) -> str:
        """The store's epoch. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            return (await epoch.current(connection)).id

    async def heads(self, after: str, limit: int) -> Sequence[tuple[str, int]]:
        """A page of all channels with their heads. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            return await log.heads_after(connection, ChannelId(after) if after else _FIRST, limit)

    async def events(self, spans: Sequence[Span]) -> Sequence[Event]:
        """The events of the spans. Raises `Unavailable`."""
        ranges = [Range(ChannelId(each.channel), each.after, each.through) for each in spans]
        async with self._database.connection(EVERY_TENANT) as connection:
            return [convert.event(entry) for entry in await log.read(connection, ranges)]
