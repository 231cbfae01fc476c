"""Silences, blocks between users, and the audit log. The messages service checks permissions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from chassis.bots import BotScope
from chassis.errors import NotAllowed
from gateway.http import convert, shapes
from gateway.http.api import MAX_SEQ, Limit, Position, Words, api_of, ask, name_in_path, nothing, page
from gateway.http.operation import charged, operation
from gateway.identity.identity import Identity
from gateway.protocol.scopes import Beyond
from hubbub.messages.v1.messages_pb2 import AuditRecord
from hubbub.messages.v1.messages_service_pb2 import (
    BlockPeerRequest,
    ListAuditRequest,
    ListBlockedPeersRequest,
    SilenceMemberRequest,
    UnsilenceMemberRequest,
)

_MOST = 1_000
"""Records or users in one page."""
EXPORT_COST = 5
"""Of each page of an export."""
LINES = "application/x-ndjson"
_encode = msgspec.json.Encoder().encode_lines


class BlockedQuery(msgspec.Struct):
    """Which page of blocked users."""

    limit: Limit = 200
    cursor: Words = ""


class AuditQuery(msgspec.Struct):
    """Which page of the audit log."""

    after: Position = 0
    limit: Limit = 200


class ExportQuery(msgspec.Struct):
    """Where the export starts."""

    after: Position = 0


class Silence(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a silence."""

    seconds: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    reason: Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]


@operation({204: None}, cost=2, scope=BotScope.MODERATE)
async def silence(request: Request, identity: Identity, body: Silence) -> Response:
    """Silence a member for a while."""
    asked = SilenceMemberRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        user=name_in_path(request, "user"),
        seconds=body.seconds,
        reason=body.reason,
    )
    await ask(api_of(request).clients.messages.SilenceMember, asked)
    return nothing()


@operation({204: None}, cost=2, scope=BotScope.MODERATE)
async def unsilence(request: Request, identity: Identity) -> Response:
    """End a silence."""
    asked = UnsilenceMemberRequest(
        caller=identity.caller, channel=name_in_path(request, "channel"), user=name_in_path(request, "user")
    )
    await ask(api_of(request).clients.messages.UnsilenceMember, asked)
    return nothing()


@operation({204: None}, cost=2, scope=Beyond.PEOPLE)
async def block_peer(request: Request, identity: Identity) -> Response:
    """Block direct messages of a user to the caller."""
    return await _set_blocked(request, identity, blocked=True)


@operation({204: None}, cost=2, scope=Beyond.PEOPLE)
async def unblock_peer(request: Request, identity: Identity) -> Response:
    """Unblock a user."""
    return await _set_blocked(request, identity, blocked=False)


async def _set_blocked(request: Request, identity: Identity, *, blocked: bool) -> Response:
    asked = BlockPeerRequest(caller=identity.caller, user=name_in_path(request, "user"), blocked=blocked)
    await ask(api_of(request).clients.messages.BlockPeer, asked)
    return nothing()


@operation({200: shapes.Page[shapes.User]}, cost=1, scope=Beyond.PEOPLE)
async def list_blocked_peers(request: Request, identity: Identity, query: BlockedQuery) -> Response:
    """List the users whom the caller has blocked."""
    asked = ListBlockedPeersRequest(caller=identity.caller, page_size=min(query.limit, _MOST), page_token=query.cursor)
    found = await ask(api_of(request).clients.messages.ListBlockedPeers, asked)
    return page([convert.user(each) for each in found.users], found.next_page_token)


@operation({200: shapes.Page[shapes.AuditRecord]}, NotAllowed, cost=2, scope=Beyond.PEOPLE)
async def list_audit(request: Request, identity: Identity, query: AuditQuery) -> Response:
    """List the actions of moderators and administrators, oldest first."""
    records = await _records(request, identity, query.after, min(query.limit, _MOST))
    return page([convert.audit_record(each) for each in records])


@operation({200: LINES}, NotAllowed, cost=EXPORT_COST, scope=Beyond.PEOPLE, walks=True)
async def export_audit(request: Request, identity: Identity, query: ExportQuery) -> Response:
    """Export the audit log, one JSON object per line. An export that fails breaks the connection, so it never looks complete."""
    first = await _records(request, identity, query.after, _MOST)

    async def lines() -> AsyncIterator[bytes]:
        records = first
        while records:
            yield _encode([convert.audit_record(each) for each in records])
            await charged(request, identity, EXPORT_COST)
            records = await _records(request, identity, records[-1].number, _MOST)

    return StreamingResponse(lines(), media_type=LINES)


async def _records(request: Request, identity: Identity, after: int, limit: int) -> Sequence[AuditRecord]:
    asked = ListAuditRequest(caller=identity.caller, after=after, page_size=limit)
    records: Sequence[AuditRecord] = (await ask(api_of(request).clients.messages.ListAudit, asked)).records
    return records
