"""Asks the endpoint of a command or an action, signed as webhooks are, and carries its answer out as the bot."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Literal

import msgspec
from prometheus_client import Counter

from chassis import blocks
from chassis.blocks import Blocks
from chassis.errors import InvalidArgument, NotAllowed, NotFound, Unavailable
from chassis.grpc_client import call
from chassis.ids import is_tenant
from chassis.postgres import Database
from hubbub.events.v1.events_pb2 import PostMessage, Role
from hubbub.messages.v1 import messages_service_pb2 as messages
from hubbub.messages.v1.messages_pb2 import Caller, Message
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from integrations import command_store, signing
from integrations.command_store import Place
from integrations.endpoint import Endpoints
from integrations.signing import Vault
from integrations.webhook import Ending

ANSWER_SECONDS = 3.0
"""For the endpoint's answer."""
_ANSWER_BYTES = 32 * 1024
_CALL_SECONDS = 5.0
_REQUESTS = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
"""The namespace of the ids of requests (RFC 9562, for object identifiers)."""
_encode = msgspec.json.Encoder().encode


class Answer(msgspec.Struct):
    """What an endpoint answers, and what the caller gets."""

    text: str = ""
    visibility: Literal["caller", "channel", "message"] = "caller"
    message: str = ""
    """Id of the message that is new or was changed. What an endpoint says here is ignored."""
    blocks: Blocks = []


class Asked(msgspec.Struct, kw_only=True):
    """The data that all requests have."""

    tenant: str
    channel: str
    user: str
    answer_path: str


class _Body(msgspec.Struct):
    type: str
    timestamp: str
    data: Asked


class Answers:
    """Requests to endpoints, and their answers."""

    def __init__(self, database: Database, endpoints: Endpoints, vault: Vault, api: MessagesServiceStub) -> None:
        self._database = database
        self._endpoints = endpoints
        self._vault = vault
        self._api = api

    async def require_member(self, caller: Caller, channel: str) -> None:
        """Raise `NotFound` unless the caller is a member of the channel, and `NotAllowed` for a reader."""
        asked = messages.GetChannelRequest(caller=caller, channel=channel)
        found = await call(self._api.GetChannel, asked, timeout=_CALL_SECONDS)
        if found.channel.role == Role.ROLE_UNSPECIFIED:
            raise NotFound
        if found.channel.role == Role.ROLE_READER:
            raise NotAllowed

    async def message(self, caller: Caller, channel: str, message: str) -> Message:
        """A message in its current state. Raises `NotFound` for one that the caller may not read."""
        asked = messages.GetMessageRequest(caller=caller, channel=channel, message=message)
        found: messages.GetMessageResponse = await call(self._api.GetMessage, asked, timeout=_CALL_SECONDS)
        return found.message

    async def path(self, tenant: str, place: Place) -> str:
        """The path of answers that come later: a secret of the endpoint."""
        token = f"{tenant}.{secrets.token_urlsafe(24)}"
        async with self._database.connection([tenant]) as connection:
            await command_store.invoke(connection, tenant, place, _digest(token))
        return f"/v1/commands/answers/{token}"

    async def ask(self, kind: str, data: Asked, name: str, url: str, sealed: bytes, *, outcomes: Counter) -> Answer:
        """Ask an endpoint; the answer has no text if it comes later. Raises `Unavailable` without a valid answer.

        The same `name` in the same channel, of the same user, gives the request the same `webhook-id`.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = _encode(_Body(kind, at, data))
        identity = str(uuid.uuid5(_REQUESTS, f"{data.tenant} {data.channel} {data.user} {name}"))
        headers = signing.headers(identity, int(time.time()), body, [self._vault.open(sealed)])
        outcome = await self._endpoints.post(url, headers, body, seconds=ANSWER_SECONDS, answer_bytes=_ANSWER_BYTES)
        outcomes.labels(outcome.ending.value).inc()
        if outcome.ending is not Ending.DELIVERED:
            raise Unavailable("The endpoint does not answer")
        if not outcome.answer:
            return Answer()
        try:
            answer = msgspec.json.decode(outcome.answer, type=Answer)
            if answer.blocks:
                blocks.check(answer.blocks, answer.text, ())
        except (msgspec.DecodeError, InvalidArgument) as error:  # also an answer that is too long
            raise Unavailable("The endpoint's answer is not valid") from error
        return answer

    async def carry_out(self, tenant: str, place: Place, answer: Answer, key: str) -> Answer | None:
        """Post the answer, or change the message; returns what the caller gets, None for an answer without a text.

        A message is posted once per `key`. Raises `Unavailable` for a change without a message, and what refuses the bot.
        """
        if not answer.text:
            return None
        match answer.visibility:
            case "caller":
                return Answer(answer.text)
            case "message" if not place.message:
                raise Unavailable("The endpoint's answer is not valid")
            case "message":
                await self._edit(tenant, place, answer)
                return Answer("", "message", place.message)
            case "channel":
                name = str(uuid.uuid5(_REQUESTS, key))
                return Answer("", "channel", await self._post(tenant, place, answer, name))

    async def later(self, token: str, answer: Answer) -> str:
        """Carry an answer out by the token of its request; returns the message's id. Raises `NotFound` for an invalid token."""
        tenant = token.partition(".")[0]
        if not is_tenant(tenant):
            raise NotFound
        async with self._database.connection([tenant]) as connection:
            place = await command_store.take_answer(connection, tenant, _digest(token))
        if answer.visibility != "message":
            return await self._post(tenant, place, answer, secrets.token_hex(16))
        if not place.message:
            raise InvalidArgument("A command has no message to change")
        await self._edit(tenant, place, answer)
        return place.message

    async def _post(self, tenant: str, place: Place, answer: Answer, key: str) -> str:
        message = PostMessage(text=answer.text)
        blocks.write(answer.blocks, message.blocks)
        caller = Caller(tenant=tenant, user=place.bot)
        asked = messages.PostMessageRequest(caller=caller, channel=place.channel, key=key, message=message)
        posted: messages.PostMessageResponse = await call(self._api.PostMessage, asked, timeout=_CALL_SECONDS)
        return posted.message

    async def _edit(self, tenant: str, place: Place, answer: Answer) -> None:
        caller = Caller(tenant=tenant, user=place.bot)
        asked = messages.EditMessageRequest(caller=caller, channel=place.channel, message=place.message, text=answer.text)
        blocks.write(answer.blocks, asked.blocks)
        await call(self._api.EditMessage, asked, timeout=_CALL_SECONDS)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
