"""/v1/channels and what is done to a channel as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from gateway import convert
from gateway.http.api import answer, api_of, ask, body_of, identity_of, name_in_path, page
from hubbub.messages.v1.messages_service_pb2 import (
    CreateChannelRequest,
    GetChannelRequest,
    JoinChannelRequest,
    ListChannelsRequest,
    MuteChannelRequest,
    UpdateChannelRequest,
)

Name = Annotated[str, Meta(max_length=128, pattern=r"\A[^\x00-\x1f\x7f]*\Z")]
Topic = Annotated[str, Meta(max_length=1024, pattern=r"\A[^\x00]*\Z")]
UserId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]


class NewChannel(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a creation."""

    kind: Literal["direct", "group", "public", "broadcast", "qa"]
    name: Name = ""
    members: Annotated[list[UserId], Meta(max_length=200)] = []
    history: Literal["all", "joined"] = "all"


class ChangedChannel(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a change."""

    name: Name | UnsetType = UNSET
    topic: Topic | UnsetType = UNSET
    slow_mode_seconds: Annotated[int, Meta(ge=0, le=21_600)] | UnsetType = UNSET


class Muted(msgspec.Struct, forbid_unknown_fields=True):
    """Body of the caller's own switch."""

    muted: bool


async def list_channels(request: Request) -> Response:
    """The caller's channels; with `joinable=1` the tenant's public ones that the caller could join."""
    identity = await identity_of(request)
    joinable = request.query_params.get("joinable") in ("1", "true")
    asked = ListChannelsRequest(caller=identity.caller, joinable=joinable)
    found = await ask(api_of(request).clients.messages.ListChannels, asked)
    return page([convert.channel_summary(each) for each in found.channels])


async def create_channel(request: Request) -> Response:
    """Make a channel; 200 where the direct channel existed."""
    identity = await identity_of(request)
    wanted = await body_of(request, NewChannel)
    api_of(request).allowances.rooms.take(identity.tenant, identity.user)
    asked = CreateChannelRequest(
        caller=identity.caller, kind=wanted.kind, name=wanted.name, members=wanted.members, history=wanted.history
    )
    made = await ask(api_of(request).clients.messages.CreateChannel, asked)
    return answer(convert.channel(made.channel), 201 if made.created else 200)


async def get_channel(request: Request) -> Response:
    """Details."""
    identity = await identity_of(request)
    asked = GetChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    found = await ask(api_of(request).clients.messages.GetChannel, asked)
    return answer(convert.channel(found.channel))


async def update_channel(request: Request) -> Response:
    """Change name, topic or slow mode."""
    identity = await identity_of(request)
    changed = await body_of(request, ChangedChannel)
    asked = UpdateChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    if changed.name is not UNSET:
        asked.name = changed.name
    if changed.topic is not UNSET:
        asked.topic = changed.topic
    if changed.slow_mode_seconds is not UNSET:
        asked.slow_mode_seconds = changed.slow_mode_seconds
    found = await ask(api_of(request).clients.messages.UpdateChannel, asked)
    return answer(convert.channel(found.channel))


async def join_channel(request: Request) -> Response:
    """Join a public channel."""
    identity = await identity_of(request)
    api_of(request).allowances.rooms.take(identity.tenant, identity.user)
    asked = JoinChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"))
    found = await ask(api_of(request).clients.messages.JoinChannel, asked)
    return answer(convert.channel(found.channel))


async def mute_channel(request: Request) -> Response:
    """Set the caller's own switch."""
    identity = await identity_of(request)
    wanted = await body_of(request, Muted)
    asked = MuteChannelRequest(caller=identity.caller, channel=name_in_path(request, "channel"), muted=wanted.muted)
    found = await ask(api_of(request).clients.messages.MuteChannel, asked)
    return answer(convert.channel(found.channel))
