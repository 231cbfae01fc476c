"""/v1/channels/{id}/messages and /events, and /v1/search."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from chassis.errors import InvalidArgument
from gateway import convert
from gateway.connection import Identity
from gateway.http.api import answer, api_of, ask, body_of, identity_of, limit_of, name_in_path, number, page, words
from gateway.http.channels import UserId
from gateway.inbound.attachments import resolve
from gateway.inbound.frames import check_id, check_text
from hubbub.events.v1.events_pb2 import PostMessage
from hubbub.messages.v1.messages_service_pb2 import (
    ListEventsRequest,
    ListMessagesRequest,
    PostMessageRequest,
    PostMessageResponse,
    SearchMessagesRequest,
)

Key = Annotated[str, Meta(min_length=1, max_length=128)]


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a post: as the `send` frame, of which `type`, `ref` and `channel` say nothing that the request does not."""

    text: str
    type: Literal["send"] = "send"
    ref: Raw | UnsetType = UNSET
    channel: str | None = None
    key: Key | None = None
    thread: UserId | None = None
    attachments: Annotated[list[UserId], Meta(max_length=10)] = []
    mentions: Annotated[list[UserId], Meta(max_length=100)] = []


async def list_messages(request: Request) -> Response:
    """Messages as they stand now, newest first."""
    identity = await identity_of(request)
    asked = ListMessagesRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        before=number(request, "before", 0),
        after=number(request, "after", 0),
        limit=limit_of(request, 50, 200),
    )
    found = await ask(api_of(request).clients.messages.ListMessages, asked)
    return page([convert.message(each) for each in found.messages])


async def list_events(request: Request) -> Response:
    """The log itself, oldest first."""
    identity = await identity_of(request)
    asked = ListEventsRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        after=number(request, "after", 0),
        limit=limit_of(request, 200, 1_000),
    )
    found = await ask(api_of(request).clients.messages.ListEvents, asked)
    return page([convert.event(each) for each in found.events])


async def search(request: Request) -> Response:
    """Full text, in what the caller may read."""
    identity = await identity_of(request)
    query = words(request, "q").strip()
    if not query:
        raise InvalidArgument("q is empty")
    asked = SearchMessagesRequest(
        caller=identity.caller,
        query=query,
        channel=words(request, "channel"),
        sender=words(request, "from"),
        limit=limit_of(request, 50, 200),
        cursor=words(request, "cursor"),
    )
    found = await ask(api_of(request).clients.messages.SearchMessages, asked)
    return page([convert.message(each) for each in found.messages], found.next)


async def post_message(request: Request) -> Response:
    """Post a message; 200 with `duplicate` where the key was seen before."""
    identity = await identity_of(request)
    wanted = await body_of(request, NewMessage)
    key = _key_of(request, wanted)
    _check(wanted, key)
    api_of(request).allowances.sends.take(identity.tenant, identity.user)
    posted = await _post(request, identity, wanted, key)
    shape = {"message": posted.message, "seq": posted.seq, "at": convert.moment(posted.at)}
    if posted.duplicate:
        return answer(shape | {"duplicate": True})
    return answer(shape, 201)


async def _post(request: Request, identity: Identity, wanted: NewMessage, key: str) -> PostMessageResponse:
    clients, channel = api_of(request).clients, name_in_path(request, "channel")
    attachments = await resolve(clients.media, identity, channel, wanted.attachments) if wanted.attachments else []
    message = PostMessage(text=wanted.text, thread=wanted.thread or "", attachments=attachments, mentions=wanted.mentions)
    asked = PostMessageRequest(caller=identity.caller, channel=channel, key=key, message=message)
    posted: PostMessageResponse = await ask(clients.messages.PostMessage, asked)
    return posted


def _key_of(request: Request, wanted: NewMessage) -> str:
    """The key of the header or the body, both only where they say the same; without one, nobody can repeat this post."""
    header = request.headers.get("idempotency-key")
    if header is not None and not 1 <= len(header) <= 128:  # noqa: PLR2004 - as the body's
        raise InvalidArgument("Idempotency-Key must have 1 to 128 characters")
    if header is not None and wanted.key is not None and header != wanted.key:
        raise InvalidArgument("Idempotency-Key and key differ")
    if wanted.channel not in (None, request.path_params["channel"]):
        raise InvalidArgument("channel is not the one of the path")
    return header or wanted.key or str(uuid.uuid4())


def _check(wanted: NewMessage, key: str) -> None:
    try:
        check_text(wanted.text)
        check_id(key, "key")
    except InvalidArgument as error:
        raise InvalidArgument(error.detail) from None
    if not wanted.text and not wanted.attachments:
        raise InvalidArgument("text is empty")
