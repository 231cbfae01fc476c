"""/v1/channels, and operations on a whole channel."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from chassis.bots import BotScope
from chassis.errors import NotFound
from chassis.proto_enums import from_word
from gateway.http import convert, shapes
from gateway.http.api import Limit, Words, answer, api_of, ask, name_in_path, nothing, page
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from hubbub.messages.v1.messages_pb2 import ChannelKind, History
from hubbub.messages.v1.messages_service_pb2 import (
    AcceptInvitationRequest,
    CreateChannelRequest,
    DeclineInvitationRequest,
    GetChannelRequest,
    JoinChannelRequest,
    ListChannelsRequest,
    ListInvitationsRequest,
    MuteChannelRequest,
    UpdateChannelRequest,
)

Name = Annotated[str, Meta(max_length=128, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]
Topic = Annotated[str, Meta(max_length=1024, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]
UserId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]


class ChannelsQuery(msgspec.Struct):
    """Which channels to list."""

    joinable: bool = False
    """List the tenant's public channels that the caller can join, instead of the caller's channels."""
    q: Annotated[str, Meta(max_length=128, pattern=r"\A[^\x00]*\Z")] = ""
    """Only those in whose name it occurs, or of direct channels in the other user's name or id."""
    limit: Limit = 500
    cursor: Words = ""


class NewChannel(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a new channel."""

    kind: shapes.ChannelKind
    name: Name = ""
    members: Annotated[list[UserId], Meta(max_length=200)] = []
    history: shapes.History = "all"


class ChangedChannel(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a change."""

    name: Name | UnsetType = UNSET
    topic: Topic | UnsetType = UNSET
    slow_mode_seconds: Annotated[int, Meta(ge=0, le=21_600)] | UnsetType = UNSET


class Muted(msgspec.Struct, forbid_unknown_fields=True):
    """Body of the caller's mute switch."""

    muted: bool


_MOST = 500
_MOST_INVITATIONS = 200


class InvitationsQuery(msgspec.Struct):
    """Which page to list."""

    limit: Limit = 50
    cursor: Words = ""


@operation({200: shapes.Page[shapes.ChannelSummary]}, cost=1, scope=BotScope.READ)
async def list_channels(request: Request, identity: Identity, query: ChannelsQuery) -> Response:
    """List the caller's channels, or with `joinable` the public channels that the caller can join."""
    asked = ListChannelsRequest(
        caller=identity.caller,
        joinable=query.joinable,
        page_size=min(query.limit, _MOST),
        page_token=query.cursor,
        query=query.q,
    )
    found = await ask(api_of(request).clients.messages.ListChannels, asked)
    return page([convert.channel_summary(each) for each in found.channels], found.next_page_token)


@operation({200: shapes.Channel, 201: shapes.Channel}, NotFound, cost=1, scope=BotScope.MANAGE)
async def create_channel(request: Request, identity: Identity, body: NewChannel) -> Response:
    """Create a channel; 200 if the direct channel exists already."""
    api_of(request).rates.channel_joins.take(identity.tenant, identity.user)
    asked = CreateChannelRequest(
        caller=identity.caller,
        kind=from_word(ChannelKind, body.kind),
        name=body.name,
        members=body.members,
        history=from_word(History, body.history),
    )
    made = await ask(api_of(request).clients.messages.CreateChannel, asked)
    return answer(convert.channel(made.channel, made.invited), 201 if made.created else 200)


@operation({200: shapes.Channel}, cost=1, scope=BotScope.READ)
async def get_channel(request: Request, identity: Identity) -> Response:
    """Get a channel's details."""
    asked = GetChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    found = await ask(api_of(request).clients.messages.GetChannel, asked)
    return answer(convert.channel(found.channel))


@operation({200: shapes.Channel}, cost=2, scope=BotScope.MANAGE)
async def update_channel(request: Request, identity: Identity, body: ChangedChannel) -> Response:
    """Change name, topic or slow mode."""
    asked = UpdateChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    if body.name is not UNSET:
        asked.name = body.name
    if body.topic is not UNSET:
        asked.topic = body.topic
    if body.slow_mode_seconds is not UNSET:
        asked.slow_mode_seconds = body.slow_mode_seconds
    found = await ask(api_of(request).clients.messages.UpdateChannel, asked)
    return answer(convert.channel(found.channel))


@operation({200: shapes.Channel}, cost=1, scope=BotScope.MANAGE)
async def join_channel(request: Request, identity: Identity) -> Response:
    """Join a public channel."""
    api_of(request).rates.channel_joins.take(identity.tenant, identity.user)
    asked = JoinChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    found = await ask(api_of(request).clients.messages.JoinChannel, asked)
    return answer(convert.channel(found.channel))


@operation({200: shapes.Page[shapes.Invitation]}, cost=1, scope=BotScope.READ)
async def list_invitations(request: Request, identity: Identity, query: InvitationsQuery) -> Response:
    """List the caller's unanswered invitations."""
    asked = ListInvitationsRequest(caller=identity.caller, page_size=min(query.limit, _MOST_INVITATIONS), page_token=query.cursor)
    found = await ask(api_of(request).clients.messages.ListInvitations, asked)
    return page([convert.invitation(each) for each in found.invitations], found.next_page_token)


@operation({200: shapes.Channel}, cost=2, scope=BotScope.MANAGE)
async def accept_invitation(request: Request, identity: Identity) -> Response:
    """Become a member by an invitation."""
    api_of(request).rates.channel_joins.take(identity.tenant, identity.user)
    asked = AcceptInvitationRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    found = await ask(api_of(request).clients.messages.AcceptInvitation, asked)
    return answer(convert.channel(found.channel))


@operation({204: None}, cost=2, scope=BotScope.MANAGE)
async def decline_invitation(request: Request, identity: Identity) -> Response:
    """Decline an invitation."""
    asked = DeclineInvitationRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    await ask(api_of(request).clients.messages.DeclineInvitation, asked)
    return nothing()


@operation({200: shapes.Channel}, cost=2, scope=BotScope.MANAGE)
async def mute_channel(request: Request, identity: Identity, body: Muted) -> Response:
    """Mute or unmute a channel for the caller."""
    asked = MuteChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"), muted=body.muted)
    found = await ask(api_of(request).clients.messages.MuteChannel, asked)
    return answer(convert.channel(found.channel))
