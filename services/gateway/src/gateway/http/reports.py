"""Reports of messages to the moderators. Who may is judged by the messages service."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from gateway import convert
from gateway.http.api import answer, api_of, ask, body_of, identity_of, limit_of, name_in_path, nothing, page, words
from hubbub.messages.v1.messages_service_pb2 import ListReportsRequest, ReportMessageRequest, ResolveReportRequest


class NewReport(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a report."""

    reason: Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]


class Resolution(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a resolution."""

    resolution: Literal["dismissed", "acted"]


async def report(request: Request) -> Response:
    """Show a message to the moderators."""
    identity = await identity_of(request)
    wanted = await body_of(request, NewReport)
    asked = ReportMessageRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        message=name_in_path(request, "message"),
        reason=wanted.reason,
    )
    made = await ask(api_of(request).clients.messages.ReportMessage, asked)
    return answer({"id": made.report}, 201 if made.created else 200)


async def list_reports(request: Request) -> Response:
    """What was reported and not resolved."""
    identity = await identity_of(request)
    asked = ListReportsRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        limit=limit_of(request, 20, 50),
        cursor=words(request, "cursor"),
    )
    found = await ask(api_of(request).clients.messages.ListReports, asked)
    return page([convert.report(each) for each in found.reports], found.next)


async def resolve(request: Request) -> Response:
    """Close a report."""
    identity = await identity_of(request)
    wanted = await body_of(request, Resolution)
    asked = ResolveReportRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        report=name_in_path(request, "report"),
        resolution=wanted.resolution,
    )
    await ask(api_of(request).clients.messages.ResolveReport, asked)
    return nothing()
