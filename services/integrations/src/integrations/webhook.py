"""The values of the service: webhooks, deliveries, events and the outcomes of attempts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class WebhookState(StrEnum):
    """Whether a webhook receives events."""

    ACTIVE = "active"
    DISABLED = "disabled"
    SUSPENDED = "suspended"
    """Waiting deliveries are attempted, but new events are not added."""


class Reason(StrEnum):
    """Why a webhook is not active."""

    NONE = ""
    REQUESTED = "requested"
    GONE = "gone"
    FAILING = "failing"
    BACKLOG = "backlog"


class DeliveryState(StrEnum):
    """The state of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


class Ending(StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    """The endpoint answered with another status than 2xx."""
    REDIRECTED = "redirected"
    GONE = "gone"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    """No connection, or it ended without an answer."""
    FORBIDDEN_ADDRESS = "forbidden_address"


class Settings(msgspec.Struct, frozen=True):
    """What an administrator decides about a webhook; an empty list means all."""

    url: str
    description: str
    events: list[str]
    channel_kinds: list[str]
    channels: list[str]


class Webhook(msgspec.Struct, frozen=True):
    """A subscription."""

    id: str
    tenant: str
    settings: Settings
    state: WebhookState
    reason: Reason
    created_by: str
    created_at: datetime
    waiting: int
    dead: int
    failing_since: datetime | None
    previous_until: datetime | None


class Delivery(msgspec.Struct, frozen=True):
    """One event for one webhook."""

    id: str
    number: int
    webhook: str
    channel: str
    seq: int
    event: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_at: datetime
    finished_at: datetime | None
    status: int
    outcome: str


class Event(msgspec.Struct, frozen=True):
    """An entry of a channel's log, and the body of the requests that deliver it."""

    tenant: str
    channel: str
    channel_kind: str
    epoch: str
    seq: int
    kind: str
    body: bytes


class Lease(msgspec.Struct, frozen=True):
    """A webhook that this process makes attempts for, and what it needs for that."""

    id: str
    """Of the lease."""
    tenant: str
    webhook: str


class Target(msgspec.Struct, frozen=True):
    """Where to send, and the encrypted secrets to sign with, the current one first."""

    url: str
    secrets: list[bytes]
    failing_since: datetime | None


class Head(msgspec.Struct, frozen=True):
    """A delivery to attempt."""

    id: str
    channel: str
    event: str
    body: bytes
    attempts: int
    """Earlier ones."""
    age_seconds: float
    """Since its first attempt; 0 before."""


class Outcome(msgspec.Struct, frozen=True):
    """What came of an attempt."""

    ending: Ending
    status: int = 0
    answer: bytes = b""
    retry_after_seconds: float = 0.0
    """As the endpoint asked; 0 if it did not."""
