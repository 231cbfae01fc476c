"""RPCs about reports: members report messages to the moderators of the channel, who resolve the reports."""

from __future__ import annotations

from chassis.errors import Conflict, NotAllowed, NotFound
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, validate
from messages.audit import AuditAction
from messages.message import Caller, MembershipView
from messages.policy import Action
from messages.service import access
from messages.service.rpc_base import PAGE_BYTES, RpcBase
from messages.store import audit, channels, reports


class Reports(RpcBase):
    """RPCs about reports."""

    async def ReportMessage(self, request: rpc.ReportMessageRequest, _context: object) -> rpc.ReportMessageResponse:
        """Report a message that the caller may read. A repeated call returns the first report."""
        caller = await self._admitted(request.caller)
        channel, message = validate.channel_id(request.channel), validate.message_id(request.message)
        reason = validate.line(request.reason, "reason", validate.REASON_CHARACTERS)
        async with self._changing(caller, channel, Action.REPORT) as change:
            membership, _ = access.may(change.membership, Action.REPORT)
            if await reports.count_open(change.connection, caller, channel, message) >= self._limits.reports_per_user:
                raise Conflict("Too many of your reports are open")
            made = await reports.report(change.connection, caller, membership, message, reason)
            if made is None:
                raise NotFound
        return rpc.ReportMessageResponse(report=made[0], created=made[1])

    async def ListReports(self, request: rpc.ListReportsRequest, _context: object) -> rpc.ListReportsResponse:
        """Open reports, oldest first, each with the reported message in its current state, and for moderators its neighbours.

        A channel's moderators see no report about a moderator or owner, and an administrator no report about themselves.
        """
        caller = await self._admitted(request.caller)
        membership = await self._handler(caller, request.channel)
        after = cursors.read_uuid(request.page_token)
        limit = validate.page(request.page_size, 20, 50)
        shown, size = list[nouns.Report](), 0
        async with self._database.connection([caller.tenant]) as connection:
            found = await reports.list_open(connection, caller, membership, after, limit + 1)
            for each in found[:limit]:
                if membership:
                    context = await reports.context(connection, caller, each, membership.floor)
                else:
                    context = await reports.context(connection, caller, each, 0, around=0)
                report = convert.report(each, context)
                size += report.ByteSize()
                if shown and size > PAGE_BYTES:
                    break
                shown.append(report)
        more = len(shown) < len(found)
        return rpc.ListReportsResponse(reports=shown, next_page_token=cursors.write(shown[-1].id) if more else "")

    async def ResolveReport(self, request: rpc.ResolveReportRequest, _context: object) -> rpc.ResolveReportResponse:
        """Resolve a report that the caller can list, and erase the text it kept. A later resolution has no effect."""
        caller = await self._admitted(request.caller)
        membership, wanted = await self._handler(caller, request.channel), validate.uuid(request.report)
        resolution = convert.resolution(request.resolution)
        async with self._database.transaction([caller.tenant]) as connection:
            if membership:
                await channels.lock(connection, membership.id)
                membership, _ = access.may(await channels.membership(connection, caller, membership.id), Action.HANDLE_REPORTS)
            closed = await reports.resolve(connection, caller, membership, wanted, resolution)
            if closed:
                channel, message, sender = closed
                done = {"report": wanted, "message": message, "resolution": resolution}
                await audit.append(connection, caller, AuditAction.REPORT_RESOLVED, channel=channel, subject=sender, **done)
            elif not await reports.exists(connection, caller, membership, wanted):
                raise NotFound
        return rpc.ResolveReportResponse()

    async def _handler(self, caller: Caller, channel: str) -> MembershipView | None:
        """The membership of a moderator of the channel, or None for an administrator where no channel is named."""
        if channel:
            return access.may(await self._membership(caller, validate.channel_id(channel)), Action.HANDLE_REPORTS)[0]
        if not caller.admin:
            raise NotAllowed
        return None
