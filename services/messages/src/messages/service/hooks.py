"""RPCs about incoming webhooks, for the owners of a channel. Each has a bot of its own, which is a member of the channel.

So a post of a webhook is judged like any other member's.
"""

from __future__ import annotations

import uuid

from chassis import bots as forms
from chassis.errors import Conflict, NotFound
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert, policy, validate
from messages.audit import AuditAction
from messages.message import Caller, ChannelId, UserId
from messages.policy import Action
from messages.service import access, bot_convert, roster
from messages.service.bots import BotsBase, bot_id, required_name
from messages.service.rpc_base import Change
from messages.store import bots, members, users
from messages.store.bots import Hook, NewToken

_NAME = "address"


class Hooks(BotsBase):
    """RPCs about incoming webhooks."""

    async def CreateHook(self, request: rpc.CreateHookRequest, _context: object) -> rpc.CreateHookResponse:
        """Create a webhook, whose bot joins with the lowest role that may post."""
        caller = await self._admitted(request.caller)
        channel, name = validate.channel_id(request.channel), required_name(request.name)
        async with self._changing(caller, channel, Action.MANAGE_HOOKS) as change:
            seen, _ = access.may(change.membership, Action.MANAGE_HOOKS)
            bot = await bots.create(change.connection, caller, name, channel)
            if bot is None:
                raise Conflict(f"A channel has at most {bots.HOOKS} incoming webhooks, and a tenant at most {bots.BOTS} bots")
            role = policy.lowest(Action.POST, seen.kind)
            assert role is not None  # noqa: S101 - some role may post in every channel
            await roster.join(change, {bot: role})
            path = await _new_address(change, bot)
            await change.record(AuditAction.HOOK_CREATED, bot)
        return rpc.CreateHookResponse(hook=bot_convert.hook(await self._hook(caller, channel, bot)), path=path)

    async def ListHooks(self, request: rpc.ListHooksRequest, _context: object) -> rpc.ListHooksResponse:
        """The channel's webhooks."""
        caller = await self._admitted(request.caller)
        channel = validate.channel_id(request.channel)
        access.may(await self._membership(caller, channel), Action.MANAGE_HOOKS)
        async with self._database.connection([caller.tenant]) as connection:
            found = await bots.hooks(connection, caller.tenant, channel)
        return rpc.ListHooksResponse(hooks=map(bot_convert.hook, found))

    async def RotateHook(self, request: rpc.RotateHookRequest, _context: object) -> rpc.RotateHookResponse:
        """Give a webhook a new address. Returns once every gateway refuses the old one."""
        caller = await self._admitted(request.caller)
        channel, bot = validate.channel_id(request.channel), bot_id(request.hook)
        async with self._changing(caller, channel, Action.MANAGE_HOOKS) as change:
            access.may(change.membership, Action.MANAGE_HOOKS)
            hook = await bots.hook(change.connection, caller.tenant, channel, bot)
            if hook is None or hook.removed:
                raise NotFound
            ended = await bots.revoke_tokens(change.connection, caller.tenant, bot)
            path = await _new_address(change, bot)
            await change.record(AuditAction.HOOK_ROTATED, bot)
        await self._end_tokens(caller.tenant, bot, ended)
        return rpc.RotateHookResponse(hook=bot_convert.hook(await self._hook(caller, channel, bot)), path=path)

    async def RemoveHook(self, request: rpc.RemoveHookRequest, _context: object) -> rpc.RemoveHookResponse:
        """Remove a webhook. Its bot leaves the channel and is blocked. Returns once every gateway has applied it."""
        caller = await self._admitted(request.caller)
        channel, bot = validate.channel_id(request.channel), bot_id(request.hook)
        async with self._changing(caller, channel, Action.MANAGE_HOOKS) as change:
            access.may(change.membership, Action.MANAGE_HOOKS)
            hook = await bots.hook(change.connection, caller.tenant, channel, bot)
            if hook is None:
                raise NotFound
            await bots.remove(change.connection, caller.tenant, bot)
            state = await users.block(change.connection, caller.tenant, bot, blocked=True)
            if await members.find(change.connection, caller.tenant, channel, [bot]):
                await roster.remove(change, bot)
            if not hook.removed:
                await change.record(AuditAction.HOOK_REMOVED, bot)
        revoked_before = state.revoked_before if state else 0.0
        revocation = convert.revocation(uuid.uuid4().hex, caller.tenant, bot, revoked_before, blocked=True)
        await self._revocations.apply_everywhere(revocation)
        return rpc.RemoveHookResponse()

    async def _hook(self, caller: Caller, channel: ChannelId, bot: UserId) -> Hook:
        """Raises `NotFound`: it may have been removed meanwhile."""
        async with self._database.connection([caller.tenant]) as connection:
            found = await bots.hook(connection, caller.tenant, channel, bot)
        if found is None:
            raise NotFound
        return found


async def _new_address(change: Change, bot: UserId) -> str:
    """Give the webhook of a bot a new secret; returns the path of its address."""
    hook, secret = forms.hook_of(change.caller.tenant, bot), forms.new_hook_secret()
    await bots.create_token(change.connection, change.caller, bot, NewToken(_NAME, forms.digest_of_hook(hook, secret)))
    return forms.hook_path(hook, secret)
