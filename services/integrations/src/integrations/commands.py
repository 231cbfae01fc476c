"""Runs slash commands."""

from __future__ import annotations

import msgspec

from chassis.postgres import Database
from chassis.under_way import UnderWay
from hubbub.messages.v1.messages_pb2 import Caller
from integrations import command_store
from integrations.answers import Answer, Answers, Asked
from integrations.command_store import Place
from integrations.metrics import COMMANDS


class Invocation(msgspec.Struct, frozen=True):
    """A command as a user ran it."""

    channel: str
    command: str
    text: str
    key: str


class _Run(Asked):
    command: str
    text: str


class Commands:
    """Runs commands of all tenants."""

    def __init__(self, database: Database, answers: Answers) -> None:
        self._database = database
        self._answers = answers
        self._under_way = UnderWay(10, "Too many commands of this tenant are under way")

    async def run(self, caller: Caller, run: Invocation) -> Answer | None:
        """Ask the endpoint; None if it answers later.

        The caller must be a member of the channel, and no reader. Raises `Unavailable` without an answer, and what refuses the
        caller or the bot.
        """
        async with self._under_way.turn(caller.tenant):
            async with self._database.connection([caller.tenant]) as connection:
                command, secret = await command_store.get(connection, caller.tenant, run.command)
            await self._answers.require_member(caller, run.channel)
            place = Place(run.channel, command.bot)
            data = _Run(
                tenant=caller.tenant,
                channel=run.channel,
                user=caller.user,
                command=run.command,
                text=run.text,
                answer_path=await self._answers.path(caller.tenant, place),
            )
            answer = await self._answers.ask("command.run", data, run.key, command.url, secret, outcomes=COMMANDS)
            return await self._answers.carry_out(caller.tenant, place, answer, f"{caller.user} {run.key}")
