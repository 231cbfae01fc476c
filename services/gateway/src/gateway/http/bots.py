"""/v1/admin/bots: bots and their tokens. The messages service checks that the caller is an administrator."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from chassis.bots import BotScope
from chassis.errors import Conflict
from chassis.proto_enums import from_word
from gateway.http import bot_shapes, shapes
from gateway.http.api import Limit, Words, answer, api_of, ask, name_in_path, nothing, page
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.scopes import Beyond
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1.messages_service_pb2 import (
    CreateBotRequest,
    CreateBotTokenRequest,
    ListBotsRequest,
    ListBotTokensRequest,
    RevokeBotTokenRequest,
    UpdateBotRequest,
)

GivenName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
_MOST = 200
_TOKEN_SECONDS = 366 * 86_400


class BotsQuery(msgspec.Struct):
    """Which page to list."""

    limit: Limit = 50
    cursor: Words = ""


class NewBot(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a new bot."""

    name: GivenName


class ChangedBot(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a change."""

    name: GivenName | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class NewToken(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a new token. It does not end without `seconds`."""

    name: GivenName
    scopes: Annotated[list[BotScope], Meta(min_length=1, max_length=len(BotScope))]
    seconds: Annotated[int, Meta(ge=1, le=_TOKEN_SECONDS)] | None = None


@operation({200: shapes.Page[bot_shapes.Bot]}, cost=1, scope=Beyond.PEOPLE)
async def list_bots(request: Request, identity: Identity, query: BotsQuery) -> Response:
    """List the tenant's bots, those of incoming webhooks included."""
    asked = ListBotsRequest(caller=identity.caller, page_size=min(query.limit, _MOST), page_token=query.cursor)
    found = await ask(api_of(request).clients.messages.ListBots, asked)
    return page([bot_shapes.bot(each) for each in found.bots], found.next_page_token)


@operation({201: bot_shapes.Bot}, Conflict, cost=5, scope=Beyond.PEOPLE)
async def create_bot(request: Request, identity: Identity, body: NewBot) -> Response:
    """Create a bot. It has no token yet."""
    made = await ask(api_of(request).clients.messages.CreateBot, CreateBotRequest(caller=identity.caller, name=body.name))
    return answer(bot_shapes.bot(made.bot), 201)


@operation({200: bot_shapes.Bot}, cost=5, scope=Beyond.PEOPLE)
async def update_bot(request: Request, identity: Identity, body: ChangedBot) -> Response:
    """Rename, disable or enable a bot, at every gateway."""
    asked = UpdateBotRequest(
        caller=identity.caller,
        bot=name_in_path(request, "bot"),
        name=None if body.name is UNSET else body.name,
        disabled=None if body.disabled is UNSET else body.disabled,
    )
    return answer(bot_shapes.bot((await ask(api_of(request).clients.messages.UpdateBot, asked)).bot))


@operation({200: shapes.Page[bot_shapes.BotToken]}, cost=1, scope=Beyond.PEOPLE)
async def list_tokens(request: Request, identity: Identity) -> Response:
    """List the tokens of a bot that have not ended, oldest first."""
    asked = ListBotTokensRequest(caller=identity.caller, bot=name_in_path(request, "bot"))
    found = await ask(api_of(request).clients.messages.ListBotTokens, asked)
    return page([bot_shapes.bot_token(each) for each in found.tokens])


@operation({201: bot_shapes.CreatedBotToken}, Conflict, cost=5, scope=Beyond.PEOPLE)
async def create_token(request: Request, identity: Identity, body: NewToken) -> Response:
    """Create a token of a bot. The answer is the only place that shows it."""
    asked = CreateBotTokenRequest(
        caller=identity.caller,
        bot=name_in_path(request, "bot"),
        name=body.name,
        scopes=[from_word(nouns.BotScope, each) for each in body.scopes],
        seconds=body.seconds or 0,
    )
    made = await ask(api_of(request).clients.messages.CreateBotToken, asked)
    return answer(bot_shapes.new_bot_token(made.token, made.secret), 201)


@operation({204: None}, cost=5, scope=Beyond.PEOPLE)
async def revoke_token(request: Request, identity: Identity) -> Response:
    """Revoke a token of a bot, at every gateway."""
    asked = RevokeBotTokenRequest(caller=identity.caller, bot=name_in_path(request, "bot"), token=name_in_path(request, "token"))
    await ask(api_of(request).clients.messages.RevokeBotToken, asked)
    return nothing()
