"""/v1/admin/webhooks: subscriptions of the tenant, for administrators. The integrations service holds and delivers them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from chassis.errors import Conflict, TooLarge
from chassis.proto_enums import from_word, to_word
from gateway.http import shapes
from gateway.http.api import Limit, Position, Words, answer, api_of, ask, name_in_path, nothing, page
from gateway.http.channels import UserId
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.outgoing import moment
from gateway.protocol.scopes import Beyond
from hubbub.events.v1.events_pb2 import EventKind
from hubbub.integrations.v1 import integrations_pb2 as nouns
from hubbub.integrations.v1 import integrations_service_pb2 as rpc
from hubbub.messages.v1.messages_pb2 import ChannelKind

_MOST = 100
_MOST_CHANNELS = 100
_WEEK_SECONDS = 7 * 24 * 3600
_DAY_SECONDS = 24 * 3600


class NewWebhook(msgspec.Struct, forbid_unknown_fields=True):
    """What an administrator decides about a webhook. An empty list means all."""

    url: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"\A[^\x00-\x20\x7f]+\Z")]
    description: Annotated[str, Meta(max_length=200, pattern=r"\A[^\x00-\x1f\x7f]*\Z")] = ""
    events: Annotated[list[shapes.EventName], Meta(max_length=50)] = []
    channel_kinds: Annotated[list[shapes.ChannelKind], Meta(max_length=50)] = []
    channels: Annotated[list[UserId], Meta(max_length=_MOST_CHANNELS)] = []


class WebhookChange(msgspec.Struct, forbid_unknown_fields=True):
    """New settings, which replace the old ones, or whether it is enabled, or both."""

    settings: NewWebhook | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """How long requests carry a signature with the old secret as well, in seconds."""

    overlap: Annotated[int, Meta(ge=0, le=_WEEK_SECONDS)] = _DAY_SECONDS


class Resend(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letter to send again; all of them by default."""

    delivery: UserId | None = None


class WebhooksQuery(msgspec.Struct):
    """Which page of webhooks."""

    limit: Limit = 50
    cursor: Words = ""


class AuditQuery(msgspec.Struct):
    """Which page of the audit log."""

    after: Position = 0
    limit: Limit = 200


class DeliveriesQuery(msgspec.Struct):
    """Which page of deliveries, and in which state; in any by default."""

    state: Literal["", "waiting", "delivered", "dead"] = ""
    limit: Limit = 50
    cursor: Words = ""


@operation({201: shapes.WebhookWithSecret}, TooLarge, cost=5, scope=Beyond.PEOPLE)
async def create_webhook(request: Request, identity: Identity, body: NewWebhook) -> Response:
    """Create a webhook. It receives events from now on. The secret is never shown again."""
    asked = rpc.CreateWebhookRequest(caller=identity.caller, settings=_settings(body))
    made = await ask(api_of(request).clients.integrations.CreateWebhook, asked)
    return answer(shapes.WebhookWithSecret(_webhook(made.webhook), made.secret), 201)


@operation({200: shapes.Page[shapes.Webhook]}, cost=1, scope=Beyond.PEOPLE)
async def list_webhooks(request: Request, identity: Identity, query: WebhooksQuery) -> Response:
    """List the tenant's webhooks, oldest first."""
    asked = rpc.ListWebhooksRequest(caller=identity.caller, page_size=min(query.limit, _MOST), page_token=query.cursor)
    found = await ask(api_of(request).clients.integrations.ListWebhooks, asked)
    return page([_webhook(each) for each in found.webhooks], found.next_page_token)


@operation({200: shapes.Webhook}, cost=2, scope=Beyond.PEOPLE)
async def update_webhook(request: Request, identity: Identity, body: WebhookChange) -> Response:
    """Replace a webhook's settings, enable or disable it."""
    asked = rpc.UpdateWebhookRequest(caller=identity.caller, webhook=name_in_path(request, "webhook"))
    if body.settings is not UNSET:
        asked.settings.CopyFrom(_settings(body.settings))
    if body.enabled is not UNSET:
        asked.enabled = body.enabled
    found = await ask(api_of(request).clients.integrations.UpdateWebhook, asked)
    return answer(_webhook(found.webhook))


@operation({204: None}, cost=2, scope=Beyond.PEOPLE)
async def delete_webhook(request: Request, identity: Identity) -> Response:
    """Delete a webhook and its deliveries."""
    asked = rpc.DeleteWebhookRequest(caller=identity.caller, webhook=name_in_path(request, "webhook"))
    await ask(api_of(request).clients.integrations.DeleteWebhook, asked)
    return nothing()


