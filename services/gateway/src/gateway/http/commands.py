"""Slash commands. The integrations service holds them, asks their endpoints, and decides who may run them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis import blocks
from chassis.blocks import Blocks
from chassis.bots import BotScope
from chassis.errors import Conflict, NotAllowed, TooLarge
from chassis.proto_enums import from_word, to_word
from gateway.http import shapes
from gateway.http.api import answer, api_of, ask, name_in_path, nothing, page
from gateway.http.channels import UserId
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.outgoing import moment
from gateway.protocol.scopes import Beyond
from hubbub.integrations.v1 import integrations_pb2 as nouns
from hubbub.integrations.v1 import integrations_service_pb2 as rpc

_Line = r"\A[^\x00-\x1f\x7f]*\Z"
CommandName = Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9_-]{0,31}\Z")]


class NewCommand(msgspec.Struct, forbid_unknown_fields=True):
    """What an administrator decides about a command."""

    name: CommandName
    url: Annotated[str, Meta(min_length=1, max_length=2_000, pattern=r"\A[^\x00-\x20\x7f]+\Z")]
    bot: UserId
    description: Annotated[str, Meta(max_length=200, pattern=_Line)] = ""
    hint: Annotated[str, Meta(max_length=100, pattern=_Line)] = ""


class RunCommand(msgspec.Struct, forbid_unknown_fields=True):
    """A command as a user runs it."""

    command: CommandName
    key: UserId
    text: Annotated[str, Meta(max_length=4_000, pattern=r"\A[^\x00]*\Z")] = ""


class LaterAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """An answer that comes later: a new message, or the change of the message whose action is answered."""

    text: Annotated[str, Meta(min_length=1, pattern=r"\A[^\x00]+\Z")]
    visibility: Literal["channel", "message"] = "channel"
    blocks: Blocks = []


@operation({200: shapes.Page[shapes.Command]}, cost=1, scope=BotScope.READ)
async def list_commands(request: Request, identity: Identity) -> Response:
    """List the tenant's slash commands by name."""
    found = await ask(api_of(request).clients.integrations.ListCommands, rpc.ListCommandsRequest(caller=identity.caller))
    return page([shapes.Command(each.name, each.description, each.hint, each.bot) for each in found.commands])


@operation({200: shapes.CommandRun, 202: shapes.CommandRun}, NotAllowed, cost=5, allowance="sends", scope=Beyond.PEOPLE)
async def run_command(request: Request, identity: Identity, body: RunCommand) -> Response:
    """Run a slash command. 202 if its answer comes later."""
    asked = rpc.RunCommandRequest(
        caller=identity.caller,
        channel=name_in_path(request, "channel"),
        command=body.command,
        text=body.text,
        key=body.key,
    )
    found = await ask(api_of(request).clients.integrations.RunCommand, asked)
    visibility = to_word(nouns.AnswerVisibility, found.visibility)
    if not visibility:
        return answer(shapes.CommandRun("later"), 202)
    return answer(shapes.CommandRun(visibility, found.text or UNSET, found.message or UNSET))


@operation({201: shapes.CommandAnswer}, cost=1, allowance="unauthenticated")
async def answer_command(request: Request, body: LaterAnswer) -> Response:
    """Answer a slash command or an action later, by the path that its request named."""
    visibility = from_word(nouns.AnswerVisibility, body.visibility)
    asked = rpc.AnswerCommandRequest(token=name_in_path(request, "answer"), text=body.text, visibility=visibility)
    blocks.write(body.blocks, asked.blocks)
    made = await ask(api_of(request).clients.integrations.AnswerCommand, asked)
    return answer(shapes.CommandAnswer(made.message), 201)


@operation({201: shapes.CommandWithSecret}, Conflict, TooLarge, cost=5, scope=Beyond.PEOPLE)
async def create_command(request: Request, identity: Identity, body: NewCommand) -> Response:
    """Create a slash command. The secret is never shown again."""
    asked = rpc.CreateCommandRequest(
        caller=identity.caller, name=body.name, description=body.description, hint=body.hint, url=body.url, bot=body.bot
    )
    made = await ask(api_of(request).clients.integrations.CreateCommand, asked)
    return answer(shapes.CommandWithSecret(_detail(made.command), made.secret), 201)


@operation({200: shapes.Page[shapes.CommandDetail]}, cost=1, scope=Beyond.PEOPLE)
async def list_command_details(request: Request, identity: Identity) -> Response:
    """List the tenant's slash commands with their endpoints, by name."""
    found = await ask(api_of(request).clients.integrations.ListCommands, rpc.ListCommandsRequest(caller=identity.caller))
    return page(list(map(_detail, found.commands)))


@operation({204: None}, cost=2, scope=Beyond.PEOPLE)
async def delete_command(request: Request, identity: Identity) -> Response:
    """Delete a slash command."""
    asked = rpc.DeleteCommandRequest(caller=identity.caller, command=name_in_path(request, "command"))
    await ask(api_of(request).clients.integrations.DeleteCommand, asked)
    return nothing()


def _detail(found: nouns.Command) -> shapes.CommandDetail:
    return shapes.CommandDetail(
        found.name,
        found.description,
        found.hint,
        found.bot,
        found.id,
        found.url,
        found.created_by,
        moment(found.created_at),
    )
