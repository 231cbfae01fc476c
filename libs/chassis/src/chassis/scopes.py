"""Which scope a calling service needs for which RPC: the one table, read by every service. Who has which is `callers`'.

docs/grpc.md shows it, and says what each scope lets one do; a test compares the two, and another that no RPC is left out. An
RPC that stands in no row is refused to everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Scope(StrEnum):
    """What a calling service may be let do."""

    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    CHANNELS_READ = "channels:read"
    CHANNELS_WRITE = "channels:write"
    MESSAGES_READ = "messages:read"
    MESSAGES_WRITE = "messages:write"
    MODERATION = "moderation"
    ADMIN = "admin"
    MEDIA_READ = "media:read"
    MEDIA_WRITE = "media:write"
    PRESENCE_READ = "presence:read"
    GATEWAY = "gateway"
    """Of Hubbub's own gateways alone: what is judged by no user, and sees every tenant."""


_MESSAGES = "hubbub.messages.v1.MessagesService"
_PRESENCE = "hubbub.presence.v1.PresenceService"
_MEDIA = "hubbub.media.v1.MediaService"

TABLE: tuple[tuple[Scope, str, str], ...] = (
    (Scope.USERS_READ, _MESSAGES, "ListUsers ListBlockedPeers"),
    (Scope.USERS_WRITE, _MESSAGES, "AdmitUser BlockPeer"),
    (Scope.CHANNELS_READ, _MESSAGES, "GetChannel ListChannels ListMembers"),
    (
        Scope.CHANNELS_WRITE,
        _MESSAGES,
        "CreateChannel UpdateChannel JoinChannel MuteChannel AddMembers SetMemberRole RemoveMember",
    ),
    (Scope.MESSAGES_READ, _MESSAGES, "ListMessages ListEvents SearchMessages CatchUp"),
    (Scope.MESSAGES_WRITE, _MESSAGES, "PostMessage EditMessage DeleteMessage ReportMessage"),
    (Scope.MODERATION, _MESSAGES, "BanUser UnbanUser SilenceMember UnsilenceMember ListReports ResolveReport"),
    (Scope.ADMIN, _MESSAGES, "RevokeUser BlockUser ListAudit"),
    (Scope.MEDIA_READ, _MEDIA, "GetUpload GetLink ResolveUploads"),
    (Scope.MEDIA_WRITE, _MEDIA, "CreateUpload CompleteUpload"),
    (Scope.PRESENCE_READ, _PRESENCE, "GetPresence"),
    (Scope.GATEWAY, _MESSAGES, "OpenSessions FetchEvents GetHeads"),
    (Scope.GATEWAY, _PRESENCE, "Attach"),
)
"""Scope, service, RPCs."""


class Needed(NamedTuple):
    """What a token has to say for an RPC."""

    scope: Scope
    audience: str


def audience_of(method: str) -> str:
    """Whom a token for a call must name: `hubbub.messages` for `/hubbub.messages.v1.MessagesService/PostMessage`."""
    return ".".join(method.lstrip("/").split(".")[:2])


NEEDED: Mapping[str, Needed] = {
    (path := f"/{service}/{rpc}"): Needed(scope, audience_of(path)) for scope, service, rpcs in TABLE for rpc in rpcs.split()
}
"""By the RPC's path."""
EVERY_SCOPE_OF_PRODUCTS = frozenset(Scope) - {Scope.GATEWAY}
