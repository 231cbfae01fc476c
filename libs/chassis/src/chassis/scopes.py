"""The scope that a calling service needs for each RPC. `callers` knows which service has which scopes.

docs/grpc.md repeats the table and explains the scopes. Tests compare the two and check that no RPC is missing. A call to an RPC
that is missing from the table is always refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Scope(StrEnum):
    """A permission of a calling service."""

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
    """For Hubbub's gateways only: RPCs without a user, across all tenants."""


_MESSAGES = "hubbub.messages.v1.MessagesService"
_PRESENCE = "hubbub.presence.v1.PresenceService"
_MEDIA = "hubbub.media.v1.MediaService"

TABLE: tuple[tuple[Scope, str, str], ...] = (
    (Scope.USERS_READ, _MESSAGES, "ListUsers ListBlockedPeers"),
    (Scope.USERS_WRITE, _MESSAGES, "AdmitUser BlockPeer"),
    (Scope.CHANNELS_READ, _MESSAGES, "GetChannel ListChannels ListMembers ListInvitations"),
    (
        Scope.CHANNELS_WRITE,
        _MESSAGES,
        "CreateChannel UpdateChannel JoinChannel MuteChannel AddMembers SetMemberRole RemoveMember",
    ),
    (Scope.CHANNELS_WRITE, _MESSAGES, "AcceptInvitation DeclineInvitation"),
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


class Requirement(NamedTuple):
    """What a token must grant for an RPC."""

    scope: Scope
    audience: str


def audience_of(method: str) -> str:
    """Return the audience of an RPC: `hubbub.messages` for `/hubbub.messages.v1.MessagesService/PostMessage`."""
    return ".".join(method.lstrip("/").split(".")[:2])


NEEDED: Mapping[str, Requirement] = {
    (path := f"/{service}/{rpc}"): Requirement(scope, audience_of(path)) for scope, service, rpcs in TABLE for rpc in rpcs.split()
}
"""By the RPC's path."""
PRODUCT_SCOPES = frozenset(Scope) - {Scope.GATEWAY}
