"""RPCs about blocks between users, and about the audit log."""

from __future__ import annotations

from bus.bus import BusError
from chassis.errors import Conflict, InvalidArgument, NotAllowed, NotFound
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, validate
from messages.service.rpc_base import RpcBase, fit_to_answer, logger
from messages.store import audit, moderation, users


class Moderation(RpcBase):
    """RPCs about blocks and the audit log."""

    async def BlockPeer(self, request: rpc.BlockPeerRequest, _context: object) -> rpc.BlockPeerResponse:
        """Block or unblock a user's direct messages to the caller. No effect when already so."""
        caller = await self._admitted(request.caller)
        try:
            user = validate.user_id(request.user)
        except InvalidArgument as error:
            raise NotFound from error
        if user == caller.user:
            raise NotAllowed
        async with self._database.transaction([caller.tenant]) as connection:
            if not await users.names(connection, caller.tenant, [user]):
                raise NotFound
            await moderation.block(connection, caller, user, blocked=request.blocked)
            if request.blocked and await moderation.count_blocked(connection, caller) > self._limits.blocks_per_user:
                raise Conflict("You have blocked too many users")
        block = events.PeerBlock(tenant=caller.tenant, user=caller.user, blocked_user=user, blocked=request.blocked)
        try:
            await self._publisher.publish_block(block)
        except BusError:  # gateways read the blocks with the next session
            logger.warning("block_not_published")
        return rpc.BlockPeerResponse()

    async def ListBlockedPeers(self, request: rpc.ListBlockedPeersRequest, _context: object) -> rpc.ListBlockedPeersResponse:
        """The users whom the caller has blocked, by user id."""
        caller = await self._admitted(request.caller)
        limit = validate.page(request.page_size, 200, 1_000)
        async with self._database.connection([caller.tenant]) as connection:
            found = await moderation.blocked_by(connection, caller, cursors.read(request.page_token, str, ""), limit + 1)
        page = fit_to_answer(map(convert.user, found[:limit]))
        after_page = cursors.write(page[-1].id) if len(page) < len(found) else ""
        return rpc.ListBlockedPeersResponse(users=page, next_page_token=after_page)

    async def ListAudit(self, request: rpc.ListAuditRequest, _context: object) -> rpc.ListAuditResponse:
        """The audit log of the tenant, oldest first, for administrators."""
        caller = await self._admitted(request.caller)
        if not caller.admin:
            raise NotAllowed
        limit = validate.page(request.page_size, 200, 1_000)
        async with self._database.connection([caller.tenant]) as connection:
            records = await audit.page(connection, caller.tenant, validate.seq(request.after), limit)
        return rpc.ListAuditResponse(records=fit_to_answer(convert.audit_record(each) for each in records))
