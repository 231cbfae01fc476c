"""Silences, blocks between people, and the audit log. Who may is judged by the messages service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway import convert
from gateway.connection import Identity
from gateway.http.api import (
    MAX_SEQ,
    api_of,
    ask,
    body_of,
    identity_of,
    limit_of,
    name_in_path,
    nothing,
    number,
    page,
    words,
)
from hubbub.messages.v1.messages_pb2 import AuditRecord
from hubbub.messages.v1.messages_service_pb2 import (
    BlockPeerRequest,
    ListAuditRequest,
    ListBlockedPeersRequest,
    SilenceMemberRequest,
    UnsilenceMemberRequest,
)

_EXPORT_PAGE = 1_000
_encode = msgspec.json.Encoder().encode_lines


class Silence(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a silence."""

    seconds: Annotated[int, Meta(ge=1, le=MAX_SEQ)]
    reason: Annotated[str, Meta(max_length=500, pattern=r"\A[^\x00]*\Z")]


async def silence(request: Request) -> Response:
    """Keep a member from writing for a while."""
    identity = await identity_of(request)
    wanted = await body_of(request, Silence)
    asked = SilenceMemberRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        user=name_in_path(request, "user"),
        seconds=wanted.seconds,
        reason=wanted.reason,
    )
    await ask(api_of(request).clients.messages.SilenceMember, asked)
    return nothing()


async def unsilence(request: Request) -> Response:
    """Let them write again."""
    identity = await identity_of(request)
    asked = UnsilenceMemberRequest(
        caller=identity.caller, channel=name_in_path(request, "channel"), user=name_in_path(request, "user")
    )
    await ask(api_of(request).clients.messages.UnsilenceMember, asked)
    return nothing()


async def block_peer(request: Request) -> Response:
    """Keep somebody's direct messages away."""
    return await _set_blocked(request, blocked=True)


async def unblock_peer(request: Request) -> Response:
    """Let them through again."""
    return await _set_blocked(request, blocked=False)


async def _set_blocked(request: Request, *, blocked: bool) -> Response:
    identity = await identity_of(request)
    asked = BlockPeerRequest(caller=identity.caller, user=name_in_path(request, "user"), blocked=blocked)
    await ask(api_of(request).clients.messages.BlockPeer, asked)
    return nothing()


async def list_blocked_peers(request: Request) -> Response:
    """Whom the caller has blocked."""
    identity = await identity_of(request)
    asked = ListBlockedPeersRequest(caller=identity.caller, limit=limit_of(request, 200, 1_000), cursor=words(request, "cursor"))
    found = await ask(api_of(request).clients.messages.ListBlockedPeers, asked)
    return page([convert.user(each) for each in found.users], found.next)


async def list_audit(request: Request) -> Response:
    """What moderators and administrators did, oldest first."""
    identity = await identity_of(request)
    records = await _records(request, identity, number(request, "after", 0), limit_of(request, 200, 1_000))
    return page([convert.audit_record(each) for each in records])


async def export_audit(request: Request) -> Response:
    """All of it from a number on, a JSON object a line. What breaks off breaks the connection off: it never looks whole."""
    identity = await identity_of(request)
    first = await _records(request, identity, number(request, "after", 0), _EXPORT_PAGE)

    async def lines() -> AsyncIterator[bytes]:
        records = first
        while records:
            yield _encode([convert.audit_record(each) for each in records])
            records = await _records(request, identity, records[-1].number, _EXPORT_PAGE)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def _records(request: Request, identity: Identity, after: int, limit: int) -> Sequence[AuditRecord]:
    asked = ListAuditRequest(caller=identity.caller, after=after, limit=limit)
    records: Sequence[AuditRecord] = (await ask(api_of(request).clients.messages.ListAudit, asked)).records
    return records
