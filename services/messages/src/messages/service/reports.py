"""RPCs about reports: members report messages to the moderators of the channel, who resolve the reports."""

from __future__ import annotations

from chassis.errors import NotFound
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, validate
from messages.audit import AuditAction
from messages.policy import Action
from messages.service import access
from messages.service.rpc_base import RpcBase
from messages.store import reports


class Reports(RpcBase):
    """RPCs about reports."""

    async def ReportMessage(self, request: rpc.ReportMessageRequest, _context: object) -> rpc.ReportMessageResponse:
        """Report a message that the caller may read. A repeated call returns the first report."""
        caller = await self._admitted(request.caller)
        channel, message = validate.channel_id(request.channel), validate.message_id(request.message)
        reason = validate.line(request.reason, "reason", validate.REASON_CHARACTERS)
        async with self._changing(caller, channel) as change:
            membership, _ = access.may(change.membership, Action.REPORT)
            made = await reports.report(change.connection, caller, membership, message, reason)
            if made is None:
                raise NotFound
        return rpc.ReportMessageResponse(report=made[0], created=made[1])

    async def ListReports(self, request: rpc.ListReportsRequest, _context: object) -> rpc.ListReportsResponse:
        """Open reports, oldest first, each with the messages around the reported one in their current state."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        membership, _ = access.may(await self._membership(caller, channel), Action.HANDLE_REPORTS)
        cursor = cursors.read(request.page_token, str, "")
        limit = validate.page(request.page_size, 20, 50)
        async with self._database.connection([caller.tenant]) as connection:
            after = validate.uuid(cursor) if cursor else None
            found = await reports.list_open(connection, caller.tenant, membership, after, limit + 1)
            page, more = found[:limit], found[limit:]
            shown = [
                convert.report(each, await reports.context(connection, caller.tenant, membership, each.seq)) for each in page
            ]
        return rpc.ListReportsResponse(reports=shown, next_page_token=cursors.write(page[-1].id) if more else "")

    async def ResolveReport(self, request: rpc.ResolveReportRequest, _context: object) -> rpc.ResolveReportResponse:
        """Resolve a report and erase the text it kept. A later resolution has no effect."""
        caller = await self._admitted(request.caller)
        channel, wanted = validate.channel_id(request.channel), validate.uuid(request.report)
        resolution = convert.resolution(request.resolution)
        async with self._changing(caller, channel) as change:
            membership, _ = access.may(change.membership, Action.HANDLE_REPORTS)
            closed = await reports.resolve(change.connection, caller.tenant, membership, wanted, resolution)
            if closed:
                message, sender = closed
                done = {"report": wanted, "message": message, "resolution": resolution}
                await change.record(AuditAction.REPORT_RESOLVED, sender, **done)
            elif not await reports.exists(change.connection, caller.tenant, membership, wanted):
                raise NotFound
        return rpc.ResolveReportResponse()
