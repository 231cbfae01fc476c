"""/v1/channels/{id}/messages and /events, and /v1/search."""

from __future__ import annotations

import uuid
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from chassis import blocks
from chassis.blocks import Blocks
from chassis.bots import BotScope
from chassis.errors import BlockedMedia, InvalidArgument, KeyReused, NotAllowed, NotFound
from gateway.http import convert, shapes
from gateway.http.api import Limit, Position, Words, answer, api_of, ask, name_in_path, page, page_of
from gateway.http.channels import UserId
from gateway.http.operation import charge, operation
from gateway.identity.identity import Identity
from gateway.protocol.incoming import check_content, check_id
from gateway.protocol.outgoing import moment
from hubbub.events.v1.events_pb2 import Attachment, PostMessage
from hubbub.messages.v1.messages_service_pb2 import (
    ListEventsRequest,
    ListMentionsRequest,
    ListMessagesRequest,
    PostMessageRequest,
    PostMessageResponse,
    SearchMessagesRequest,
)

Text = Annotated[str, Meta(description="At most 16 KiB of UTF-8; empty only with attachments.", examples=["hello"])]
Sealed = Annotated[
    bytes, Meta(description="Content that only clients can read, of at most 18 KiB; in base64.", examples=["c2VhbGVk"])
]
Key = Annotated[str, Meta(min_length=1, max_length=128)]


CHOSEN_COST = 2
"""Of a list that is not a range of the log, besides the cost of a list."""
_MOST_MESSAGES = 200
_MOST_EVENTS = 1_000


class MessagesQuery(msgspec.Struct):
    """Which page of a channel's messages. The bounds are exclusive; 0 is no bound."""

    before: Position = 0
    after: Position = 0
    limit: Limit = 50
    thread: Words = ""
    """Only this message and the messages of its thread."""
    pinned: bool = False
    """Only pinned messages."""


class MentionsQuery(msgspec.Struct):
    """Which page of the messages that mention the caller."""

    limit: Limit = 50
    cursor: Words = ""


class EventsQuery(msgspec.Struct):
    """Which page of a channel's log."""

    after: Position = 0
    limit: Limit = 200


class SearchQuery(msgspec.Struct):
    """The search text, and filters by channel and sender."""

    q: Annotated[Words, Meta(min_length=1, examples=["hello"])]
    channel: Words = ""
    sender: Words = msgspec.field(name="from", default="")
    limit: Limit = 50
    cursor: Words = ""


class PostHeaders(msgspec.Struct):
    """Headers of a post."""

    idempotency_key: Key | None = msgspec.field(name="idempotency-key", default=None)
    """The same as `key` in the body."""


