"""RPCs about bots and their tokens, for administrators, and the one by which gateways identify them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from chassis import bots as forms
from chassis.errors import Conflict, InvalidArgument, NotAllowed, NotAuthenticated, NotFound
from chassis.proto_enums import from_word
from hubbub.events.v1.events_pb2 import Revocation
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, cursors, validate
from messages.audit import AuditAction
from messages.message import Caller, TenantId, UserId
from messages.service import bot_convert
from messages.service.rpc_base import RpcBase
from messages.store import audit, bots, users
from messages.store.bots import Bot, NewToken

_TOKEN_SECONDS = 366 * 86_400
_DIGEST_BYTES = 32


class BotsBase(RpcBase):
    """What the RPCs about bots and about webhooks share."""

    async def _end_tokens(self, tenant: TenantId, bot: UserId, tokens: Sequence[str]) -> None:
        """Apply the end of tokens at every gateway. Raises `Unavailable` as `apply_everywhere`."""
        await self._revocations.apply_everywhere(Revocation(id=uuid.uuid4().hex, tenant=tenant, user=bot, sessions=tokens))


class Bots(BotsBase):
    """RPCs about bots."""

    async def CreateBot(self, request: rpc.CreateBotRequest, _context: object) -> rpc.CreateBotResponse:
        """Create a bot."""
        caller = await self._bot_administrator(request.caller)
        name = required_name(request.name)
        async with self._database.transaction([caller.tenant]) as connection:
            bot = await bots.create(connection, caller, name)
            if bot is None:
                raise Conflict(f"A tenant has at most {bots.BOTS} bots")
            await audit.append(connection, caller, AuditAction.BOT_CREATED, subject=bot)
        return rpc.CreateBotResponse(bot=bot_convert.bot(await self._bot(caller, bot)))

    async def ListBots(self, request: rpc.ListBotsRequest, _context: object) -> rpc.ListBotsResponse:
        """The tenant's bots."""
        caller = await self._bot_administrator(request.caller)
        limit = validate.page(request.page_size, 50, 200)
        async with self._database.connection([caller.tenant]) as connection:
            found = await bots.page(connection, caller.tenant, cursors.read(request.page_token, str, ""), limit + 1)
        page, more = found[:limit], found[limit:]
        after_page = cursors.write(page[-1].id) if more else ""
        return rpc.ListBotsResponse(bots=map(bot_convert.bot, page), next_page_token=after_page)

    async def UpdateBot(self, request: rpc.UpdateBotRequest, _context: object) -> rpc.UpdateBotResponse:
        """Rename, disable or enable a bot. Returns once every gateway has applied it."""
        caller = await self._bot_administrator(request.caller)
        name = required_name(request.name) if request.HasField("name") else ""
        former = await self._bot(caller, bot_id(request.bot))
        async with self._database.transaction([caller.tenant]) as connection:
            if name and name != former.name:
                await bots.rename(connection, caller.tenant, former.id, name)
                await audit.append(connection, caller, AuditAction.BOT_RENAMED, subject=former.id)
            state = None
            if request.HasField("disabled"):
                state = await users.block(connection, caller.tenant, former.id, blocked=request.disabled)
                if request.disabled != former.disabled:
                    action = AuditAction.BOT_DISABLED if request.disabled else AuditAction.BOT_ENABLED
                    await audit.append(connection, caller, action, subject=former.id)
        if state:
            revocation = convert.revocation(
                uuid.uuid4().hex, caller.tenant, former.id, state.revoked_before, blocked=state.blocked
            )
            await self._revocations.apply_everywhere(revocation)
        return rpc.UpdateBotResponse(bot=bot_convert.bot(await self._bot(caller, former.id)))

    async def CreateBotToken(self, request: rpc.CreateBotTokenRequest, _context: object) -> rpc.CreateBotTokenResponse:
        """Create a token."""
        caller = await self._bot_administrator(request.caller)
        name, scopes = required_name(request.name), bot_convert.bot_scopes(request.scopes)
        if request.seconds > _TOKEN_SECONDS:
            raise InvalidArgument(f"A token ends after at most {_TOKEN_SECONDS} seconds, or never")
        bot = await self._bot(caller, bot_id(request.bot))
        if bot.channel is not None:
            raise Conflict("The bot of an incoming webhook has no tokens")
        secret = forms.new_token(caller.tenant)
        new = NewToken(name, forms.digest_of_token(secret), scopes, request.seconds)
        async with self._database.transaction([caller.tenant]) as connection:
            await bots.lock(connection, caller.tenant)
            if len(await bots.tokens(connection, caller.tenant, bot.id)) >= bots.TOKENS:
                raise Conflict(f"A bot has at most {bots.TOKENS} tokens")
            token = await bots.create_token(connection, caller, bot.id, new)
            await audit.append(connection, caller, AuditAction.BOT_TOKEN_CREATED, subject=bot.id, token=token.id, scopes=scopes)
        return rpc.CreateBotTokenResponse(token=bot_convert.bot_token(token), secret=secret)

    async def ListBotTokens(self, request: rpc.ListBotTokensRequest, _context: object) -> rpc.ListBotTokensResponse:
        """A bot's tokens that have not ended."""
        caller = await self._bot_administrator(request.caller)
        bot = await self._bot(caller, bot_id(request.bot))
        if bot.channel is not None:
            return rpc.ListBotTokensResponse()
        async with self._database.connection([caller.tenant]) as connection:
            found = await bots.tokens(connection, caller.tenant, bot.id)
        return rpc.ListBotTokensResponse(tokens=map(bot_convert.bot_token, found))

    async def RevokeBotToken(self, request: rpc.RevokeBotTokenRequest, _context: object) -> rpc.RevokeBotTokenResponse:
        """End a token and its sockets. Returns once every gateway has applied it."""
        caller = await self._bot_administrator(request.caller)
        token = validate.uuid(request.token)
        bot = await self._bot(caller, bot_id(request.bot))
        if bot.channel is not None:
            raise NotFound
        async with self._database.transaction([caller.tenant]) as connection:
            ended = await bots.revoke_token(connection, caller.tenant, bot.id, token)
            if not ended:
                raise NotFound
            await audit.append(connection, caller, AuditAction.BOT_TOKEN_REVOKED, subject=bot.id, token=token)
        await self._end_tokens(caller.tenant, bot.id, ended)
        return rpc.RevokeBotTokenResponse()

    async def IdentifyBot(self, request: rpc.IdentifyBotRequest, _context: object) -> rpc.IdentifyBotResponse:
        """The bot of a token or address. Raises `NotAuthenticated`, and `NotAllowed` for a webhook that is disabled."""
        tenant = TenantId(validate.tenant(request.tenant))
        if len(request.digest) != _DIGEST_BYTES:
            raise NotAuthenticated
        async with self._database.connection([tenant]) as connection:
            found = await bots.identify(connection, tenant, request.digest)
        if found is None or (found.disabled and found.channel is None):
            raise NotAuthenticated
        if found.disabled:
            raise NotAllowed("The webhook is disabled")
        return rpc.IdentifyBotResponse(
            bot=found.bot,
            token=found.token,
            issued_at=found.issued_at,
            expires_at=found.expires_at,
            scopes=[from_word(nouns.BotScope, each) for each in found.scopes],
            channel=found.channel or "",
        )

    async def _bot_administrator(self, requester: nouns.Caller) -> Caller:
        caller = await self._admitted(requester)
        if not caller.admin:
            raise NotAllowed
        return caller

    async def _bot(self, caller: Caller, bot: UserId) -> Bot:
        """Raises `NotFound`."""
        async with self._database.connection([caller.tenant]) as connection:
            found = await bots.find(connection, caller.tenant, bot)
        if found is None:
            raise NotFound
        return found


def required_name(value: str) -> str:
    """A name that is not empty; raises `InvalidArgument`."""
    name = validate.line(value, "name", validate.NAME_CHARACTERS)
    if not name:
        raise InvalidArgument("A name cannot be empty")
    return name


def bot_id(value: str) -> UserId:
    """Raises `NotFound` for an id that no bot can have."""
    try:
        return validate.user_id(value)
    except InvalidArgument as error:
        raise NotFound from error
