"""RPCs about the sessions of users who sign in with a browser."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from chassis.bots import is_bot
from chassis.errors import NotAuthenticated, NotFound
from hubbub.events.v1.events_pb2 import Revocation
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, validate
from messages.message import Caller
from messages.service.rpc_base import RpcBase
from messages.store import sessions, users
from messages.store.sessions import Lifetime
from messages.store.users import Admission

_USER_AGENT_CHARACTERS = 200


class Sessions(RpcBase):
    """RPCs about browser sessions."""

    async def BeginBrowserSession(
        self, request: rpc.BeginBrowserSessionRequest, _context: object
    ) -> rpc.BeginBrowserSessionResponse:
        """Store a user who has just signed in, and begin a session. Raises `NotAuthenticated` for blocked users and bots."""
        caller = convert.caller(request.caller)
        if is_bot(caller.user):
            raise NotAuthenticated
        admission = Admission(caller, validate.display_name(request.name))
        lifetime = Lifetime(validate.session_seconds(request.idle_seconds), validate.session_seconds(request.longest_seconds))
        async with self._database.transaction([caller.tenant]) as connection:
            users_by_id = await users.admit(connection, [admission])
            if users_by_id[caller.tenant, caller.user].blocked:
                raise NotAuthenticated
            user_agent = validate.display_name(request.user_agent, _USER_AGENT_CHARACTERS)
            begun, issued_at, surplus = await sessions.begin(connection, caller, user_agent, lifetime)
        await self._announce(caller, surplus)
        return rpc.BeginBrowserSessionResponse(session=convert.browser_session(begun), issued_at=issued_at)

    async def ListBrowserSessions(
        self, request: rpc.ListBrowserSessionsRequest, _context: object
    ) -> rpc.ListBrowserSessionsResponse:
        """List the caller's sessions."""
        caller = await self._admitted(request.caller)
        async with self._database.connection([caller.tenant]) as connection:
            listed = await sessions.list_valid(connection, caller)
        return rpc.ListBrowserSessionsResponse(sessions=[convert.browser_session(each) for each in listed])

    async def EndBrowserSessions(
        self, request: rpc.EndBrowserSessionsRequest, _context: object
    ) -> rpc.EndBrowserSessionsResponse:
        """End one session of the caller, or all others. Returns once every gateway has applied it."""
        caller, session = convert.caller(request.caller), request.session and validate.uuid(request.session)
        own = session != "" and session == caller.session
        if not own:  # a blocked user may sign out, too
            await self._admitted(request.caller)
        async with self._database.connection([caller.tenant]) as connection:
            if session:
                ended = await sessions.end(connection, caller, session)
            else:
                ended = await sessions.end_others(connection, caller, caller.session)
        if session and not ended and not own:
            raise NotFound
        await self._announce(caller, ended)
        return rpc.EndBrowserSessionsResponse(sessions=ended)

    async def _announce(self, caller: Caller, ended: Sequence[str]) -> None:
        """Apply the end of sessions at every gateway. Raises `Unavailable` as `apply_everywhere`."""
        if ended:
            revocation = Revocation(id=uuid.uuid4().hex, tenant=caller.tenant, user=caller.user, sessions=ended)
            await self._revocations.apply_everywhere(revocation)