class NewMessage(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a post: the `send` frame, where `type`, `ref` and `channel` are optional. It has either `text` or `sealed`."""

    text: Text | UnsetType = UNSET
    sealed: Sealed | UnsetType = UNSET
    type: Literal["send"] = "send"
    ref: Raw | UnsetType = UNSET
    channel: str | None = None
    key: Key | None = None
    thread: UserId | None = None
    attachments: Annotated[list[UserId], Meta(max_length=10)] = []
    mentions: Annotated[list[UserId], Meta(max_length=100)] = []
    blocks: Blocks = []


@operation({200: shapes.Page[shapes.Message]}, cost=1, scope=BotScope.READ)
async def list_messages(request: Request, identity: Identity, query: MessagesQuery) -> Response:
    """List messages in their present state, newest first."""
    if query.thread or query.pinned:
        charge(request, identity, CHOSEN_COST)
    asked = ListMessagesRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        before=query.before,
        after=query.after,
        page_size=min(query.limit, _MOST_MESSAGES),
        thread=query.thread,
        pinned=query.pinned,
        json=True,
    )
    found = await ask(api_of(request).clients.messages.ListMessages, asked)
    return page_of(found.items)


@operation({200: shapes.Page[shapes.Message]}, cost=2, scope=BotScope.READ)
async def list_mentions(request: Request, identity: Identity, query: MentionsQuery) -> Response:
    """List messages that mention the caller, newest first."""
    asked = ListMentionsRequest(caller=identity.caller, page_size=min(query.limit, _MOST_MESSAGES), page_token=query.cursor)
    found = await ask(api_of(request).clients.messages.ListMentions, asked)
    return page([convert.message(each) for each in found.messages], found.next_page_token)


@operation({200: shapes.Page[shapes.Entry]}, cost=2, scope=BotScope.READ)
async def list_events(request: Request, identity: Identity, query: EventsQuery) -> Response:
    """List the events of the log, oldest first."""
    asked = ListEventsRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        after=query.after,
        page_size=min(query.limit, _MOST_EVENTS),
    )
    found = await ask(api_of(request).clients.messages.ListEvents, asked)
    return page([convert.event(each) for each in found.events])


@operation({200: shapes.SearchPage[shapes.Message]}, NotAllowed, NotFound, cost=5, scope=BotScope.READ, walks=True)
async def search(request: Request, identity: Identity, query: SearchQuery) -> Response:
    """Search the text of messages that the caller may read."""
    wanted = query.q.strip()
    if not wanted:
        raise InvalidArgument("q is empty")
    asked = SearchMessagesRequest(
        caller=identity.caller,
        query=wanted,
        channel=query.channel,
        sender=query.sender,
        page_size=min(query.limit, _MOST_MESSAGES),
        page_token=query.cursor,
    )
    found = await ask(api_of(request).clients.messages.SearchMessages, asked)
    return answer(
        shapes.SearchPage(
            [convert.message(each) for each in found.messages],
            found.next_page_token or UNSET,
            found.incomplete or UNSET,
            moment(found.complete_to) if found.incomplete and found.HasField("complete_to") else UNSET,
        )
    )


@operation({200: shapes.Posted, 201: shapes.Posted}, BlockedMedia, KeyReused, cost=1, scope=BotScope.WRITE, allowance="sends")
async def post_message(request: Request, identity: Identity, headers: PostHeaders, body: NewMessage) -> Response:
    """Post a message; 200 with `duplicate` if the key was used before."""
    key = _key_of(request, headers, body)
    _check(body, key)
    posted = await _post(request, identity, body, key)
    return answer(convert.posted(posted), 200 if posted.duplicate else 201)


async def _post(request: Request, identity: Identity, body: NewMessage, key: str) -> PostMessageResponse:
    clients, channel = api_of(request).clients, name_in_path(request, "channel")
    attachments = [Attachment(id=upload) for upload in body.attachments]  # the messages service asks media about them
    message = PostMessage(thread=body.thread or "", attachments=attachments, mentions=body.mentions)
    blocks.write(body.blocks, message.blocks)
    if body.text is not UNSET:
        message.text = body.text
    if body.sealed is not UNSET:
        message.sealed = body.sealed
    asked = PostMessageRequest(caller=identity.caller, channel=channel, key=key, message=message)
    posted: PostMessageResponse = await ask(clients.messages.PostMessage, asked)
    return posted


def _key_of(request: Request, headers: PostHeaders, body: NewMessage) -> str:
    """The key from the header or the body; they must not differ. Without a key the post cannot be repeated safely."""
    if headers.idempotency_key is not None and body.key is not None and headers.idempotency_key != body.key:
        raise InvalidArgument("Idempotency-Key and key differ")
    if body.channel not in (None, request.path_params["channel"]):
        raise InvalidArgument("channel is not the one of the path")
    return headers.idempotency_key or body.key or str(uuid.uuid4())


def _check(body: NewMessage, key: str) -> None:
    try:
        check_content(body.text, body.sealed, may_be_empty=bool(body.attachments))
        check_id(key, "key")
    except InvalidArgument as error:
        raise InvalidArgument(error.detail) from None
