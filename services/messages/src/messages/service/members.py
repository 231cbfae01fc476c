"""RPCs that add, change, remove, ban and silence members.

Each change locks the channel. So no message of a removed, banned or silenced user is numbered after the change.
"""

from __future__ import annotations

from chassis.errors import InvalidArgument, NotAllowed, NotFound
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, policy, validate
from messages.audit import AuditAction
from messages.message import Details, EntryKind, Member, UserId
from messages.policy import Action, Role
from messages.service import access, consent, roster
from messages.service.rpc_base import Change, RpcBase, fit_to_answer
from messages.store import members, moderation, users

_PAGE = 200
_BAN_SECONDS = 100 * 365 * 24 * 3600
_SILENCE_SECONDS = 366 * 24 * 3600


class Members(RpcBase):
    """RPCs about members."""

    async def ListMembers(self, request: rpc.ListMembersRequest, _context: object) -> rpc.ListMembersResponse:
        """Members by role and name, for members."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        seen, _ = access.member(await self._membership(caller, channel))
        if request.user:
            async with self._database.connection([caller.tenant]) as connection:
                one = await members.find(connection, caller.tenant, channel, [validate.user_id(request.user)])
            return rpc.ListMembersResponse(members=convert.members(one.values()), total=seen.members)
        limit = validate.page(request.page_size, _PAGE, _PAGE)
        prefix = validate.query(request.query, validate.NAME_CHARACTERS).lower()
        after = cursors.read(request.page_token, members.Place, None)
        async with self._database.connection([caller.tenant]) as connection:
            found = await members.page(connection, caller.tenant, channel, after, limit + 1, prefix=prefix)
        page = fit_to_answer(convert.members(member for _, member in found[:limit]))
        after_page = cursors.write(found[len(page) - 1][0]) if len(page) < len(found) else ""
        return rpc.ListMembersResponse(members=page, next_page_token=after_page, total=seen.members)

    async def AddMembers(self, request: rpc.AddMembersRequest, _context: object) -> rpc.AddMembersResponse:
        """Add users, all or none. Existing members are not changed."""
        caller = await self._admitted(request.caller)
        channel, role = validate.channel_id(request.channel), convert.role(request.role or events.ROLE_MEMBER)
        validate.at_most(request.users, validate.MEMBERS_AT_ONCE, "users")
        wanted = [validate.user_id(user) for user in dict.fromkeys(request.users)]
        async with self._changing(caller, channel, Action.ADD) as change:
            _, own = await access.may_speak(change.connection, caller, change.membership, Action.ADD)
            access.may_act_on(own, role)
            names = await users.names(change.connection, caller.tenant, wanted)
            if len(names) < len(wanted):
                raise NotFound
            if await members.banned(change.connection, channel, wanted):
                raise NotAllowed
            existing = await members.find(change.connection, caller.tenant, channel, wanted)
            absent = [user for user in wanted if user not in existing]
            joining, invited = await consent.sort(change.connection, caller, channel, absent, self._limits)
            if joining:
                await roster.join(change, dict.fromkeys(joining, role))
            await change.invite(invited, role)
        added = convert.members(Member(user, names[user], role) for user in joining)
        return rpc.AddMembersResponse(members=added, invited=invited)

    async def ListInvitations(self, request: rpc.ListInvitationsRequest, _context: object) -> rpc.ListInvitationsResponse:
        """The caller's unanswered invitations, by channel id."""
        caller = await self._admitted(request.caller)
        limit = validate.page(request.page_size, 50, 200)
        after = cursors.read_uuid(request.page_token)
        async with self._database.connection([caller.tenant]) as connection:
            found = await members.invitations(connection, caller, after, limit + 1)
        page, more = found[:limit], found[limit:]
        after_page = cursors.write(page[-1].channel) if more else ""
        return rpc.ListInvitationsResponse(invitations=map(convert.invitation, page), next_page_token=after_page)

    async def AcceptInvitation(self, request: rpc.AcceptInvitationRequest, _context: object) -> rpc.AcceptInvitationResponse:
        """Become a member by an invitation, declined or not. No effect for a member."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._database.connection([caller.tenant]) as connection:
            invited = await members.invitation(connection, caller, channel) is not None
        if not invited:
            access.member(await self._membership(caller, channel))
        async with self._locked(caller, channel) as change:
            role = await members.invitation(change.connection, caller, channel)
            membership = change.membership
            if membership is None or (role is None and membership.role is None):
                raise NotFound
            if membership.role is None and role is not None:
                if membership.banned:
                    raise NotAllowed
                await consent.require_room(change.connection, caller, self._limits)
                await roster.join(change, {caller.user: role})
        return rpc.AcceptInvitationResponse(channel=await self._listing(caller, channel))

    async def DeclineInvitation(self, request: rpc.DeclineInvitationRequest, _context: object) -> rpc.DeclineInvitationResponse:
        """Decline an invitation. Others cannot repeat it; the caller can still accept it."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._database.connection([caller.tenant]) as connection:
            if not await members.decline(connection, caller, channel):
                raise NotFound
        return rpc.DeclineInvitationResponse()

    async def JoinChannel(self, request: rpc.JoinChannelRequest, _context: object) -> rpc.JoinChannelResponse:
        """Join a public channel. No effect for a member."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._changing(caller, channel) as change:
            membership = access.visible(change.membership)
            if membership.role is None:
                if membership.banned or membership.kind not in policy.JOINABLE:
                    raise NotAllowed
                await consent.require_room(change.connection, caller, self._limits)
                await roster.join(change, {caller.user: Role.MEMBER})
        return rpc.JoinChannelResponse(channel=await self._listing(caller, channel))

    async def SetMemberRole(self, request: rpc.SetMemberRoleRequest, _context: object) -> rpc.SetMemberRoleResponse:
        """Change a member's role. The last owner may step down; the channel then has no owner."""
        caller = await self._admitted(request.caller)
        channel, role = validate.channel_id(request.channel), convert.role(request.role)
        async with self._changing(caller, channel, Action.SET_ROLE) as change:
            _, own = access.may(change.membership, Action.SET_ROLE)
            access.may_act_on(own, role)
            member = await _member(change, request.user, own)
            if member.role is not role:
                await members.set_role(change.connection, caller.tenant, channel, member.user, role)
                await change.append(EntryKind.MEMBER_ROLE_CHANGED, Details(user=member.user, role=role))
                await change.record(AuditAction.MEMBER_ROLE_CHANGED, member.user, role=role, former=member.role)
        changed = Member(member.user, member.name, role)
        return rpc.SetMemberRoleResponse(member=convert.members([changed])[0])

    async def RemoveMember(self, request: rpc.RemoveMemberRequest, _context: object) -> rpc.RemoveMemberResponse:
        """Remove a member, or leave. The last owner may leave; the channel then has no owner."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        action = Action.LEAVE if request.user == caller.user else Action.REMOVE
        async with self._changing(caller, channel, action) as change:
            if request.user == caller.user:
                access.may(change.membership, Action.LEAVE)
                await roster.leave(change, caller.user)
                await members.depart(change.connection, caller, channel)
            else:
                _, own = access.may(change.membership, Action.REMOVE)
                member = await _member(change, request.user, own)
                await roster.remove(change, member.user)
                await change.record(AuditAction.MEMBER_REMOVED, member.user)
        return rpc.RemoveMemberResponse()

    async def BanUser(self, request: rpc.BanUserRequest, _context: object) -> rpc.BanUserResponse:
        """Ban a user of the tenant from a channel. A member is removed."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        reason = validate.line(request.reason, "reason", validate.REASON_CHARACTERS)
        if request.seconds > _BAN_SECONDS:
            raise InvalidArgument(f"A ban lasts at most {_BAN_SECONDS} seconds, or for ever")
        async with self._changing(caller, channel, Action.REMOVE) as change:
            _, own = access.may(change.membership, Action.REMOVE)
            user = _user_id(request.user)
            if user == caller.user:
                raise NotAllowed
            if not await users.names(change.connection, caller.tenant, [user]):
                raise NotFound
            existing = await members.find(change.connection, caller.tenant, channel, [user])
            if user in existing:
                access.may_act_on(own, existing[user].role)
                await roster.remove(change, user)
            ban = members.Ban(caller.tenant, channel, user, caller.user, reason, request.seconds)
            await members.ban(change.connection, ban)
            await change.record(AuditAction.MEMBER_BANNED, user, reason=reason, seconds=request.seconds)
        return rpc.BanUserResponse()

    async def UnbanUser(self, request: rpc.UnbanUserRequest, _context: object) -> rpc.UnbanUserResponse:
        """Lift a ban. No effect when there is none."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._changing(caller, channel, Action.REMOVE) as change:
            access.may(change.membership, Action.REMOVE)
            user = _user_id(request.user)
            if await members.unban(change.connection, caller.tenant, channel, user):
                await change.record(AuditAction.MEMBER_UNBANNED, user)
        return rpc.UnbanUserResponse()

    async def SilenceMember(self, request: rpc.SilenceMemberRequest, _context: object) -> rpc.SilenceMemberResponse:
        """Refuse a member's posts, edits, reactions and pins for a while, also after leaving and rejoining."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        reason = validate.line(request.reason, "reason", validate.REASON_CHARACTERS)
        if not 1 <= request.seconds <= _SILENCE_SECONDS:
            raise InvalidArgument(f"A silence lasts 1 to {_SILENCE_SECONDS} seconds")
        async with self._changing(caller, channel, Action.SILENCE) as change:
            _, own = access.may(change.membership, Action.SILENCE)
            member = await _member(change, request.user, own)
            silence = moderation.Silence(caller.tenant, channel, member.user, caller.user, reason, request.seconds)
            await moderation.silence(change.connection, silence)
            await change.record(AuditAction.MEMBER_SILENCED, member.user, reason=reason, seconds=request.seconds)
        return rpc.SilenceMemberResponse()

    async def UnsilenceMember(self, request: rpc.UnsilenceMemberRequest, _context: object) -> rpc.UnsilenceMemberResponse:
        """Lift a silence. No effect when there is none. Refused for one's own silence and for members with a higher role."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._changing(caller, channel, Action.SILENCE) as change:
            _, own = access.may(change.membership, Action.SILENCE)
            user = _user_id(request.user)
            if user == caller.user:
                raise NotAllowed
            existing = await members.find(change.connection, caller.tenant, channel, [user])
            if user in existing:
                access.may_act_on(own, existing[user].role)
            if await moderation.unsilence(change.connection, caller.tenant, channel, user):
                await change.record(AuditAction.MEMBER_UNSILENCED, user)
        return rpc.UnsilenceMemberResponse()


async def _member(change: Change, user: str, own: Role) -> Member:
    """A member on whom a member with role `own` may act; raises `NotFound`, `NotAllowed`."""
    wanted = _user_id(user)
    found = await members.find(change.connection, change.caller.tenant, change.channel, [wanted])
    if wanted not in found:
        raise NotFound
    access.may_act_on(own, found[wanted].role)
    return found[wanted]


def _user_id(user: str) -> UserId:
    """A user id. Raises `NotFound` for an invalid one, as for one that does not exist."""
    try:
        return validate.user_id(user)
    except InvalidArgument as error:
        raise NotFound from error
