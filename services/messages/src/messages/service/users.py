"""RPCs about users, sessions and revocations."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from itertools import accumulate, repeat

from chassis.errors import InvalidArgument, NotAllowed, NotAuthenticated, NotFound
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, validate
from messages.audit import AuditAction
from messages.message import Caller, TenantId, User, UserId
from messages.service.rpc_base import RpcBase
from messages.store import admission, audit, bots, channels, epoch, erasure, sessions, users
from messages.store.channels import Opened
from messages.store.epoch import StoreEpoch
from messages.store.users import Admission, RevocationState, UserRecord

_SESSIONS = 1_000
_BLOCKED_BY = 1_000
_SESSION_CHANNELS = 40_000
"""Channels of all sessions of an answer, which is at most 16 MiB: about 50 bytes each, and some hundred more in `hello`."""
_ADMISSION_ONLY = Opened("", "", more=False, blocks=[], blocked_by=[])


class Users(RpcBase):
    """RPCs about users."""

    async def AdmitUser(self, request: rpc.AdmitUserRequest, _context: object) -> rpc.AdmitUserResponse:
        """Store a user. Raises `NotAuthenticated` for a blocked user, and for a token or session that is void."""
        wanted = _admission(request)
        caller = wanted.caller
        admitted, _ = await admission.admit(self._database, [wanted], [])
        if not admitted.admits(caller):
            raise NotAuthenticated
        user = admitted.users[caller.tenant, caller.user]
        return rpc.AdmitUserResponse(user=_user(user), session_ends_at=admitted.ends[caller.session] if caller.session else 0)

    async def OpenSessions(self, request: rpc.OpenSessionsRequest, _context: object) -> rpc.OpenSessionsResponse:
        """The user and channels of each session, read in one round trip for all of them; only the user with `admission_only`.

        Answers only the first sessions, at least one, when all of them have too many channels for one answer.
        """
        validate.at_most(request.sessions, _SESSIONS, "sessions")
        admissions = [_admission(each) for each in request.sessions]
        if not admissions:
            return rpc.OpenSessionsResponse()
        if not request.admission_only and len(admissions) * self._limits.channels_per_user > _SESSION_CHANNELS:
            async with self._database.connection(sorted({each.caller.tenant for each in admissions})) as connection:
                counts = await channels.counts(connection, list(map(_owner, admissions)))
            admissions = admissions[: _fitting(counts)]
        owners = list(dict.fromkeys(map(_owner, admissions)))
        read = epoch.QUERY if request.admission_only else channels.of_users_query(owners)
        admitted, (rows,) = await admission.admit(self._database, admissions, [read])
        current = StoreEpoch(*rows[0][:2])
        in_order = repeat(_ADMISSION_ONLY) if request.admission_only else channels.opened(rows)
        found = dict(zip(owners, in_order, strict=False))
        opened = [
            _session(admitted.users[_owner(each)], found[_owner(each)])
            if admitted.admits(each.caller)
            else rpc.Session(reason=NotAuthenticated.reason)
            for each in admissions
        ]
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
                await bots.revoke_tokens(connection, caller.tenant, user)
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
            await bots.remove(connection, caller.tenant, user)
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


def _session(user: UserRecord, found: Opened) -> rpc.Session:
    return rpc.Session(
        user=_user(user),
        memberships=found.memberships.encode(),
        hello_channels=found.listed.encode(),
        more=found.more,
        blocks=found.blocks,
        blocked_by=found.blocked_by[:_BLOCKED_BY],
        blocked_by_many=len(found.blocked_by) > _BLOCKED_BY,
    )


def _owner(admission: Admission) -> tuple[str, str]:
    return admission.caller.tenant, admission.caller.user


def _admission(request: rpc.AdmitUserRequest) -> Admission:
    return Admission(convert.caller(request.caller), validate.display_name(request.name))


def _user(record: UserRecord) -> nouns.User:
    return convert.user(User(record.id, record.name))
