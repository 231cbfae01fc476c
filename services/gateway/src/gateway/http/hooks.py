"""Incoming webhooks: /v1/channels/{channel}/hooks for the owners of a channel, and the addresses that post.

An address is a credential. It is read where tokens are (`http.api`), and its path is never logged.
"""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis.errors import Conflict, InvalidArgument, KeyReused, NotAllowed, NotAMember, NotFound
from gateway.http import bot_shapes, convert, shapes
from gateway.http.api import answer, api_of, ask, name_in_path, nothing, page
from gateway.http.bots import GivenName
from gateway.http.messages import Key, PostHeaders, Text
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.incoming import check_content, check_id
from gateway.protocol.scopes import Beyond
from hubbub.events.v1.events_pb2 import PostMessage
from hubbub.messages.v1.messages_service_pb2 import (
    CreateHookRequest,
    ListHooksRequest,
    PostMessageRequest,
    RemoveHookRequest,
    RotateHookRequest,
)


class NewHook(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a new webhook."""

    name: GivenName
    """The display name of its bot."""


class HookMessage(msgspec.Struct):
    """Body of a post by a webhook. Other fields, which tools made for Slack send, are ignored."""

    text: Annotated[Text, Meta(min_length=1)]
    key: Key | None = None


@operation({200: shapes.Page[bot_shapes.Hook]}, cost=1, scope=Beyond.PEOPLE)
async def list_hooks(request: Request, identity: Identity) -> Response:
    """List the channel's incoming webhooks, oldest first."""
    asked = ListHooksRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    found = await ask(api_of(request).clients.messages.ListHooks, asked)
    return page([bot_shapes.hook(each) for each in found.hooks])


@operation({201: bot_shapes.CreatedHook}, Conflict, cost=5, scope=Beyond.PEOPLE)
async def create_hook(request: Request, identity: Identity, body: NewHook) -> Response:
    """Create an incoming webhook. The answer is the only place that shows the path of its address."""
    asked = CreateHookRequest(caller=identity.caller, channel=name_in_path(request, "channel"), name=body.name)
    made = await ask(api_of(request).clients.messages.CreateHook, asked)
    return answer(bot_shapes.new_hook(made.hook, made.path), 201)


@operation({200: bot_shapes.CreatedHook}, cost=5, scope=Beyond.PEOPLE)
async def rotate_hook(request: Request, identity: Identity) -> Response:
    """Give an incoming webhook a new address, and end the old one at every gateway."""
    channel, hook = name_in_path(request, "channel"), name_in_path(request, "hook")
    asked = RotateHookRequest(caller=identity.caller, channel=channel, hook=hook)
    made = await ask(api_of(request).clients.messages.RotateHook, asked)
    return answer(bot_shapes.new_hook(made.hook, made.path))


@operation({204: None}, cost=5, scope=Beyond.PEOPLE)
async def remove_hook(request: Request, identity: Identity) -> Response:
    """Remove an incoming webhook and its bot from the channel, at every gateway."""
    channel, hook = name_in_path(request, "channel"), name_in_path(request, "hook")
    await ask(api_of(request).clients.messages.RemoveHook, RemoveHookRequest(caller=identity.caller, channel=channel, hook=hook))
    return nothing()


@operation({200: shapes.Posted}, KeyReused, cost=1, scope=Beyond.HOOK, allowance="sends")
async def post_by_hook(request: Request, identity: Identity, headers: PostHeaders, body: HookMessage) -> Response:
    """Post to the channel of an incoming webhook, as its bot."""
    if headers.idempotency_key is not None and body.key is not None and headers.idempotency_key != body.key:
        raise InvalidArgument("Idempotency-Key and key differ")
    key = headers.idempotency_key or body.key or str(uuid.uuid4())
    try:
        check_content(body.text, msgspec.UNSET, may_be_empty=False)
        check_id(key, "key")
    except InvalidArgument as error:
        raise InvalidArgument(error.detail) from None
    asked = PostMessageRequest(caller=identity.caller, channel=identity.hook, key=key, message=PostMessage(text=body.text))
    try:
        posted = await ask(api_of(request).clients.messages.PostMessage, asked)
    except (NotFound, NotAMember):
        raise NotAllowed("The webhook's bot is no member of the channel any more") from None
    return answer(convert.posted(posted))
