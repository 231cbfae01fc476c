"""Which events a stream sends. Those that a filter leaves out count as acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chassis.errors import CallerNotAllowed
from chassis.postgres import EVERY_TENANT, Database
from chassis.proto_enums import from_word, requested_word
from hubbub.events.v1.events_pb2 import Event, EventKind
from hubbub.messages.v1 import feed_service_pb2 as rpc
from hubbub.messages.v1 import messages_pb2 as nouns
from messages import convert, validate
from messages.policy import ChannelKind
from messages.store import feed

_TENANTS = 1_000
_KNOWN_KINDS = 100_000
"""Channels whose kind is remembered; then all are forgotten."""


@dataclass(slots=True)
class Filter:
    """The filter of one stream. None of its sets means everything."""

    tenants: frozenset[str] | None = None
    channel_kinds: frozenset[ChannelKind] | None = None
    event_kinds: frozenset[int] | None = None
    tells_kinds: bool = False
    """Responses tell the kinds of channels."""
    _kinds: dict[str, ChannelKind] = field(default_factory=dict)
    """By channel."""

    async def select(self, database: Database, events: Sequence[Event]) -> Sequence[Event]:
        """The events to send. Raises `Unavailable`."""
        if self.tenants is not None:
            events = [event for event in events if event.tenant in self.tenants]
        if self.event_kinds is not None:
            events = [event for event in events if event.kind in self.event_kinds]
        if (self.channel_kinds is not None or self.tells_kinds) and events:
            await self._learn_kinds(database, {event.channel for event in events})
        if self.channel_kinds is not None:
            events = [event for event in events if self._kinds.get(event.channel) in self.channel_kinds]
        return events

    def kinds(self, events: Sequence[Event]) -> dict[str, nouns.ChannelKind.ValueType]:
        """The kinds of the channels of events that were selected, by channel; empty unless responses tell them."""
        if not self.tells_kinds:
            return {}
        known = {event.channel for event in events} & self._kinds.keys()
        return {channel: from_word(nouns.ChannelKind, self._kinds[channel]) for channel in known}

    def has(self, tenant: str) -> bool:
        """Whether events of a tenant may be sent."""
        return self.tenants is None or tenant in self.tenants

    async def _learn_kinds(self, database: Database, channels: set[str]) -> None:
        unknown = channels - self._kinds.keys()
        if not unknown:
            return
        if len(self._kinds) > _KNOWN_KINDS:
            self._kinds.clear()
            unknown = channels
        async with database.connection(EVERY_TENANT) as connection:
            self._kinds |= await feed.kinds(connection, unknown)


def requested(request: rpc.EventFilter, serving: frozenset[str] | None) -> Filter:
    """The filter of a request by a caller that may act for the tenants `serving`; None for all.

    Raises `CallerNotAllowed` for other tenants and `InvalidArgument`.
    """
    validate.at_most(request.tenants, _TENANTS, "tenants")
    tenants = frozenset(map(validate.tenant, request.tenants)) or serving
    if serving is not None and tenants is not None and not tenants <= serving:
        raise CallerNotAllowed("The calling service may not act for this tenant")
    return Filter(
        tenants,
        frozenset(map(convert.channel_kind, request.channel_kinds)) or None,
        frozenset(map(_event_kind, request.event_kinds)) or None,
    )


def _event_kind(value: EventKind.ValueType) -> int:
    requested_word(EventKind, value, "event_kinds")
    return value
