"""Runs actions: a member chose a button or an option in a message of a bot."""

from __future__ import annotations

import msgspec

from chassis import blocks
from chassis.blocks import ButtonsBlock, SelectBlock
from chassis.bots import is_bot
from chassis.errors import NotAllowed, NotFound
from chassis.postgres import Database
from chassis.under_way import UnderWay
from hubbub.messages.v1.messages_pb2 import Caller, Message
from integrations import action_store
from integrations.answers import Answer, Answers, Asked
from integrations.command_store import Place
from integrations.metrics import ACTIONS


class Choice(msgspec.Struct, frozen=True):
    """What a member chose."""

    channel: str
    message: str
    block: str
    value: str
    key: str


class _Run(Asked):
    message: str
    block: str
    value: str


class Actions:
    """Runs actions of all tenants."""

    def __init__(self, database: Database, answers: Answers) -> None:
        self._database = database
        self._answers = answers
        self._under_way = UnderWay(10, "Too many actions of this tenant are under way")

    async def run(self, caller: Caller, choice: Choice) -> Answer | None:
        """Ask the endpoint of the message's bot; None without an answer, or if it comes later.

        The caller must be a member of the channel, no reader and no bot. Raises `NotFound` if the message, the block or the
        choice is not there now, or if the bot has no endpoint; `Unavailable` without an answer; and what refuses the caller or
        the bot.
        """
        if is_bot(caller.user):
            raise NotAllowed
        async with self._under_way.turn(caller.tenant):
            await self._answers.require_member(caller, choice.channel)
            message = await self._answers.message(caller, choice.channel, choice.message)
            _require_offered(message, choice)
            async with self._database.connection([caller.tenant]) as connection:
                url, secret = await action_store.get(connection, caller.tenant, message.sender)
            place = Place(choice.channel, message.sender, choice.message)
            data = _Run(
                tenant=caller.tenant,
                channel=choice.channel,
                user=caller.user,
                message=choice.message,
                block=choice.block,
                value=choice.value,
                answer_path=await self._answers.path(caller.tenant, place),
            )
            name = f"{choice.message} {choice.block} {choice.value} {choice.key}"
            answer = await self._answers.ask("action.run", data, name, url, secret, outcomes=ACTIONS)
            return await self._answers.carry_out(caller.tenant, place, answer, f"{caller.user} {name}")


def _require_offered(message: Message, choice: Choice) -> None:
    """Raise `NotFound` unless the message has the block, and the block the value. A deleted message has none."""
    for block in blocks.read(message.blocks):
        match block:
            case ButtonsBlock(id=choice.block, buttons=offered) | SelectBlock(id=choice.block, options=offered):
                if any(each.value == choice.value for each in offered):
                    return
            case _:
                pass
    raise NotFound
