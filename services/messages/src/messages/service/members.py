"""The RPCs about members and bans. A removal holds the channel's lock, so nothing its subject sends is numbered after it."""

from __future__ import annotations

from chassis.errors import InvalidArgument, NotAllowed, NotFound
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, policy, validate
from messages.audit import Deed
from messages.message import Details, EntryKind, Member, UserId
from messages.policy import Action, Role
from messages.service import access
from messages.service.desk import Change, Desk
from messages.store import members, moderation, users

_BAN_SECONDS = 100 * 365 * 24 * 3600
_SILENCE_SECONDS = 366 * 24 * 3600


class Members(Desk):
    """Who is in a channel, and as what."""

    async def ListMembers(self, request: rpc.ListMembersRequest, _context: object) -> rpc.ListMembersResponse:
        """Members by user id, for members."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        access.member(await self._standing(caller, channel))
        limit = validate.page(request.page_size, 200, 1_000)
        async with self._database.connection([caller.tenant]) as connection:
            found = await members.page(connection, caller.tenant, channel, cursors.read(request.page_token, str, ""), limit + 1)
        page, more = found[:limit], found[limit:]
        after_page = cursors.write(page[-1].user) if more else ""
        return rpc.ListMembersResponse(members=convert.members(page), next_page_token=after_page)

    async def AddMembers(self, request: rpc.AddMembersRequest, _context: object) -> rpc.AddMembersResponse:
        """Add people, all or none; who is a member already stays as they are."""
        caller = await self._admitted(request.caller)
        channel, role = validate.channel_id(request.channel), convert.role(request.role or events.ROLE_MEMBER)
        validate.at_most(request.users, validate.MEMBERS_AT_ONCE, "users")
        wanted = [validate.user_id(user) for user in dict.fromkeys(request.users)]
        async with self._changing(caller, channel) as change:
            _, own = access.may(change.standing, Action.ADD)
            access.touch(own, role)
            names = await users.names(change.connection, caller.tenant, wanted)
            if len(names) < len(wanted):
                raise NotFound
            if await members.banned(change.connection, channel, wanted):
                raise NotAllowed
            present = await members.find(change.connection, caller.tenant, channel, wanted)
            absent = [user for user in wanted if user not in present]
            if absent:
                await _let_in(change, absent, role)
        return rpc.AddMembersResponse(members=convert.members(Member(user, names[user], role) for user in absent))

    async def JoinChannel(self, request: rpc.JoinChannelRequest, _context: object) -> rpc.JoinChannelResponse:
        """Join a public channel; harmless for a member."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._changing(caller, channel) as change:
            standing = access.visible(change.standing)
            if standing.role is None:
                if standing.banned or standing.kind not in policy.JOINABLE:
                    raise NotAllowed
                await _let_in(change, [caller.user], Role.MEMBER)
        return rpc.JoinChannelResponse(channel=await self._view(caller, channel))

    async def SetMemberRole(self, request: rpc.SetMemberRoleRequest, _context: object) -> rpc.SetMemberRoleResponse:
        """Change a member's role; the last owner may step down, the channel then has none."""
        caller = await self._admitted(request.caller)
        channel, role = validate.channel_id(request.channel), convert.role(request.role)
        async with self._changing(caller, channel) as change:
            _, own = access.may(change.standing, Action.SET_ROLE)
            access.touch(own, role)
            member = await _member(change, request.user, own)
            if member.role is not role:
                await members.set_role(change.connection, caller.tenant, channel, member.user, role)
                await change.append(EntryKind.MEMBER_ROLE_CHANGED, Details(user=member.user, role=role))
                await change.record(Deed.MEMBER_ROLE_CHANGED, member.user, role=role, former=member.role)
        changed = Member(member.user, member.name, role)
        return rpc.SetMemberRoleResponse(member=convert.members([changed])[0])

    async def RemoveMember(self, request: rpc.RemoveMemberRequest, _context: object) -> rpc.RemoveMemberResponse:
        """Remove a member, or leave; also the last owner may leave, the channel then has none."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._changing(caller, channel) as change:
            if request.user == caller.user:
                access.may(change.standing, Action.LEAVE)
                await _let_out(change, caller.user, EntryKind.MEMBER_LEFT)
            else:
                _, own = access.may(change.standing, Action.REMOVE)
                member = await _member(change, request.user, own)
                await _let_out(change, member.user, EntryKind.MEMBER_REMOVED)
                await change.record(Deed.MEMBER_REMOVED, member.user)
        return rpc.RemoveMemberResponse()

    async def BanUser(self, request: rpc.BanUserRequest, _context: object) -> rpc.BanUserResponse:
        """Keep a user of the tenant out of a channel; a member is removed."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        reason = validate.line(request.reason, "reason", validate.REASON_CHARACTERS)
        if request.seconds > _BAN_SECONDS:
            raise InvalidArgument(f"A ban lasts at most {_BAN_SECONDS} seconds, or for ever")
        async with self._changing(caller, channel) as change:
            _, own = access.may(change.standing, Action.REMOVE)
            user = _known_spelling(request.user)
            if user == caller.user:
                raise NotAllowed
            if not await users.names(change.connection, caller.tenant, [user]):
                raise NotFound
            present = await members.find(change.connection, caller.tenant, channel, [user])
            if user in present:
                access.touch(own, present[user].role)
                await _let_out(change, user, EntryKind.MEMBER_REMOVED)
            ban = members.Ban(caller.tenant, channel, user, caller.user, reason, request.seconds)
            await members.ban(change.connection, ban)
            await change.record(Deed.MEMBER_BANNED, user, reason=reason, seconds=request.seconds)
        return rpc.BanUserResponse()

    async def UnbanUser(self, request: rpc.UnbanUserRequest, _context: object) -> rpc.UnbanUserResponse:
        """Lift a ban; harmless where there is none."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._changing(caller, channel) as change:
            access.may(change.standing, Action.REMOVE)
            user = _known_spelling(request.user)
            if await members.unban(change.connection, caller.tenant, channel, user):
                await change.record(Deed.MEMBER_UNBANNED, user)
        return rpc.UnbanUserResponse()

    async def SilenceMember(self, request: rpc.SilenceMemberRequest, _context: object) -> rpc.SilenceMemberResponse:
        """Keep a member from posting, editing, reacting and pinning for a while, also if they leave and join again."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        reason = validate.line(request.reason, "reason", validate.REASON_CHARACTERS)
        if not 1 <= request.seconds <= _SILENCE_SECONDS:
            raise InvalidArgument(f"A silence lasts 1 to {_SILENCE_SECONDS} seconds")
        async with self._changing(caller, channel) as change:
            _, own = access.may(change.standing, Action.SILENCE)
            member = await _member(change, request.user, own)
            silence = moderation.Silence(caller.tenant, channel, member.user, caller.user, reason, request.seconds)
            await moderation.silence(change.connection, silence)
            await change.record(Deed.MEMBER_SILENCED, member.user, reason=reason, seconds=request.seconds)
        return rpc.SilenceMemberResponse()

    async def UnsilenceMember(self, request: rpc.UnsilenceMemberRequest, _context: object) -> rpc.UnsilenceMemberResponse:
        """Let them write again; harmless where they may. Nobody lifts their own, or that of somebody above them."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        async with self._changing(caller, channel) as change:
            _, own = access.may(change.standing, Action.SILENCE)
            user = _known_spelling(request.user)
            if user == caller.user:
                raise NotAllowed
            present = await members.find(change.connection, caller.tenant, channel, [user])
            if user in present:
                access.touch(own, present[user].role)
            if await moderation.unsilence(change.connection, caller.tenant, channel, user):
                await change.record(Deed.MEMBER_UNSILENCED, user)
        return rpc.UnsilenceMemberResponse()


async def _let_in(change: Change, people: list[UserId], role: Role) -> None:
    joined = await change.append(EntryKind.MEMBER_JOINED, *(Details(user=user, role=role) for user in people))
    seats = [(entry.details.user, role, entry.seq) for entry in joined]
    await members.add(change.connection, change.caller.tenant, change.channel, seats)


async def _let_out(change: Change, user: UserId, kind: EntryKind) -> None:
    await change.append(kind, Details(user=user))
    await members.remove(change.connection, change.caller.tenant, change.channel, user)


async def _member(change: Change, user: str, own: Role) -> Member:
    """A member whom one of role `own` may act on; raises `NotFound`, `NotAllowed`."""
    wanted = _known_spelling(user)
    found = await members.find(change.connection, change.caller.tenant, change.channel, [wanted])
    if wanted not in found:
        raise NotFound
    access.touch(own, found[wanted].role)
    return found[wanted]


def _known_spelling(user: str) -> UserId:
    """A user id; one that cannot exist is one that does not."""
    try:
        return validate.user_id(user)
    except InvalidArgument as error:
        raise NotFound from error
