"""Typed functions over `queries`, for administration and for adding events. The caller owns connection and transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from chassis.errors import NotFound
from chassis.postgres import Connection
from integrations import audit, queries
from integrations.audit import Action
from integrations.webhook import Delivery, DeliveryState, Event, Reason, Settings, Webhook, WebhookState

FIRST_ID = "00000000-0000-0000-0000-000000000000"
"""Below every id."""


class Backlog(NamedTuple):
    """What a webhook may keep for its endpoint: deliveries that wait, and dead letters."""

    deliveries: int
    """How many."""
    bytes: int
    """Of their bodies."""


class Added(NamedTuple):
    """What came of adding events."""

    deliveries: int
    suspended: int
    """Webhooks."""


class Subscriber(NamedTuple):
    """An active webhook, locked."""

    id: str
    tenant: str
    events: list[str]
    channel_kinds: list[str]
    channels: list[str]
    kept: int
    kept_bytes: int

    def takes(self, event: Event) -> bool:
        """Whether the webhook subscribes to this event."""
        return (
            event.tenant == self.tenant
            and (not self.events or event.kind in self.events)
            and (not self.channel_kinds or event.channel_kind in self.channel_kinds)
            and (not self.channels or event.channel in self.channels)
        )

    def has_room(self, events: Sequence[Event], backlog: Backlog) -> bool:
        """Whether its backlog has room for these events."""
        more = sum(len(event.body) for event in events)
        return self.kept + len(events) <= backlog.deliveries and self.kept_bytes + more <= backlog.bytes


async def serialize(connection: Connection, tenant: str) -> None:
    """Let one transaction at a time count and create a tenant's webhooks."""
    await connection.execute(queries.SERIALIZE, {"tenant": tenant})


async def count(connection: Connection, tenant: str) -> int:
    """How many webhooks a tenant has."""
    row: Any = await (await connection.execute(queries.COUNT, {"tenant": tenant})).fetchone()
    found: int = row[0]
    return found


async def create(connection: Connection, tenant: str, user: str, settings: Settings, secret: bytes) -> Webhook:
    """A new webhook; `secret` is encrypted."""
    return _webhook(await _one(connection, queries.CREATE, tenant=tenant, user=user, secret=secret, **_settings(settings)))


async def list_webhooks(connection: Connection, tenant: str, after: str, limit: int) -> list[Webhook]:
    """A tenant's webhooks after an id, oldest first."""
    found = await connection.execute(queries.LIST, {"tenant": tenant, "after": after, "limit": limit})
    return [_webhook(row) for row in await found.fetchall()]


async def get(connection: Connection, tenant: str, webhook: str) -> Webhook:
    """One webhook. Raises `NotFound`."""
    return _webhook(await _one(connection, queries.GET, tenant=tenant, webhook=webhook))


async def change(connection: Connection, tenant: str, webhook: str, settings: Settings) -> Webhook:
    """Replace the settings. Raises `NotFound`."""
    return _webhook(await _one(connection, queries.CHANGE, tenant=tenant, webhook=webhook, **_settings(settings)))


async def set_enabled(connection: Connection, tenant: str, webhook: str, *, enabled: bool) -> Webhook:
    """Make a webhook active, or disable it. Raises `NotFound`."""
    state, reason = (WebhookState.ACTIVE, Reason.NONE) if enabled else (WebhookState.DISABLED, Reason.REQUESTED)
    return _webhook(await _one(connection, queries.SET_STATE, tenant=tenant, webhook=webhook, state=state, reason=reason))


async def delete(connection: Connection, tenant: str, webhook: str) -> None:
    """Delete a webhook with its deliveries. Raises `NotFound`."""
    if (await connection.execute(queries.DELETE, {"tenant": tenant, "webhook": webhook})).rowcount == 0:
        raise NotFound


async def rotate(connection: Connection, tenant: str, webhook: str, secret: bytes, seconds: int) -> Webhook:
    """Replace the secret; the old one signs for `seconds` more. Raises `NotFound`."""
    return _webhook(await _one(connection, queries.ROTATE, tenant=tenant, webhook=webhook, secret=secret, seconds=seconds))


async def list_deliveries(
    connection: Connection, tenant: str, webhook: str, state: str, *, before: int, limit: int
) -> list[Delivery]:
    """A webhook's deliveries with a number below `before`, newest first."""
    parameters = {"tenant": tenant, "webhook": webhook, "state": state, "before": before, "limit": limit}
    found = await connection.execute(queries.LIST_DELIVERIES, parameters)
    return [_delivery(row) for row in await found.fetchall()]


