"""The table of the HTTP API: every path and method of docs/protocol.md with its operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from chassis.errors import HubbubError, InvalidArgument, NotFound
from gateway.http import (
    actions,
    admin,
    bots,
    channels,
    commands,
    health,
    hooks,
    members,
    messages,
    moderation,
    problems,
    reports,
    sessions,
    signin,
    tokens,
    uploads,
    users,
    webhooks,
)
from gateway.http.api import Api
from gateway.http.cors import Cors
from gateway.http.edge import Edge
from gateway.http.operation import Operation, operation
from gateway.http.web import WebApp, security_headers
from gateway.identity.identity import Identity
from gateway.protocol.scopes import SOCKET

Handler = Callable[[Request], Awaitable[Response]]

_CHANNEL = "/v1/channels/{channel}"
_UPLOAD = "/v1/uploads/{upload}"
_USER = "/v1/admin/users/{user:path}"
_WEBHOOK = "/v1/admin/webhooks/{webhook}"
_BOT = "/v1/admin/bots/{bot}"
_HOOK = f"{_CHANNEL}/hooks/{{hook}}"


@operation({101: None}, InvalidArgument, cost=1, scope=SOCKET)
async def connect(_request: Request, identity: Identity) -> Response:
    """Open the WebSocket. A request without a handshake gets an error."""
    del identity
    raise InvalidArgument("This is a WebSocket endpoint")


OPERATIONS: tuple[tuple[str, dict[str, Operation]], ...] = (
    ("/readyz", {"GET": health.readyz}),
    ("/metrics", {"GET": health.metrics}),
)
"""For the operator: not on the public port if there is an ops port."""
TABLE: tuple[tuple[str, dict[str, Operation]], ...] = (
    ("/v1/me", {"GET": users.me}),
    ("/v1/me/sessions", {"GET": sessions.list_sessions, "DELETE": sessions.end_other_sessions}),
    ("/v1/me/sessions/{session}", {"DELETE": sessions.end_session}),
    ("/v1/me/blocks", {"GET": moderation.list_blocked_peers}),
    ("/v1/me/blocks/{user:path}", {"PUT": moderation.block_peer, "DELETE": moderation.unblock_peer}),
    ("/v1/me/mentions", {"GET": messages.list_mentions}),
    ("/v1/me/invitations", {"GET": channels.list_invitations}),
    ("/v1/users", {"GET": users.list_users}),
    ("/v1/channels", {"GET": channels.list_channels, "POST": channels.create_channel}),
    (_CHANNEL, {"GET": channels.get_channel, "PATCH": channels.update_channel}),
    (f"{_CHANNEL}/members", {"GET": members.list_members, "POST": members.add_members}),
    (f"{_CHANNEL}/members/{{user:path}}", {"PATCH": members.set_role, "DELETE": members.remove_member}),
    (f"{_CHANNEL}/join", {"POST": channels.join_channel}),
    (f"{_CHANNEL}/accept", {"POST": channels.accept_invitation}),
    (f"{_CHANNEL}/decline", {"POST": channels.decline_invitation}),
    (f"{_CHANNEL}/mute", {"PUT": channels.mute_channel}),
    (f"{_CHANNEL}/bans/{{user:path}}", {"PUT": members.ban, "DELETE": members.unban}),
    (f"{_CHANNEL}/silences/{{user:path}}", {"PUT": moderation.silence, "DELETE": moderation.unsilence}),
    (f"{_CHANNEL}/messages", {"GET": messages.list_messages, "POST": messages.post_message}),
    (f"{_CHANNEL}/messages/{{message}}/reports", {"POST": reports.report}),
    (f"{_CHANNEL}/reports", {"GET": reports.list_reports}),
    (f"{_CHANNEL}/reports/{{report}}/resolve", {"POST": reports.resolve}),
    (f"{_CHANNEL}/events", {"GET": messages.list_events}),
    (f"{_CHANNEL}/hooks", {"GET": hooks.list_hooks, "POST": hooks.create_hook}),
    (_HOOK, {"DELETE": hooks.remove_hook}),
    (f"{_HOOK}/rotate", {"POST": hooks.rotate_hook}),
    ("/v1/hooks/{hook}/{secret}", {"POST": hooks.post_by_hook}),
    ("/v1/search", {"GET": messages.search}),
    ("/v1/tickets", {"POST": tokens.sell_ticket}),
    ("/v1/signin", {"GET": signin.begin}),
    ("/v1/signin/options", {"GET": signin.options}),
    ("/v1/signin/callback", {"GET": signin.callback}),
    ("/v1/signout", {"POST": signin.end}),
    ("/v1/uploads", {"POST": uploads.create_upload}),
    (_UPLOAD, {"GET": uploads.get_upload}),
    (f"{_UPLOAD}/complete", {"POST": uploads.complete_upload}),
    ("/v1/media/{upload}", {"GET": uploads.get_media}),
    ("/v1/admin/bots", {"GET": bots.list_bots, "POST": bots.create_bot}),
    (_BOT, {"PATCH": bots.update_bot}),
    (f"{_BOT}/tokens", {"GET": bots.list_tokens, "POST": bots.create_token}),
    (f"{_BOT}/tokens/{{token}}", {"DELETE": bots.revoke_token}),
    ("/v1/admin/audit", {"GET": moderation.list_audit}),
    ("/v1/admin/audit/export", {"GET": moderation.export_audit}),
    ("/v1/admin/reports", {"GET": reports.list_escalated}),
    ("/v1/admin/reports/{report}/resolve", {"POST": reports.resolve_escalated}),
    ("/v1/commands", {"GET": commands.list_commands}),
    ("/v1/commands/answers/{answer}", {"POST": commands.answer_command}),
    (f"{_CHANNEL}/commands", {"POST": commands.run_command}),
    ("/v1/admin/commands", {"GET": commands.list_command_details, "POST": commands.create_command}),
    ("/v1/admin/commands/{command}", {"DELETE": commands.delete_command}),
    (f"{_CHANNEL}/messages/{{message}}/actions", {"POST": actions.run_action}),
    ("/v1/admin/actions", {"GET": actions.list_action_endpoints, "POST": actions.create_action_endpoint}),
    ("/v1/admin/actions/{endpoint}", {"DELETE": actions.delete_action_endpoint}),
    ("/v1/admin/integrations/audit", {"GET": webhooks.list_audit}),
    ("/v1/admin/webhooks", {"GET": webhooks.list_webhooks, "POST": webhooks.create_webhook}),
    (_WEBHOOK, {"PATCH": webhooks.update_webhook, "DELETE": webhooks.delete_webhook}),
    (f"{_WEBHOOK}/secret", {"POST": webhooks.rotate_secret}),
    (f"{_WEBHOOK}/deliveries", {"GET": webhooks.list_deliveries}),
    (f"{_WEBHOOK}/deliveries/{{delivery}}", {"GET": webhooks.get_delivery}),
    (f"{_WEBHOOK}/resend", {"POST": webhooks.resend}),
    (f"{_USER}/revoke", {"POST": admin.revoke}),
    (f"{_USER}/block", {"PUT": admin.block, "DELETE": admin.unblock}),
    ("/v1/connect", {"GET": connect}),
    ("/healthz", {"GET": health.healthz}),
    *OPERATIONS,
)
DEVELOPMENT: tuple[tuple[str, dict[str, Operation]], ...] = (("/v1/dev/login", {"POST": tokens.dev_login}),)
"""Served if there is a development issuer."""


def make_app(api: Api, mounted: Mapping[str, ASGIApp]) -> Edge:
    """The HTTP application, with the web app if there is one, and other applications at their exact paths."""
    config = api.config
    headers = partial(security_headers, config.storage_endpoint, over_tls=config.over_tls)
    table = TABLE + (DEVELOPMENT if api.dev_issuer else ())
    elsewhere = dict(OPERATIONS) if config.ops_listen is not None else {}
    routes = [_route(path, {} if path in elsewhere else handlers) for path, handlers in table]
    routes.append(_route("/v1/{path:path}", {}))
    if config.web_root is not None and config.web_root.is_dir():
        web = WebApp(config.web_root, headers, dict(config.widget_origins))
        routes.append(_route("/{path:path}", {"GET": web.serve}))
    app = Starlette(routes=routes, exception_handlers={HubbubError: _refused, HTTPException: _unrouted})
    app.router.redirect_slashes = False
    app.state.api = api
    return Edge(_mount(app, mounted), headers(), Cors(config.allowed_origins))


def _mount(app: ASGIApp, mounted: Mapping[str, ASGIApp]) -> ASGIApp:
    routes = {path: Route(path, each) for path, each in mounted.items()}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        route = routes.get(scope["path"])
        if route is None:
            await app(scope, receive, send)
        else:
            scope["route"] = route  # `http.edge` logs its path
            await mounted[route.path](scope, receive, send)

    return serve


def _route(path: str, handlers: Mapping[str, Handler]) -> Route:
    """A path that answers every method: HEAD as GET, an unknown method with 405; without handlers, every method with 404."""
    allowed = sorted({*handlers, *(("HEAD",) if "GET" in handlers else ())})

    async def handle(request: Request) -> Response:
        handler = handlers.get("GET" if request.method == "HEAD" else request.method)
        if not handlers:
            raise NotFound
        if handler is None:
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        return await handler(request)

    route = Route(path, handle)
    route.methods = None
    return route


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HubbubError):
        raise error
    return problems.response(error)


async def _unrouted(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:  # noqa: PLR2004
        headers = dict(error.headers or {})
        return problems.response(InvalidArgument("The path does not support this method"), 405, headers)
    return problems.response(NotFound())
