"""Converts between protobuf and this service's types, and validates requests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Raw

from chassis import blocks
from chassis.bots import is_bot
from chassis.errors import InvalidArgument, NotAllowed, NotFound
from chassis.ids import is_tenant, is_uuid
from chassis.proto_enums import from_word, requested_word, to_word
from chassis.text import UnfitTextError, is_identifier, line
from hubbub.events.v1.events_pb2 import Event, EventKind
from hubbub.integrations.v1 import integrations_pb2 as nouns
from hubbub.integrations.v1 import integrations_service_pb2 as rpc
from hubbub.messages.v1.messages_pb2 import Caller, ChannelKind
from integrations import webhook as webhook_types
from integrations.action_store import ActionEndpoint
from integrations.actions import Choice
from integrations.addresses import UnfitUrlError, require_endpoint
from integrations.answers import Answer
from integrations.audit import Record
from integrations.command_store import Command, NewCommand
from integrations.commands import Invocation
from integrations.webhook import Delivery, Settings, Webhook

_encode = msgspec.json.Encoder().encode
MAX_CHANNELS = 100
_MAX_DESCRIPTION, _MAX_HINT = 200, 100
_MAX_TEXT, _MAX_KEY = 4_000, 128
_COMMAND = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_MAX_USER = 128
_DEFAULT_PAGE, _MAX_PAGE = 50, 100
_LAST_NUMBER = (1 << 63) - 1


class _Data(msgspec.Struct):
    tenant: str
    channel_kind: str
    epoch: str
    event: Raw
    """The entry, as clients receive it."""


class _Body(msgspec.Struct):
    type: str
    timestamp: str
    data: _Data


def administrator(caller: Caller) -> tuple[str, str]:
    """The tenant and user of an administrator. Raises `InvalidArgument`, and `NotAllowed` for other users."""
    found = user(caller)
    if not caller.admin:
        raise NotAllowed
    return found


def user(caller: Caller) -> tuple[str, str]:
    """The tenant and id of a user. Raises `InvalidArgument`."""
    if not is_tenant(caller.tenant) or not _is_user(caller.user):
        raise InvalidArgument("A caller must have a valid tenant and a user of 1 to 128 characters")
    return caller.tenant, caller.user


def known_id(value: str) -> str:
    """Validate the id of a webhook or delivery. Raises `NotFound` for a malformed one."""
    if not is_uuid(value):
        raise NotFound
    return value


def settings(given: rpc.WebhookSettings, *, plain_http: bool) -> Settings:
    """Parse what an administrator decides. Raises `InvalidArgument`."""
    _require_url(given.url, plain_http=plain_http)
    if len(given.channels) > MAX_CHANNELS or not all(map(is_uuid, given.channels)):
        raise InvalidArgument(f"channels must be at most {MAX_CHANNELS} channel ids")
    events = (event_name(requested_word(EventKind, each, "events")) for each in given.events)
    kinds = (requested_word(ChannelKind, each, "channel_kinds") for each in given.channel_kinds)
    return Settings(
        given.url,
        _line("description", given.description, _MAX_DESCRIPTION),
        _unique(events),
        _unique(kinds),
        _unique(given.channels),
    )


def page(size: int, token: str) -> tuple[int, str]:
    """The size and start of a page of webhooks. Raises `InvalidArgument`."""
    if token and not is_uuid(token):
        raise InvalidArgument("page_token is not valid")
    return min(size or _DEFAULT_PAGE, _MAX_PAGE), token


def delivery_page(size: int, token: str) -> tuple[int, int]:
    """The size of a page of deliveries, and the number that it stays below. Raises `InvalidArgument`."""
    if token and not (token.isascii() and token.isdigit() and int(token[:20]) <= _LAST_NUMBER):
        raise InvalidArgument("page_token is not valid")
    return min(size or _DEFAULT_PAGE, _MAX_PAGE), int(token or _LAST_NUMBER)


def audit_page(after: int, size: int) -> tuple[int, int]:
    """The start and size of a page of the audit log."""
    return min(after, _LAST_NUMBER), min(size or 200, 1_000)


def audit_record(known: Record) -> nouns.IntegrationAuditRecord:
    """Return a record of the audit log as protobuf."""
    shown = nouns.IntegrationAuditRecord(
        number=known.number, actor=known.actor, action=known.action, subject=known.subject, reason=known.reason
    )
    shown.at.FromDatetime(known.at)
    return shown


def delivery_state(state: nouns.DeliveryState.ValueType) -> str:
    """The state to list; empty for all. Raises `InvalidArgument` for an unknown one."""
    return requested_word(nouns.DeliveryState, state, "state") if state else ""


def new_command(request: rpc.CreateCommandRequest, *, plain_http: bool) -> NewCommand:
    """Parse what an administrator decides about a command. Raises `InvalidArgument`."""
    if not _COMMAND.fullmatch(request.name):
        raise InvalidArgument("The name must be 1 to 32 of a-z, 0-9, - and _, a letter first")
    bot, url = bot_and_url(request, plain_http=plain_http)
    description, hint = _line("description", request.description, _MAX_DESCRIPTION), _line("hint", request.hint, _MAX_HINT)
    return NewCommand(request.name, description, hint, url, bot)


def bot_and_url(request: rpc.CreateCommandRequest | rpc.CreateActionEndpointRequest, *, plain_http: bool) -> tuple[str, str]:
    """The bot and the URL of an endpoint. Raises `InvalidArgument`."""
    if not (_is_user(request.bot) and is_bot(request.bot)):
        raise InvalidArgument("bot must be the id of a bot")
    _require_url(request.url, plain_http=plain_http)
    return request.bot, request.url


def choice(request: rpc.RunActionRequest) -> Choice:
    """Parse what a member chose. Raises `InvalidArgument`, and `NotFound` for an impossible channel or message."""
    _require_key(request.key)
    return Choice(known_id(request.channel), known_id(request.message), request.block, request.value, request.key)


def invocation(request: rpc.RunCommandRequest) -> Invocation:
    """Parse a command as a user ran it. Raises `InvalidArgument`, and `NotFound` for an impossible channel or name."""
    if not _COMMAND.fullmatch(request.command):
        raise NotFound
    if len(request.text) > _MAX_TEXT or "\0" in request.text:
        raise InvalidArgument(f"text must have at most {_MAX_TEXT} characters")
    _require_key(request.key)
    return Invocation(known_id(request.channel), request.command, request.text, request.key)


def later_answer(request: rpc.AnswerCommandRequest) -> Answer:
    """Parse an answer that comes later. Raises `InvalidArgument`."""
    if not request.text or "\0" in request.text:
        raise InvalidArgument("text is required")
    found = blocks.read(request.blocks)
    if found:
        blocks.check(found, request.text, ())
    match request.visibility:
        case nouns.ANSWER_VISIBILITY_MESSAGE:
            return Answer(request.text, "message", blocks=found)
        case nouns.ANSWER_VISIBILITY_UNSPECIFIED | nouns.ANSWER_VISIBILITY_CHANNEL:
            return Answer(request.text, "channel", blocks=found)
        case _:
            raise InvalidArgument("A later answer is for the channel or changes the message")


def command_answer(given: Answer | None) -> rpc.RunCommandResponse:
    """Return an answer as protobuf; None for one that comes later."""
    return rpc.RunCommandResponse(**_answer(given))


def action_answer(given: Answer | None) -> rpc.RunActionResponse:
    """As `command_answer`."""
    return rpc.RunActionResponse(**_answer(given))


def action_endpoint(known: ActionEndpoint) -> nouns.ActionEndpoint:
    """Return an endpoint of actions as protobuf."""
    shown = nouns.ActionEndpoint(id=known.id, tenant=known.tenant, bot=known.bot, url=known.url, created_by=known.created_by)
    shown.created_at.FromDatetime(known.created_at)
    return shown


def command(known: Command, *, admin: bool) -> nouns.Command:
    """Return a command as protobuf, with what only administrators see."""
    shown = nouns.Command(
        id=known.id, tenant=known.tenant, name=known.name, description=known.description, hint=known.hint, bot=known.bot
    )
    shown.created_at.FromDatetime(known.created_at)
    if admin:
        shown.url, shown.created_by = known.url, known.created_by
    return shown


def event_name(word: str) -> str:
    """The name of an event kind in the client protocol: message.posted for message_posted."""
    return word.replace("_", ".", 1)


def event_kind(name: str) -> EventKind.ValueType:
    """The event kind of a name."""
    return from_word(EventKind, name.replace(".", "_", 1))


def event(found: Event, kind: ChannelKind.ValueType, epoch: str) -> webhook_types.Event | None:
    """An event of the feed with the body of its requests; None for a kind that this version does not know."""
    name = event_name(to_word(EventKind, found.kind))
    if not name:
        return None
    body = _encode(_Body(name, found.at, _Data(found.tenant, to_word(ChannelKind, kind), epoch, Raw(found.payload))))
    return webhook_types.Event(found.tenant, found.channel, to_word(ChannelKind, kind), epoch, found.seq, name, body)


def webhook(known: Webhook) -> nouns.Webhook:
    """Return a webhook as protobuf."""
    answer = nouns.Webhook(
        id=known.id,
        tenant=known.tenant,
        url=known.settings.url,
        description=known.settings.description,
        events=map(event_kind, known.settings.events),
        channel_kinds=[from_word(ChannelKind, kind) for kind in known.settings.channel_kinds],
        channels=known.settings.channels,
        state=from_word(nouns.WebhookState, known.state),
        reason=from_word(nouns.WebhookReason, known.reason),
        created_by=known.created_by,
        waiting=known.waiting,
        dead=known.dead,
    )
    answer.created_at.FromDatetime(known.created_at)
    _set(answer.failing_since, known.failing_since)
    _set(answer.previous_secret_until, known.previous_until)
    return answer


def delivery(known: Delivery) -> nouns.Delivery:
    """Return a delivery as protobuf."""
    answer = nouns.Delivery(
        id=known.id,
        webhook=known.webhook,
        channel=known.channel,
        seq=known.seq,
        event=event_kind(known.event),
        state=from_word(nouns.DeliveryState, known.state),
        attempts=known.attempts,
        status=known.status,
        outcome=known.outcome,
    )
    answer.created_at.FromDatetime(known.created_at)
    _set(answer.next_at, known.next_at if known.finished_at is None else None)
    _set(answer.finished_at, known.finished_at)
    return answer


def _is_user(text: str) -> bool:
    return 1 <= len(text) <= _MAX_USER and is_identifier(text)


def _answer(given: Answer | None) -> dict[str, Any]:
    if given is None:
        return {}
    visibility = from_word(nouns.AnswerVisibility, given.visibility)
    return {"visibility": visibility, "text": given.text, "message": given.message}


def _require_key(key: str) -> None:
    if not 1 <= len(key) <= _MAX_KEY or not is_identifier(key):
        raise InvalidArgument(f"key must have 1 to {_MAX_KEY} characters")


def _require_url(url: str, *, plain_http: bool) -> None:
    try:
        require_endpoint(url, plain_http=plain_http)
    except UnfitUrlError as error:
        raise InvalidArgument(f"The URL {error}") from error


def _line(field: str, text: str, most: int) -> str:
    if not text:
        return ""
    try:
        fit = line(text)
    except UnfitTextError as error:
        raise InvalidArgument(f"The {field} {error}") from error
    if len(fit) > most:
        raise InvalidArgument(f"The {field} must have at most {most} characters")
    return fit


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _set(field: Timestamp, at: datetime | None) -> None:
    if at is not None:
        field.FromDatetime(at)
