"""/v1/channels/{id}/members and /bans."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis.bots import BotScope
from chassis.proto_enums import from_word
from gateway.http import convert, shapes
from gateway.http.api import MAX_SEQ, Limit, Words, answer, api_of, ask, name_in_path, nothing
from gateway.http.channels import UserId
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from hubbub.events.v1.events_pb2 import Role
from hubbub.messages.v1.messages_service_pb2 import (
    AddMembersRequest,
    BanUserRequest,
    ListMembersRequest,
    RemoveMemberRequest,
    SetMemberRoleRequest,
    UnbanUserRequest,
)

_MOST = 200


class MembersQuery(msgspec.Struct):
    """Which page to list, of all members or of those whose names begin with `q`; or the one member `user`."""

    q: Annotated[str, Meta(max_length=128, pattern=r"\A[^\x00]*\Z")] = ""
    user: Words = ""
    limit: Limit = _MOST
    cursor: Words = ""


class NewMembers(msgspec.Struct, forbid_unknown_fields=True):
    """Body of new members."""

    users: Annotated[list[UserId], Meta(min_length=1, max_length=200)]
    role: shapes.MemberRole = "member"


class ChangedRole(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a role change."""

    role: shapes.MemberRole


class Ban(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a ban."""

    reason: Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]
    seconds: Annotated[int, Meta(ge=1, le=MAX_SEQ)] | None = None


@operation({200: shapes.Members}, cost=1, scope=BotScope.READ)
async def list_members(request: Request, identity: Identity, query: MembersQuery) -> Response:
    """List a channel's members by role and name."""
    asked = ListMembersRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        page_size=min(query.limit, _MOST),
        page_token=query.cursor,
        query=query.q,
        user=query.user,
    )
    found = await ask(api_of(request).clients.messages.ListMembers, asked)
    items = [convert.member(each) for each in found.members]
    return answer(shapes.Members(items=items, next=found.next_page_token or UNSET, total=found.total))


@operation({200: shapes.Added}, cost=2, scope=BotScope.MANAGE)
async def add_members(request: Request, identity: Identity, body: NewMembers) -> Response:
    """Add members; returns those added, and those who were invited instead."""
    asked = AddMembersRequest(
        caller=identity.caller, channel=name_in_path(request, "channel"), users=body.users, role=from_word(Role, body.role)
    )
    added = await ask(api_of(request).clients.messages.AddMembers, asked)
    return answer(shapes.Added([convert.member(each) for each in added.members], list(added.invited) or UNSET))


@operation({200: shapes.Member}, cost=2, scope=BotScope.MANAGE)
async def set_role(request: Request, identity: Identity, body: ChangedRole) -> Response:
    """Change a member's role."""
    asked = SetMemberRoleRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        user=name_in_path(request, "user"),
        role=from_word(Role, body.role),
    )
    changed = await ask(api_of(request).clients.messages.SetMemberRole, asked)
    return answer(convert.member(changed.member))


@operation({204: None}, cost=2, scope=BotScope.MANAGE)
async def remove_member(request: Request, identity: Identity) -> Response:
    """Remove a member, or leave."""
    asked = RemoveMemberRequest(
        caller=identity.caller, channel=name_in_path(request, "channel"), user=name_in_path(request, "user")
    )
    await ask(api_of(request).clients.messages.RemoveMember, asked)
    return nothing()


@operation({204: None}, cost=2, scope=BotScope.MODERATE)
async def ban(request: Request, identity: Identity, body: Ban) -> Response:
    """Ban a user: remove the member and prevent a return."""
    asked = BanUserRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        user=name_in_path(request, "user"),
        reason=body.reason,
        seconds=body.seconds or 0,
    )
    await ask(api_of(request).clients.messages.BanUser, asked)
    return nothing()


@operation({204: None}, cost=2, scope=BotScope.MODERATE)
async def unban(request: Request, identity: Identity) -> Response:
    """Lift a ban."""
    asked = UnbanUserRequest(caller=identity.caller, channel=name_in_path(request, "channel"), user=name_in_path(request, "user"))
    await ask(api_of(request).clients.messages.UnbanUser, asked)
    return nothing()
