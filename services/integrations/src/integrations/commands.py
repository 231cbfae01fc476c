"""Runs slash commands: asks the endpoint, signed as webhooks are, and posts its answers as the command's bot."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from datetime import UTC, datetime
from typing import Literal

import msgspec

from chassis.errors import NotAllowed, NotFound, Unavailable
from chassis.grpc_client import call
from chassis.ids import is_tenant
from chassis.postgres import Database
from chassis.under_way import UnderWay
from hubbub.events.v1.events_pb2 import PostMessage, Role
from hubbub.messages.v1 import messages_service_pb2 as messages
from hubbub.messages.v1.messages_pb2 import Caller
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from integrations import command_store, signing
from integrations.endpoint import Endpoints
from integrations.metrics import COMMANDS
from integrations.signing import Vault
from integrations.webhook import Ending

ANSWER_SECONDS = 3.0
"""For the endpoint's answer."""
_ANSWER_BYTES = 32 * 1024
_CALL_SECONDS = 5.0
_MESSAGES = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")
"""The namespace of the ids of requests (RFC 9562, for object identifiers)."""
_encode = msgspec.json.Encoder().encode


class Invocation(msgspec.Struct, frozen=True):
    """A command as a user ran it."""

    channel: str
    command: str
    text: str
    key: str


class Answer(msgspec.Struct):
    """What an endpoint answers, and what a command's caller gets."""

    text: str = ""
    visibility: Literal["caller", "channel"] = "caller"
    message: str = ""
    """Id of the message in the channel. What an endpoint says here is ignored."""


class _Asked(msgspec.Struct):
    tenant: str
    channel: str
    user: str
    command: str
    text: str
    answer_path: str


class _Body(msgspec.Struct):
    timestamp: str
    data: _Asked
    type: str = "command.run"


class Commands:
    """Runs commands of all tenants."""

    def __init__(self, database: Database, endpoints: Endpoints, vault: Vault, api: MessagesServiceStub) -> None:
        self._database = database
        self._endpoints = endpoints
        self._vault = vault
        self._api = api
        self._under_way = UnderWay(10, "Too many commands of this tenant are under way")

    async def run(self, caller: Caller, run: Invocation) -> Answer | None:
        """Ask the endpoint; None if it answers later.

        The caller must be a member of the channel, and no reader. Raises `Unavailable` without an answer, and what refuses the
        caller or the bot.
        """
        async with self._under_way.turn(caller.tenant):
            async with self._database.connection([caller.tenant]) as connection:
                command, secret = await command_store.get(connection, caller.tenant, run.command)
            await self._require_member(caller, run.channel)
            token = f"{caller.tenant}.{secrets.token_urlsafe(24)}"
            async with self._database.connection([caller.tenant]) as connection:
                await command_store.invoke(connection, command, run.channel, _digest(token))
            answer = await self._ask(caller, run, command.url, self._vault.open(secret), token)
            if not answer.text:
                return None
            if answer.visibility == "caller":
                return answer
            key = str(uuid.uuid5(_MESSAGES, f"{caller.user} {run.key}"))
            return Answer("", "channel", await self._post(caller.tenant, command.bot, run.channel, answer.text, key))

    async def answer_later(self, token: str, text: str) -> str:
        """Post an answer by the token of its request; returns the message's id. Raises `NotFound` for an invalid token."""
        tenant = token.partition(".")[0]
        if not is_tenant(tenant):
            raise NotFound
        async with self._database.connection([tenant]) as connection:
            channel, bot = await command_store.take_answer(connection, tenant, _digest(token))
        return await self._post(tenant, bot, channel, text, secrets.token_hex(16))

    async def _require_member(self, caller: Caller, channel: str) -> None:
        asked = messages.GetChannelRequest(caller=caller, channel=channel)
        found = await call(self._api.GetChannel, asked, timeout=_CALL_SECONDS)
        if found.channel.role == Role.ROLE_UNSPECIFIED:
            raise NotFound
        if found.channel.role == Role.ROLE_READER:
            raise NotAllowed

    async def _ask(self, caller: Caller, run: Invocation, url: str, secret: bytes, token: str) -> Answer:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        path = f"/v1/commands/answers/{token}"
        body = _encode(_Body(at, _Asked(caller.tenant, run.channel, caller.user, run.command, run.text, path)))
        name = str(uuid.uuid5(_MESSAGES, f"{caller.tenant} {run.channel} {caller.user} {run.key}"))
        headers = signing.headers(name, int(time.time()), body, [secret])
        outcome = await self._endpoints.post(url, headers, body, seconds=ANSWER_SECONDS, answer_bytes=_ANSWER_BYTES)
        COMMANDS.labels(outcome.ending.value).inc()
        if outcome.ending is not Ending.DELIVERED:
            raise Unavailable("The command does not answer")
        if not outcome.answer:
            return Answer()
        try:
            return msgspec.json.decode(outcome.answer, type=Answer)
        except msgspec.DecodeError as error:  # also an answer that is too long
            raise Unavailable("The command's answer is not valid") from error

    async def _post(self, tenant: str, bot: str, channel: str, text: str, key: str) -> str:
        asked = messages.PostMessageRequest(
            caller=Caller(tenant=tenant, user=bot), channel=channel, key=key, message=PostMessage(text=text)
        )
        posted: messages.PostMessageResponse = await call(self._api.PostMessage, asked, timeout=_CALL_SECONDS)
        return posted.message


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