async def get_delivery(connection: Connection, tenant: str, webhook: str, delivery: str) -> tuple[Delivery, bytes, bytes]:
    """A delivery, its body, and the beginning of the last answer. Raises `NotFound`."""
    *row, body, answer = await _one(connection, queries.GET_DELIVERY, tenant=tenant, webhook=webhook, delivery=delivery)
    return _delivery(row), body, answer


async def revive(connection: Connection, tenant: str, webhook: str, delivery: str | None) -> int:
    """Let one dead letter wait again, or all; returns how many. Needs a transaction. Raises `NotFound` without the webhook."""
    await _one(connection, queries.LOCK, tenant=tenant, webhook=webhook)
    found = await connection.execute(queries.REVIVE, {"webhook": webhook, "delivery": delivery})
    channels: list[Any] = [row[0] for row in await found.fetchall()]
    if channels:
        await connection.execute(queries.PROMOTE, {"webhooks": [webhook] * len(channels), "channels": channels})
        await connection.execute(queries.REVIVED, {"webhook": webhook, "count": len(channels)})
    return len(channels)


async def lease_feed(connection: Connection, holder: str, seconds: float) -> bool:
    """Take or extend the lease of reading the feed; returns whether `holder` has it."""
    return (await connection.execute(queries.LEASE_FEED, {"lease": holder, "seconds": seconds})).rowcount == 1


async def release_feed(connection: Connection, holder: str) -> None:
    """End the lease, if `holder` has it."""
    await connection.execute(queries.RELEASE_FEED, {"lease": holder})


async def add_events(connection: Connection, events: Sequence[Event], backlog: Backlog) -> Added:
    """Add events, in this order, to the active webhooks that take them. Needs a transaction, and access to the events' tenants.

    A webhook whose backlog has no room for all of its events is suspended instead, and gets none of them.
    """
    tenants = sorted({event.tenant for event in events})
    found = await connection.execute(queries.LOCK_ACTIVE, {"tenants": tenants})
    rows: list[Any] = await found.fetchall()
    wanted: list[tuple[str, Event]] = []
    full: dict[str, str] = {}
    """By webhook: its tenant."""
    for subscriber in (Subscriber(*row) for row in rows):
        taken = [event for event in events if subscriber.takes(event)]
        if subscriber.has_room(taken, backlog):
            wanted += [(subscriber.id, event) for event in taken]
        else:
            full[subscriber.id] = subscriber.tenant
    if full:
        await connection.execute(queries.SUSPEND, {"webhooks": list(full)})
        for webhook, tenant in full.items():
            await audit.append(connection, tenant, audit.SERVICE, Action.WEBHOOK_SUSPENDED, webhook, reason=Reason.BACKLOG)
    return Added(await _insert(connection, wanted) if wanted else 0, len(full))


async def _insert(connection: Connection, wanted: Sequence[tuple[str, Event]]) -> int:
    """Add deliveries (webhook, event) to locked webhooks; returns how many are new."""
    webhooks = [webhook for webhook, _ in wanted]
    events = [event for _, event in wanted]
    parameters = {
        "webhooks": webhooks,
        "tenants": [event.tenant for event in events],
        "channels": [event.channel for event in events],
        "epochs": [event.epoch for event in events],
        "seqs": [event.seq for event in events],
        "events": [event.kind for event in events],
        "bodies": [event.body for event in events],
    }
    rows: list[Any] = await (await connection.execute(queries.ADD, parameters)).fetchall()
    counts, sizes = Counter[str](), Counter[str]()
    for webhook, size in rows:
        counts[webhook] += 1
        sizes[webhook] += size
    await connection.execute(queries.PROMOTE, {"webhooks": webhooks, "channels": parameters["channels"]})
    added = {"webhooks": list(counts), "counts": list(counts.values()), "bytes": [sizes[each] for each in counts]}
    await connection.execute(queries.ADDED, added)
    return len(rows)


async def _one(connection: Connection, query: str, **parameters: object) -> Any:
    row = await (await connection.execute(query, parameters)).fetchone()
    if row is None:
        raise NotFound
    return row


def _settings(settings: Settings) -> dict[str, object]:
    return {name: getattr(settings, name) for name in ("url", "description", "events", "channel_kinds", "channels")}


def _webhook(row: Any) -> Webhook:
    webhook, tenant, url, description, events, kinds, channels, state, reason, *rest = row
    return Webhook(
        webhook, tenant, Settings(url, description, events, kinds, channels), WebhookState(state), Reason(reason), *rest
    )


def _delivery(row: Sequence[Any]) -> Delivery:
    delivery, number, webhook, channel, seq, event, state, *rest = row
    return Delivery(delivery, number, webhook, channel, seq, event, DeliveryState(state), *rest)