@operation({200: shapes.WebhookWithSecret}, cost=2, scope=Beyond.PEOPLE)
async def rotate_secret(request: Request, identity: Identity, body: Rotation) -> Response:
    """Give a webhook a new secret, which is never shown again."""
    asked = rpc.RotateWebhookSecretRequest(
        caller=identity.caller, webhook=name_in_path(request, "webhook"), overlap_seconds=body.overlap
    )
    made = await ask(api_of(request).clients.integrations.RotateWebhookSecret, asked)
    return answer(shapes.WebhookWithSecret(_webhook(made.webhook), made.secret))


@operation({200: shapes.Page[shapes.Delivery]}, cost=2, scope=Beyond.PEOPLE)
async def list_deliveries(request: Request, identity: Identity, query: DeliveriesQuery) -> Response:
    """List a webhook's deliveries, newest first."""
    asked = rpc.ListDeliveriesRequest(
        caller=identity.caller,
        webhook=name_in_path(request, "webhook"),
        state=from_word(nouns.DeliveryState, query.state),
        page_size=min(query.limit, _MOST),
        page_token=query.cursor,
    )
    found = await ask(api_of(request).clients.integrations.ListDeliveries, asked)
    return page([shapes.Delivery(**_delivery(each)) for each in found.deliveries], found.next_page_token)


@operation({200: shapes.DeliveryDetail}, cost=1, scope=Beyond.PEOPLE)
async def get_delivery(request: Request, identity: Identity) -> Response:
    """Get a delivery with what was sent, and the beginning of the last answer."""
    webhook, delivery = name_in_path(request, "webhook"), name_in_path(request, "delivery")
    asked = rpc.GetDeliveryRequest(caller=identity.caller, webhook=webhook, delivery=delivery)
    found = await ask(api_of(request).clients.integrations.GetDelivery, asked)
    texts = {"body": found.body.decode(), "answer": found.answer.decode(errors="replace")}
    return answer(shapes.DeliveryDetail(**_delivery(found.delivery), **texts))


@operation({200: shapes.Page[shapes.IntegrationAuditRecord]}, cost=2, scope=Beyond.PEOPLE)
async def list_audit(request: Request, identity: Identity, query: AuditQuery) -> Response:
    """List what was done to webhooks and commands, oldest first."""
    asked = rpc.ListIntegrationAuditRequest(caller=identity.caller, after=query.after, page_size=min(query.limit, 1_000))
    found = await ask(api_of(request).clients.integrations.ListIntegrationAudit, asked)
    return page(
        [
            shapes.IntegrationAuditRecord(each.number, moment(each.at), each.actor, each.action, each.subject, each.reason)
            for each in found.records
        ]
    )


@operation({200: shapes.Resent}, Conflict, cost=5, scope=Beyond.PEOPLE)
async def resend(request: Request, identity: Identity, body: Resend) -> Response:
    """Send dead letters again: one, or all."""
    webhook = name_in_path(request, "webhook")
    asked = rpc.ResendDeliveriesRequest(caller=identity.caller, webhook=webhook, delivery=body.delivery or "")
    found = await ask(api_of(request).clients.integrations.ResendDeliveries, asked)
    return answer(shapes.Resent(found.count))


def _settings(body: NewWebhook) -> rpc.WebhookSettings:
    return rpc.WebhookSettings(
        url=body.url,
        description=body.description,
        events=[from_word(EventKind, name.replace(".", "_", 1)) for name in body.events],
        channel_kinds=[from_word(ChannelKind, kind) for kind in body.channel_kinds],
        channels=body.channels,
    )


def _webhook(found: nouns.Webhook) -> shapes.Webhook:
    return shapes.Webhook(
        id=found.id,
        url=found.url,
        description=found.description,
        events=[_event(each) for each in found.events],
        channel_kinds=[to_word(ChannelKind, each) for each in found.channel_kinds],
        channels=list(found.channels),
        state=to_word(nouns.WebhookState, found.state),
        reason=to_word(nouns.WebhookReason, found.reason),
        created_by=found.created_by,
        created_at=moment(found.created_at),
        waiting=found.waiting,
        dead=found.dead,
        failing_since=_moment(found, "failing_since"),
        previous_secret_until=_moment(found, "previous_secret_until"),
    )


def _delivery(found: nouns.Delivery) -> dict[str, Any]:
    return {
        "id": found.id,
        "channel": found.channel,
        "seq": found.seq,
        "event": _event(found.event),
        "state": to_word(nouns.DeliveryState, found.state),
        "attempts": found.attempts,
        "created_at": moment(found.created_at),
        "next_at": _moment(found, "next_at"),
        "finished_at": _moment(found, "finished_at"),
        "status": found.status,
        "outcome": found.outcome,
    }


def _event(kind: EventKind.ValueType) -> str:
    return to_word(EventKind, kind).replace("_", ".", 1)


def _moment(found: nouns.Webhook | nouns.Delivery, field: str) -> str | None:
    at: Timestamp = getattr(found, field)
    return moment(at) if found.HasField(field) else None  # type: ignore[arg-type]  # a name of either
