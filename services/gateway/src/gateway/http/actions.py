"""Buttons and options in the messages of bots. The integrations service judges an action, and asks the bot's endpoint."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis.blocks import Name
from chassis.errors import Conflict, NotAllowed, TooLarge
from chassis.proto_enums import to_word
from gateway.http import shapes
from gateway.http.api import answer, api_of, ask, name_in_path, nothing, page
from gateway.http.channels import UserId
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.outgoing import moment
from gateway.protocol.scopes import Beyond
from hubbub.integrations.v1 import integrations_pb2 as nouns
from hubbub.integrations.v1 import integrations_service_pb2 as rpc


class RunAction(msgspec.Struct, forbid_unknown_fields=True):
    """What a member chose in a message."""

    block: Name
    value: Name
    key: UserId


class NewActionEndpoint(msgspec.Struct, forbid_unknown_fields=True):
    """What an administrator decides about an endpoint of actions."""

    bot: UserId
    url: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"\A[^\x00-\x20\x7f]+\Z")]


@operation({200: shapes.ActionRun, 202: shapes.ActionRun}, NotAllowed, cost=5, allowance="sends", scope=Beyond.PEOPLE)
async def run_action(request: Request, identity: Identity, body: RunAction) -> Response:
    """Choose a button or an option in a message of a bot. 202 without an answer, or if it comes later."""
    asked = rpc.RunActionRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        message=name_in_path(request, "message"),
        block=body.block,
        value=body.value,
        key=body.key,
    )
    found = await ask(api_of(request).clients.integrations.RunAction, asked)
    visibility = to_word(nouns.AnswerVisibility, found.visibility)
    if not visibility:
        return answer(shapes.ActionRun("later"), 202)
    return answer(shapes.ActionRun(visibility, found.text or UNSET, found.message or UNSET))


@operation({201: shapes.ActionEndpointWithSecret}, Conflict, TooLarge, cost=5, scope=Beyond.PEOPLE)
async def create_action_endpoint(request: Request, identity: Identity, body: NewActionEndpoint) -> Response:
    """Create the endpoint for actions in a bot's messages. The secret is never shown again."""
    asked = rpc.CreateActionEndpointRequest(caller=identity.caller, bot=body.bot, url=body.url)
    made = await ask(api_of(request).clients.integrations.CreateActionEndpoint, asked)
    return answer(shapes.ActionEndpointWithSecret(_shown(made.endpoint), made.secret), 201)


@operation({200: shapes.Page[shapes.ActionEndpoint]}, cost=1, scope=Beyond.PEOPLE)
async def list_action_endpoints(request: Request, identity: Identity) -> Response:
    """List the tenant's endpoints of actions by bot."""
    asked = rpc.ListActionEndpointsRequest(caller=identity.caller)
    found = await ask(api_of(request).clients.integrations.ListActionEndpoints, asked)
    return page(list(map(_shown, found.endpoints)))


@operation({204: None}, cost=2, scope=Beyond.PEOPLE)
async def delete_action_endpoint(request: Request, identity: Identity) -> Response:
    """Delete an endpoint of actions."""
    asked = rpc.DeleteActionEndpointRequest(caller=identity.caller, endpoint=name_in_path(request, "endpoint"))
    await ask(api_of(request).clients.integrations.DeleteActionEndpoint, asked)
    return nothing()


def _shown(found: nouns.ActionEndpoint) -> shapes.ActionEndpoint:
    return shapes.ActionEndpoint(found.id, found.bot, found.url, found.created_by, moment(found.created_at))
