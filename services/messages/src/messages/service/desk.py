"""What the RPCs of all nouns share: who calls, how a channel is changed, what becomes of the entries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from bus.bus import BusError
from chassis.errors import NotAuthenticated
from chassis.postgres import Connection, Database
from hubbub.messages.v1 import messages_pb2 as nouns
from messages import convert
from messages.audit import Deed
from messages.message import Caller, ChannelId, Details, Entry, EntryKind, Standing
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.store import audit, channels, log, users
from messages.store.log import Draft
from messages.store.users import Arrival

logger = structlog.get_logger()
_ANSWER_BYTES = 3 * 1024 * 1024


@dataclass(slots=True)
class Change:
    """A channel locked for change, in a transaction."""

    connection: Connection
    caller: Caller
    channel: ChannelId
    standing: Standing | None
    """How the caller stands to it, seen after locking; None when their tenant has no such channel."""
    entries: list[Entry] = field(default_factory=list)
    """Appended so far; published after the commit."""
    noted: list[int] = field(default_factory=list)

    async def append(self, kind: EntryKind, *details: Details) -> list[Entry]:
        """Append an entry for each of `details`, all made by the caller."""
        drafts = [Draft(kind, self.caller.user, each) for each in details]
        appended = await log.append(self.connection, self.caller.tenant, self.channel, drafts)
        self.entries += appended.entries
        self.noted += appended.noted
        return appended.entries

    async def record(self, deed: Deed, subject: str = "", **details: object) -> None:
        """Record for the audit what the caller does to the channel or somebody in it."""
        await audit.append(self.connection, self.caller, deed, channel=self.channel, subject=subject, **details)


class Desk:
    """Serves callers. The RPCs of each noun are a subclass."""

    def __init__(self, database: Database, publisher: Publisher, revocations: Revocations) -> None:
        self._database = database
        self._publisher = publisher
        self._revocations = revocations

    async def _admitted(self, given: nouns.Caller) -> Caller:
        """The caller, known from now on; raises `NotAuthenticated` for the blocked and revoked."""
        caller = convert.caller(given)
        async with self._database.connection([caller.tenant]) as connection:
            known = await users.admit(connection, [Arrival(caller)])
        if known[caller.tenant, caller.user].refuses(caller):
            raise NotAuthenticated
        return caller

    async def _standing(self, caller: Caller, channel: ChannelId) -> Standing | None:
        async with self._database.connection([caller.tenant]) as connection:
            return await channels.standing(connection, caller, channel)

    @asynccontextmanager
    async def _changing(self, caller: Caller, channel: ChannelId) -> AsyncIterator[Change]:
        """Change a channel inside the block: nobody else numbers, joins or leaves meanwhile. Leaving commits, then publishes."""
        async with self._database.transaction([caller.tenant]) as connection:
            await channels.lock(connection, channel)
            change = Change(connection, caller, channel, await channels.standing(connection, caller, channel))
            yield change
        await self._publish(change.entries, change.noted)

    async def _view(self, caller: Caller, channel: ChannelId) -> nouns.Channel:
        """A channel that exists, as the caller sees it now."""
        async with self._database.connection([caller.tenant]) as connection:
            view = await channels.view(connection, caller, channel)
        return convert.view(view) if view else nouns.Channel()

    async def _publish(self, entries: Sequence[Entry], noted: Sequence[int]) -> None:
        """Publish what is stored. When the bus is away the answer is still yes: the sweeper publishes it later."""
        if not entries:
            return
        try:
            await self._publisher.publish_entries(entries, noted)
        except BusError:
            logger.warning("publishing_left_to_sweeper", entries=len(entries))


class _Sized(Protocol):
    def ByteSize(self) -> int: ...


SizedT = TypeVar("SizedT", bound=_Sized)


def that_fit(items: Iterable[SizedT]) -> list[SizedT]:
    """The first items, at least one, that one answer can carry. A page may be short: whoever wants more asks on from its end."""
    fitting: list[SizedT] = []
    size = 0
    for item in items:
        size += item.ByteSize()
        if fitting and size > _ANSWER_BYTES:
            break
        fitting.append(item)
    return fitting
