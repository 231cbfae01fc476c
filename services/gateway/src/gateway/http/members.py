"""/v1/channels/{id}/members and /bans."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from gateway import convert
from gateway.http.api import (
    MAX_SEQ,
    answer,
    api_of,
    ask,
    body_of,
    identity_of,
    limit_of,
    name_in_path,
    nothing,
    page,
    words,
)
from gateway.http.channels import UserId
from hubbub.messages.v1.messages_service_pb2 import (
    AddMembersRequest,
    BanUserRequest,
    ListMembersRequest,
    RemoveMemberRequest,
    SetMemberRoleRequest,
    UnbanUserRequest,
)

Role = Literal["owner", "moderator", "member", "reader"]


class NewMembers(msgspec.Struct, forbid_unknown_fields=True):
    """Body of an addition."""

    users: Annotated[list[UserId], Meta(min_length=1, max_length=200)]
    role: Role = "member"


class ChangedRole(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a change of role."""

    role: Role


class Ban(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a ban."""

    reason: Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]
    seconds: Annotated[int, Meta(ge=1, le=MAX_SEQ)] | None = None


async def list_members(request: Request) -> Response:
    """Members of a channel."""
    identity = await identity_of(request)
    asked = ListMembersRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        limit=limit_of(request, 200, 1_000),
        cursor=words(request, "cursor"),
    )
    found = await ask(api_of(request).clients.messages.ListMembers, asked)
    return page([convert.member(each) for each in found.members], found.next)


async def add_members(request: Request) -> Response:
    """Add people; answers those added."""
    identity = await identity_of(request)
    wanted = await body_of(request, NewMembers)
    asked = AddMembersRequest(
        caller=identity.caller, channel=name_in_path(request, "channel"), users=wanted.users, role=wanted.role
    )
    added = await ask(api_of(request).clients.messages.AddMembers, asked)
    return page([convert.member(each) for each in added.members])


async def set_role(request: Request) -> Response:
    """Change a member's role."""
    identity = await identity_of(request)
    wanted = await body_of(request, ChangedRole)
    asked = SetMemberRoleRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        user=name_in_path(request, "user"),
        role=wanted.role,
    )
    changed = await ask(api_of(request).clients.messages.SetMemberRole, asked)
    return answer(convert.member(changed.member))


async def remove_member(request: Request) -> Response:
    """Remove a member, or leave."""
    identity = await identity_of(request)
    asked = RemoveMemberRequest(
        caller=identity.caller, channel=name_in_path(request, "channel"), user=name_in_path(request, "user")
    )
    await ask(api_of(request).clients.messages.RemoveMember, asked)
    return nothing()


async def ban(request: Request) -> Response:
    """Remove and keep out."""
    identity = await identity_of(request)
    wanted = await body_of(request, Ban)
    asked = BanUserRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        user=name_in_path(request, "user"),
        reason=wanted.reason,
        seconds=wanted.seconds or 0,
    )
    await ask(api_of(request).clients.messages.BanUser, asked)
    return nothing()


async def unban(request: Request) -> Response:
    """Lift a ban."""
    identity = await identity_of(request)
    asked = UnbanUserRequest(caller=identity.caller, channel=name_in_path(request, "channel"), user=name_in_path(request, "user"))
    await ask(api_of(request).clients.messages.UnbanUser, asked)
    return nothing()
