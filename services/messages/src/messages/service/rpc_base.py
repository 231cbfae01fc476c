"""The base of all RPC classes: admits the caller, locks a channel for a change, publishes the entries afterwards."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import structlog

from bus.bus import BusError
from chassis.errors import NotAuthenticated
from chassis.pipeline import Query, Rows
from chassis.postgres import Connection, Database
from hubbub.media.v1.media_service_pb2_grpc import MediaServiceStub
from hubbub.messages.v1 import messages_pb2 as nouns
from messages import convert
from messages.audit import AuditAction
from messages.limits import DEFAULT_LIMITS, Limits
from messages.message import Caller, ChannelId, Details, Entry, EntryKind, Invitation, MembershipView, UserId
from messages.policy import Action, Role
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.service import access
from messages.store import admission, audit, channels, log, members
from messages.store.log import Draft
from messages.store.users import Admission

logger = structlog.get_logger()
PAGE_BYTES = 640 * 1024
"""Bytes of a page, so that its JSON stays below 1 MiB."""
JSON_BYTES = 1000 * 1024
"""Bytes of a page that is JSON already."""
_ESCAPED = re.compile(r'[\x00-\x1f"\\]')


@dataclass(slots=True)
class Change:
    """A change of a locked channel, in a transaction."""

    connection: Connection
    caller: Caller
    channel: ChannelId
    membership: MembershipView | None
    """The caller's membership, read after locking; None when their tenant has no such channel."""
    entries: list[Entry] = field(default_factory=list)
    """Entries appended so far; published after the commit."""
    roster: list[Entry] = field(default_factory=list)
    """Roster changes made so far; published with the entries."""
    unpublished: list[int] = field(default_factory=list)
    invitations: dict[UserId, Invitation] = field(default_factory=dict)
    """New invitations; published after the commit."""

    async def append(self, kind: EntryKind, *details: Details) -> list[Entry]:
        """Append an entry for each of `details`, all made by the caller."""
        drafts = [Draft(kind, self.caller.user, each) for each in details]
        appended = await log.append(self.connection, self.caller.tenant, self.channel, drafts)
        self.entries += appended.entries
        self.unpublished += appended.unpublished
        return appended.entries

    async def invite(self, users: Sequence[UserId], role: Role) -> None:
        """Invite users to the channel."""
        self.invitations |= await members.invite(self.connection, self.caller, self.channel, users, role)

    async def record(self, action: AuditAction, subject: str = "", **details: object) -> None:
        """Add a record to the audit log about the channel and, if given, the user `subject`."""
        await audit.append(self.connection, self.caller, action, channel=self.channel, subject=subject, **details)


class RpcBase:
    """Base class of the RPC classes."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        revocations: Revocations,
        limits: Limits = DEFAULT_LIMITS,
        *,
        media: MediaServiceStub | None = None,
    ) -> None:
        self._media = media
        self._limits = limits
        self._database = database
        self._publisher = publisher
        self._revocations = revocations

    async def _admitted(self, requester: nouns.Caller) -> Caller:
        """Read the caller and store them as a user. Raises `NotAuthenticated` for a blocked user, a void token or session."""
        caller, _ = await self._admitted_with(requester, lambda _caller: [])
        return caller

    async def _admitted_with(
        self, requester: nouns.Caller, reads: Callable[[Caller], Sequence[Query]]
    ) -> tuple[Caller, list[Rows]]:
        """Admit the caller and read something for them, in one round trip. Raises as `_admitted`."""
        caller = convert.caller(requester)
        admitted, rows = await admission.admit(self._database, [Admission(caller)], reads(caller))
        if not admitted.admits(caller):
            raise NotAuthenticated
        return caller, rows

    async def _member(self, requester: nouns.Caller, channel: ChannelId) -> tuple[Caller, MembershipView]:
        """A caller who must be a member. Raises as `_admitted` and `access.member`."""
        caller, (rows,) = await self._admitted_with(requester, lambda caller: [channels.membership_query(caller, channel)])
        return caller, access.member(channels.membership_from(rows))[0]

    async def _membership(self, caller: Caller, channel: ChannelId) -> MembershipView | None:
        async with self._database.connection([caller.tenant]) as connection:
            return await channels.membership(connection, caller, channel)

    @asynccontextmanager
    async def _changing(self, caller: Caller, channel: ChannelId, action: Action | None = None) -> AsyncIterator[Change]:
        """Lock a channel inside the block: no other transaction appends to its log. Leaving commits, then publishes.

        A caller who may not do `action`, or without one may not see the channel, is refused before the channel is locked. The
        caller of this method judges again: the lock may have been granted long after.
        """
        membership = await self._membership(caller, channel)
        if action is None:
            access.visible(membership)
        else:
            access.may(membership, action)
        async with self._locked(caller, channel) as change:
            yield change

    @asynccontextmanager
    async def _locked(self, caller: Caller, channel: ChannelId) -> AsyncIterator[Change]:
        """As `_changing`, for a caller who has been judged already."""
        async with self._database.transaction([caller.tenant]) as connection:
            await channels.lock(connection, channel)
            change = Change(connection, caller, channel, await channels.membership(connection, caller, channel))
            yield change
        await self._publish_change(change)

    async def _publish_change(self, change: Change) -> None:
        """Publish what a committed change appended, and whom it invited."""
        await self._publish(change)
        if change.invitations:
            try:
                await self._publisher.publish_invitations(change.caller.tenant, change.channel, change.invitations)
            except BusError:  # the invited users find them over HTTP
                logger.warning("invitations_not_published", invitations=len(change.invitations))

    async def _listing(self, caller: Caller, channel: ChannelId) -> nouns.Channel:
        """An existing channel as the caller sees it."""
        async with self._database.connection([caller.tenant]) as connection:
            view = await channels.listing(connection, caller, channel)
        return convert.channel_listing(view) if view else nouns.Channel()

    async def _publish(self, change: Change) -> None:
        """Publish what was stored. While the bus is away the call still succeeds: the sweeper publishes it later."""
        if not change.unpublished:
            return
        try:
            await self._publisher.publish_entries(change.entries, change.unpublished, change.roster)
        except BusError:
            logger.warning("publishing_left_to_sweeper", entries=len(change.entries) + len(change.roster))


class _Sized(Protocol):
    def ByteSize(self) -> int: ...


SizedT = TypeVar("SizedT", bound=_Sized)


def fit_to_answer(items: Iterable[SizedT], escapes: Callable[[SizedT], int] = lambda _item: 0) -> list[SizedT]:
    """The first items, at least one, that fit into one response. The caller continues from the last one.

    `escapes` is how much longer an item's text is in JSON: a control character takes six bytes there.
    """
    fitting: list[SizedT] = []
    size = 0
    for item in items:
        size += item.ByteSize() + escapes(item)
        if fitting and size > PAGE_BYTES:
            break
        fitting.append(item)
    return fitting


def json_array(items: Iterable[bytes]) -> bytes:
    """As `fit_to_answer`, of items that are JSON already, as a JSON array."""
    fitting: list[bytes] = []
    size = 0
    for item in items:
        size += len(item)
        if fitting and size > JSON_BYTES:
            break
        fitting.append(item)
    return b"[" + b",".join(fitting) + b"]"


def message_escapes(message: nouns.Message) -> int:
    """The `escapes` of a message."""
    return len(_ESCAPED.findall(message.text)) * 5


def channel_escapes(channel: nouns.Channel) -> int:
    """The `escapes` of a channel."""
    return message_escapes(channel.last_message)
