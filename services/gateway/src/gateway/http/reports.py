"""Reports of messages to moderators. The messages service checks permissions."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis.bots import BotScope
from chassis.errors import NotAllowed
from chassis.proto_enums import from_word
from gateway.http import convert, shapes
from gateway.http.api import Limit, Words, answer, api_of, ask, name_in_path, nothing, page
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.scopes import Beyond
from hubbub.messages.v1.messages_pb2 import ReportResolution
from hubbub.messages.v1.messages_service_pb2 import ListReportsRequest, ReportMessageRequest, ResolveReportRequest

_MOST = 50


class ReportsQuery(msgspec.Struct):
    """Which page to list."""

    limit: Limit = 20
    cursor: Words = ""


class NewReport(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a report."""

    reason: Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]


class Resolution(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a resolution."""

    resolution: Literal["dismissed", "acted"]


@operation({200: shapes.CreatedReport, 201: shapes.CreatedReport}, cost=5, scope=BotScope.MODERATE)
async def report(request: Request, identity: Identity, body: NewReport) -> Response:
    """Report a message to the moderators."""
    asked = ReportMessageRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        message=name_in_path(request, "message"),
        reason=body.reason,
    )
    made = await ask(api_of(request).clients.messages.ReportMessage, asked)
    return answer(shapes.CreatedReport(made.report), 201 if made.created else 200)


@operation({200: shapes.Page[shapes.Report]}, cost=1, scope=BotScope.MODERATE)
async def list_reports(request: Request, identity: Identity, query: ReportsQuery) -> Response:
    """List open reports."""
    asked = ListReportsRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        page_size=min(query.limit, _MOST),
        page_token=query.cursor,
    )
    found = await ask(api_of(request).clients.messages.ListReports, asked)
    return page([convert.report(each) for each in found.reports], found.next_page_token)


@operation({200: shapes.Page[shapes.EscalatedReport]}, NotAllowed, cost=1, scope=Beyond.PEOPLE)
async def list_escalated(request: Request, identity: Identity, query: ReportsQuery) -> Response:
    """List the open reports about moderators and owners, for administrators."""
    asked = ListReportsRequest(caller=identity.caller, page_size=min(query.limit, _MOST), page_token=query.cursor)
    found = await ask(api_of(request).clients.messages.ListReports, asked)
    return page([convert.escalated_report(each) for each in found.reports], found.next_page_token)


@operation({204: None}, NotAllowed, cost=2, scope=Beyond.PEOPLE)
async def resolve_escalated(request: Request, identity: Identity, body: Resolution) -> Response:
    """Resolve a report about a moderator or owner."""
    asked = ResolveReportRequest(
        caller=identity.caller,
        report=name_in_path(request, "report"),
        resolution=from_word(ReportResolution, body.resolution),
    )
    await ask(api_of(request).clients.messages.ResolveReport, asked)
    return nothing()


@operation({204: None}, cost=2, scope=BotScope.MODERATE)
async def resolve(request: Request, identity: Identity, body: Resolution) -> Response:
    """Resolve a report."""
    asked = ResolveReportRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        report=name_in_path(request, "report"),
        resolution=from_word(ReportResolution, body.resolution),
    )
    await ask(api_of(request).clients.messages.ResolveReport, asked)
    return nothing()
