"""The scope that a calling service needs for each RPC, and what a call costs. `callers` knows the services and their quotas.

docs/grpc.md repeats the table and explains the scopes. Tests compare the two and check that no RPC is missing. A call to an RPC
that is missing from the table is always refused, and a server of such an RPC does not start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    FEED = "feed"
    """Every event of the caller's tenants, of private channels too."""
    MEDIA_READ = "media:read"
    MEDIA_WRITE = "media:write"
    PRESENCE_READ = "presence:read"
    INTEGRATIONS_READ = "integrations:read"
    INTEGRATIONS_WRITE = "integrations:write"
    GATEWAY = "gateway"
    """For Hubbub's gateways only: RPCs without a user, across all tenants."""


_MESSAGES = "hubbub.messages.v1.MessagesService"
_FEED = "hubbub.messages.v1.FeedService"
_PRESENCE = "hubbub.presence.v1.PresenceService"
_MEDIA = "hubbub.media.v1.MediaService"
_INTEGRATIONS = "hubbub.integrations.v1.IntegrationsService"
_GATEWAY = "hubbub.gateway.v1.GatewayService"

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
    (Scope.CHANNELS_WRITE, _MESSAGES, "CreateHook ListHooks RotateHook RemoveHook"),
    (Scope.MESSAGES_READ, _MESSAGES, "GetMessage ListMessages ListMentions ListEvents SearchMessages CatchUp"),
    (Scope.MESSAGES_WRITE, _MESSAGES, "PostMessage EditMessage DeleteMessage ReportMessage"),
    (Scope.MODERATION, _MESSAGES, "BanUser UnbanUser SilenceMember UnsilenceMember ListReports ResolveReport"),
    (Scope.ADMIN, _MESSAGES, "RevokeUser BlockUser EraseUser ListAudit"),
    (Scope.ADMIN, _MESSAGES, "CreateBot ListBots UpdateBot CreateBotToken ListBotTokens RevokeBotToken"),
    (Scope.FEED, _FEED, "StreamEvents AcknowledgeEvents ListReaders DeleteReader"),
    (Scope.MEDIA_READ, _MEDIA, "GetUpload GetLink ResolveUploads"),
    (Scope.MEDIA_WRITE, _MEDIA, "CreateUpload CompleteUpload"),
    (Scope.PRESENCE_READ, _PRESENCE, "GetPresence"),
    (
        Scope.INTEGRATIONS_READ,
        _INTEGRATIONS,
        "ListWebhooks ListDeliveries GetDelivery ListCommands ListActionEndpoints ListIntegrationAudit",
    ),
    (
        Scope.INTEGRATIONS_WRITE,
        _INTEGRATIONS,
        "CreateWebhook UpdateWebhook DeleteWebhook RotateWebhookSecret ResendDeliveries CreateCommand DeleteCommand",
    ),
    (Scope.INTEGRATIONS_WRITE, _INTEGRATIONS, "CreateActionEndpoint DeleteActionEndpoint"),
    (Scope.MESSAGES_WRITE, _INTEGRATIONS, "RunCommand RunAction"),
    (Scope.GATEWAY, _INTEGRATIONS, "AnswerCommand"),
    (Scope.GATEWAY, _MESSAGES, "OpenSessions FetchEvents FetchRanges GetHeads"),
    (Scope.GATEWAY, _MESSAGES, "BeginBrowserSession ListBrowserSessions EndBrowserSessions IdentifyBot"),
    (Scope.GATEWAY, _PRESENCE, "Attach"),
    (Scope.GATEWAY, _GATEWAY, "HandOver Relay TakeSession"),
)
"""Scope, service, RPCs."""

COSTS: Mapping[float, str] = {
    1.0: """
        ListUsers ListBlockedPeers AdmitUser BlockPeer GetChannel ListChannels ListMembers UpdateChannel JoinChannel MuteChannel
        ListInvitations AcceptInvitation DeclineInvitation ListMentions GetMessage
        SetMemberRole RemoveMember ListMessages ListEvents PostMessage EditMessage DeleteMessage ReportMessage BanUser UnbanUser
        SilenceMember UnsilenceMember ListReports ResolveReport ListAudit GetUpload GetLink ResolveUploads CompleteUpload
        GetPresence OpenSessions FetchEvents FetchRanges GetHeads Attach HandOver Relay TakeSession ListBrowserSessions
        AcknowledgeEvents ListReaders ListWebhooks GetDelivery ListBots ListBotTokens ListHooks IdentifyBot
        ListCommands ListActionEndpoints ListIntegrationAudit""",
    2.0: """
        CreateChannel AddMembers CreateUpload DeleteReader ListDeliveries UpdateWebhook DeleteWebhook RotateWebhookSecret
        CreateBot CreateBotToken CreateHook DeleteCommand
        DeleteActionEndpoint""",
    5.0: """
        StreamEvents SearchMessages CatchUp RevokeUser BlockUser EraseUser BeginBrowserSession EndBrowserSessions CreateWebhook
        ResendDeliveries UpdateBot RevokeBotToken RotateHook RemoveHook CreateCommand RunCommand AnswerCommand
        CreateActionEndpoint RunAction""",
}
"""What a call of each RPC costs, in calls of a quota, besides its bytes (`callers.COST_BYTES`)."""


OF_THE_CALLER = frozenset({Scope.FEED})
"""The RPCs of these scopes are about the caller: a request names no tenant, and `context.serving` says which ones are meant."""


class Requirement(NamedTuple):
    """What a token must grant for an RPC, and what a call costs its caller."""

    scope: Scope
    audience: str
    cost: float

    @property
    def names_tenants(self) -> bool:
        """Whether a request must name the tenants that it is about."""
        return self.scope not in OF_THE_CALLER


def audience_of(method: str) -> str:
    """Return the audience of an RPC: `hubbub.messages` for `/hubbub.messages.v1.MessagesService/PostMessage`."""
    return ".".join(method.lstrip("/").split(".")[:2])


def require_costs(table: Iterable[tuple[Scope, str, str]], costs: Mapping[float, str]) -> dict[str, Requirement]:
    """The requirements by the RPC's path. Raises `TypeError` for an RPC without a cost."""
    of = {rpc: cost for cost, rpcs in costs.items() for rpc in rpcs.split()}
    rows = [(scope, f"/{service}/{rpc}", rpc) for scope, service, rpcs in table for rpc in rpcs.split()]
    if free := [path for _, path, rpc in rows if rpc not in of]:
        raise TypeError(f"RPCs without a declared cost: {free}")
    return {path: Requirement(scope, audience_of(path), of[rpc]) for scope, path, rpc in rows}


NEEDED: Mapping[str, Requirement] = require_costs(TABLE, COSTS)
"""By the RPC's path."""
PRODUCT_SCOPES = frozenset(Scope) - {Scope.GATEWAY}
GATEWAY_SCOPES = frozenset(Scope) - {Scope.FEED}
