"""RPCs about users, sessions and revocations."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import accumulate

from chassis.errors import InvalidArgument, NotAllowed, NotAuthenticated, NotFound
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, validate
from messages.audit import AuditAction
from messages.message import Caller, TenantId, User, UserId
from messages.service.rpc_base import RpcBase
from messages.store import audit, channels, epoch, erasure, moderation, sessions, users
from messages.store.moderation import Blocks
from messages.store.users import Admission, RevocationState, UserRecord

_SESSIONS = 1_000
_BLOCKED_BY = 1_000
_SESSION_CHANNELS = 10_000
"""Channels of all sessions of an answer, which is at most 16 MiB."""
_HELLO_BYTES = 900 * 1024
"""Bytes of a session's channels in `hello`: a gateway closes sockets with 1 MiB unread."""
_CHANNEL_BYTES = 200
"""Bytes of a channel in `hello`, without its name."""


class Users(RpcBase):
    """RPCs about users."""

    async def AdmitUser(self, request: rpc.AdmitUserRequest, _context: object) -> rpc.AdmitUserResponse:
        """Store a user. Raises `NotAuthenticated` for a blocked user, and for a token or session that is void."""
        admission = _admission(request)
        caller = admission.caller
        async with self._database.connection([caller.tenant]) as connection:
            users_by_id = await users.admit(connection, [admission])
            ends = await sessions.use(connection, [caller])
        user = users_by_id[caller.tenant, caller.user]
        if user.refuses(caller) or caller.session not in ends:
            raise NotAuthenticated
        return rpc.AdmitUserResponse(user=_user(user), session_ends_at=ends[caller.session] if caller.session else 0)

    async def OpenSessions(self, request: rpc.OpenSessionsRequest, _context: object) -> rpc.OpenSessionsResponse:
        """The user and channels of each session, read in a few statements for all of them; only the user with `admission_only`.

        Answers only the first sessions, at least one, when all of them have too many channels for one answer.
        """
        validate.at_most(request.sessions, _SESSIONS, "sessions")
        admissions = [_admission(each) for each in request.sessions]
        if not admissions:
            return rpc.OpenSessionsResponse()
        tenants = sorted({admission.caller.tenant for admission in admissions})
        async with self._database.connection(tenants) as connection:
            current = await epoch.current(connection)  # first: what follows is of this epoch, or of a later one
            counts = await channels.counts(connection, [(each.caller.tenant, each.caller.user) for each in admissions])
            admissions = admissions[: _fitting(counts)]
            users_by_id = await users.admit(connection, admissions)
            ends = await sessions.use(connection, (admission.caller for admission in admissions))
            owners = [] if request.admission_only else list(users_by_id)
            memberships = await channels.of_users(connection, owners)
            blocks = await moderation.of_users(connection, owners)
        opened = []
        for admission in admissions:
            user_id = admission.caller.tenant, admission.caller.user
            if users_by_id[user_id].refuses(admission.caller) or admission.caller.session not in ends:
                opened.append(rpc.Session(reason=NotAuthenticated.reason))
                continue
            own = [convert.channel(each) for each in memberships.get(user_id, [])]
            _shorten_names(own)
            session = rpc.Session(user=_user(users_by_id[user_id]), channels=own)
            if user_id in blocks:
                _add_blocks(session, blocks[user_id])
            opened.append(session)
        return rpc.OpenSessionsResponse(sessions=opened, epoch=current.id, first_epoch=current.first)

    async def ListUsers(self, request: rpc.ListUsersRequest, _context: object) -> rpc.ListUsersResponse:
        """Users of the tenant, by name."""
        caller = await self._admitted(request.caller)
        query = validate.query(request.query, validate.NAME_CHARACTERS)
        limit = validate.page(request.page_size, 50, 200)
        after = cursors.read(request.page_token, tuple[str, str], ("", ""))
        async with self._database.connection([caller.tenant]) as connection:
            found = await users.search(connection, caller.tenant, query, after, limit + 1)
        page, more = found[:limit], found[limit:]
        after_page = cursors.write(page[-1][1]) if more else ""
        return rpc.ListUsersResponse(users=[convert.user(user) for user, _ in page], next_page_token=after_page)

    async def RevokeUser(self, request: rpc.RevokeUserRequest, _context: object) -> rpc.RevokeUserResponse:
        """Revoke a user's tokens and sessions from before now. Returns once every gateway has applied it."""
        caller, user = await self._administrator(request.caller, request.user)
        async with self._database.transaction([caller.tenant]) as connection:
            state = await users.revoke(connection, caller.tenant, user)
            if state:
                await sessions.end_others(connection, Caller(caller.tenant, user))
                await audit.append(connection, caller, AuditAction.USER_REVOKED, subject=user)
        return rpc.RevokeUserResponse(revocation=await self._apply(caller.tenant, user, state))

    async def BlockUser(self, request: rpc.BlockUserRequest, _context: object) -> rpc.BlockUserResponse:
        """Block or unblock a user in the tenant. Returns once every gateway has applied it."""
        caller, user = await self._administrator(request.caller, request.user)
        async with self._database.transaction([caller.tenant]) as connection:
            state = await users.block(connection, caller.tenant, user, blocked=request.blocked)
            if state:
                action = AuditAction.USER_BLOCKED if request.blocked else AuditAction.USER_UNBLOCKED
                await audit.append(connection, caller, action, subject=user)
        return rpc.BlockUserResponse(revocation=await self._apply(caller.tenant, user, state))

    async def EraseUser(self, request: rpc.EraseUserRequest, _context: object) -> rpc.EraseUserResponse:
        """Erase a user. Returns once every gateway has ended their access; `python -m messages erase` does the rest."""
        caller, user = await self._administrator(request.caller, request.user)
        async with self._database.transaction([caller.tenant]) as connection:
            await erasure.request(connection, caller, user)
            state = await users.revoke(connection, caller.tenant, user)
            await sessions.end_others(connection, Caller(caller.tenant, user))
            if state is None:
                raise NotFound
        await self._apply(caller.tenant, user, state)
        return rpc.EraseUserResponse()

    async def _administrator(self, requester: nouns.Caller, user: str) -> tuple[Caller, UserId]:
        caller = await self._admitted(requester)
        if not caller.admin:
            raise NotAllowed
        try:
            return caller, validate.user_id(user)
        except InvalidArgument as error:
            raise NotFound from error

    async def _apply(self, tenant: TenantId, user: UserId, state: RevocationState | None) -> events.Revocation:
        """Apply a stored revocation at every gateway. Raises `NotFound` for None, `Unavailable` as `apply_everywhere`."""
        if state is None:
            raise NotFound
        revocation = convert.revocation(uuid.uuid4().hex, tenant, user, state.revoked_before, blocked=state.blocked)
        await self._revocations.apply_everywhere(revocation)
        return revocation


def _fitting(counts: Sequence[int]) -> int:
    """How many sessions with so many channels fit into one answer, at least one."""
    fitting = sum(total <= _SESSION_CHANNELS for total in accumulate(counts))
    return max(1, fitting)


def _shorten_names(own: Sequence[nouns.Channel]) -> None:
    """Cut the names of a session's channels where they would make its `hello` too large."""
    room = _HELLO_BYTES - _CHANNEL_BYTES * len(own)
    if sum(len(each.name.encode()) for each in own) <= room:
        return
    for each in own:
        each.name = each.name.encode()[: max(0, room // len(own))].decode(errors="ignore")


def _add_blocks(session: rpc.Session, found: Blocks) -> None:
    session.blocks.extend(found.blocks)
    session.blocked_by_many = len(found.blocked_by) > _BLOCKED_BY
    session.blocked_by.extend(found.blocked_by[:_BLOCKED_BY])


def _admission(request: rpc.AdmitUserRequest) -> Admission:
    return Admission(convert.caller(request.caller), validate.display_name(request.name))


def _user(record: UserRecord) -> nouns.User:
    return convert.user(User(record.id, record.name))
