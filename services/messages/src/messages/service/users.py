"""The RPCs about users and sessions."""

from __future__ import annotations

import uuid

from chassis.errors import InvalidArgument, NotAllowed, NotAuthenticated, NotFound
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, validate
from messages.audit import Deed
from messages.message import Caller, TenantId, User, UserId
from messages.service.desk import Desk
from messages.store import audit, channels, users
from messages.store.users import Arrival, Decision, Known

_SESSIONS = 1_000


class Users(Desk):
    """Who may come in, and who is there."""

    async def AdmitUser(self, request: rpc.AdmitUserRequest, _context: object) -> rpc.AdmitUserResponse:
        """Make a user known; raises `NotAuthenticated` for a blocked user or void token."""
        arrival = _arrival(request)
        async with self._database.connection([arrival.caller.tenant]) as connection:
            known = await users.admit(connection, [arrival])
        user = known[arrival.caller.tenant, arrival.caller.user]
        if user.refuses(arrival.caller):
            raise NotAuthenticated
        return rpc.AdmitUserResponse(user=_user(user))

    async def OpenSessions(self, request: rpc.OpenSessionsRequest, _context: object) -> rpc.OpenSessionsResponse:
        """What sockets need to start: two statements, however many they are."""
        validate.at_most(request.sessions, _SESSIONS, "sessions")
        arrivals = [_arrival(each) for each in request.sessions]
        if not arrivals:
            return rpc.OpenSessionsResponse()
        tenants = sorted({arrival.caller.tenant for arrival in arrivals})
        async with self._database.connection(tenants) as connection:
            known = await users.admit(connection, arrivals)
            standings = await channels.of_users(connection, list(known))
        sessions = []
        for arrival in arrivals:
            place = arrival.caller.tenant, arrival.caller.user
            if known[place].refuses(arrival.caller):
                sessions.append(rpc.Session(reason=NotAuthenticated.reason))
                continue
            own = [convert.channel(standing) for standing in standings.get(place, [])]
            sessions.append(rpc.Session(user=_user(known[place]), channels=own))
        return rpc.OpenSessionsResponse(sessions=sessions)

    async def ListUsers(self, request: rpc.ListUsersRequest, _context: object) -> rpc.ListUsersResponse:
        """People of the tenant, by name."""
        caller = await self._admitted(request.caller)
        validate.line(request.query, "query", validate.NAME_CHARACTERS)
        limit = validate.page(request.page_size, 50, 200)
        after = cursors.read(request.page_token, tuple[str, str], ("", ""))
        async with self._database.connection([caller.tenant]) as connection:
            people = await users.find_people(connection, caller.tenant, request.query, after, limit + 1)
        page, more = people[:limit], people[limit:]
        after_page = cursors.write(page[-1][1]) if more else ""
        return rpc.ListUsersResponse(users=[convert.user(person) for person, _ in page], next_page_token=after_page)

    async def RevokeUser(self, request: rpc.RevokeUserRequest, _context: object) -> rpc.RevokeUserResponse:
        """Void a user's tokens issued before now; answers when that holds at every gateway."""
        caller, user = await self._administrator(request.caller, request.user)
        async with self._database.transaction([caller.tenant]) as connection:
            decision = await users.revoke(connection, caller.tenant, user)
            if decision:
                await audit.append(connection, caller, Deed.USER_REVOKED, subject=user)
        return rpc.RevokeUserResponse(revocation=await self._carried_out(caller.tenant, user, decision))

    async def BlockUser(self, request: rpc.BlockUserRequest, _context: object) -> rpc.BlockUserResponse:
        """Keep a user out of the tenant, or lift it; answers when that holds at every gateway."""
        caller, user = await self._administrator(request.caller, request.user)
        async with self._database.transaction([caller.tenant]) as connection:
            decision = await users.block(connection, caller.tenant, user, blocked=request.blocked)
            if decision:
                deed = Deed.USER_BLOCKED if request.blocked else Deed.USER_UNBLOCKED
                await audit.append(connection, caller, deed, subject=user)
        return rpc.BlockUserResponse(revocation=await self._carried_out(caller.tenant, user, decision))

    async def _administrator(self, given: nouns.Caller, user: str) -> tuple[Caller, UserId]:
        caller = await self._admitted(given)
        if not caller.admin:
            raise NotAllowed
        try:
            return caller, validate.user_id(user)
        except InvalidArgument as error:
            raise NotFound from error

    async def _carried_out(self, tenant: TenantId, user: UserId, decision: Decision | None) -> events.Revocation:
        """What every gateway was told and has done; raises `NotFound` without a decision, `Unavailable` as `hold_everywhere`."""
        if decision is None:
            raise NotFound
        control = convert.revocation(uuid.uuid4().hex, tenant, user, decision.revoked_before, blocked=decision.blocked)
        await self._revocations.hold_everywhere(control)
        return control


def _arrival(request: rpc.AdmitUserRequest) -> Arrival:
    return Arrival(convert.caller(request.caller), validate.display_name(request.name))


def _user(known: Known) -> nouns.User:
    return convert.user(User(known.id, known.name))
