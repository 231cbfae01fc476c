"""A state machine: after any order of commands, retries and concurrent workers on two channels, PostgreSQL has the model's log.

The model is a Python list for each channel, with the rules of `protocol.md` written a second time. Batches mix channels and
kinds, several workers handle batches at once, deliveries are repeated, and clients repeat a post under a new command.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.batch import handle
from messages.commands.model import Command, Delete, Edit, Outcome, Post, React
from messages.message import CommandId, MessageId
from services.messages.tests.conftest import Town, opened_town

OWNER, PEOPLE = "ann", ("bob", "cat", "dan")
CHANNELS = 2
MANY = 1_000
people, channels = st.sampled_from((OWNER, *PEOPLE)), st.integers(0, CHANNELS - 1)
some = st.integers(0, 1 << 16)
texts = st.sampled_from(("one", "two", "straße 👍"))


@dataclass
class Said:
    """The expected state of a message."""

    sender: str
    deleted_seq: int = 0
    reactions: dict[tuple[str, str], tuple[bool, int]] = field(default_factory=dict)
    """By user and emoji: whether it is active, and the number of the entry that made it so."""


@dataclass
class Room:
    """The expected log and members of a channel."""

    id: str
    members: set[str]
    log: list[dict[str, Any]] = field(default_factory=list)
    """Expected fields of each entry; the number is the index."""
    said: dict[str, Said] = field(default_factory=dict)
    keys: dict[tuple[str, str], tuple[Command, int]] = field(default_factory=dict)
    """By (actor, key): the command that used it and the entry that it made."""

    def add(self, kind: str, actor: str, **data: Any) -> int:
        """Append an entry; returns its number."""
        self.log.append({"kind": kind, "actor": actor, **data})
        return len(self.log)

    def judge(self, command: Command) -> tuple[str, int]:
        """The verdict of the protocol on a command, with the number of its entry if there is one."""
        known = self.keys.get((command.actor, command.key))
        if known is not None and known[0].id == command.id:
            return "again", known[1]
        if command.actor not in self.members:
            return "NOT_FOUND", 0
        if known is not None:
            return ("duplicate", known[1]) if known[0].body == command.body else ("KEY_REUSED", 0)
        return ("fresh", 0) if isinstance(command.body, Post) else self._judge_change(command)

    def _judge_change(self, command: Command) -> tuple[str, int]:
        body = command.body
        assert isinstance(body, Edit | Delete | React)
        said = self.said.get(body.message)
        if said is None:
            return "NOT_FOUND", 0
        may = {Edit: said.sender == command.actor, Delete: command.actor in (said.sender, OWNER), React: True}
        if not may[type(body)]:
            return "NOT_ALLOWED", 0
        if said.deleted_seq:
            return ("duplicate", said.deleted_seq) if isinstance(body, Delete) else ("CONFLICT", 0)
        return self._judge_reaction(said, command.actor, body) if isinstance(body, React) else ("fresh", 0)

    def _judge_reaction(self, said: Said, actor: str, body: React) -> tuple[str, int]:
        stands, seq = said.reactions.get((actor, body.emoji), (False, 0))
        if seq and stands is not body.remove:
            return "duplicate", seq
        return ("CONFLICT", 0) if body.remove and not seq else ("fresh", 0)

    def apply(self, command: Command, message: str) -> int:
        """Apply a fresh command; returns the number of its entry."""
        actor, body = command.actor, command.body
        match body:
            case Post():
                seq = self.add("message.posted", actor, message=message, key=command.key, text=body.text)
                self.said[message] = Said(actor)
            case Edit():
                seq = self.add("message.edited", actor, message=message, text=body.text)
            case Delete():
                for entry in self.log:
                    if entry.get("message") == message and "text" in entry:
                        entry["text"] = None
                seq = self.said[message].deleted_seq = self.add("message.deleted", actor, message=message)
            case React():
                seq = self.add("reaction.removed" if body.remove else "reaction.added", actor, message=message, emoji=body.emoji)
                self.said[message].reactions[actor, body.emoji] = (not body.remove, seq)
            case _:
                raise AssertionError(body)
        self.keys[actor, command.key] = (command, seq)
        return seq


class Log(RuleBasedStateMachine):
    """Users act, workers race, deliveries repeat."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.opened = opened_town(self.url)
        self.town: Town = self.runner.run(self.opened.__aenter__())
        self.rooms: list[Room] = []
        self.handled: list[Command] = []
        """Every command so far."""

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()

    @initialize()
    def found(self) -> None:
        for _ in range(CHANNELS):
            room = Room(self.runner.run(self.town.channel(OWNER, *PEOPLE)), {OWNER, *PEOPLE})
            room.add("channel.created", OWNER)
            for user in (OWNER, *PEOPLE):
                room.add("member.joined", OWNER, user=user)
            self.rooms.append(room)

    # Commands, handled by one worker or several.

    @rule(posts=st.lists(st.tuples(channels, people, texts), min_size=1, max_size=6))
    def post(self, posts: list[tuple[int, str, str]]) -> None:
        self._carry_out([self.town.command(self.rooms[room].id, user, Post(text)) for room, user, text in posts])

    @precondition(lambda self: any(room.said for room in self.rooms))
    @rule(posts=st.lists(st.tuples(people, some, st.integers(0, 4), texts), min_size=1, max_size=4))
    def change(self, posts: list[tuple[str, int, int, str]]) -> None:
        known = [(room.id, message) for room in self.rooms for message in room.said]
        batch = []
        for user, which, what, text in posts:
            channel, message = known[which % len(known)]
            id_ = MessageId(message)
            body = (Edit(id_, text), Delete(id_), React(id_, "👍"), React(id_, "👍", remove=True), Post(text))[what]
            batch.append(self.town.command(channel, user, body))
        self._carry_out(batch)

    @precondition(lambda self: self.handled)
    @rule(which=some, count=st.integers(1, 4))
    def deliver_again(self, which: int, count: int) -> None:
        start = which % len(self.handled)
        self._carry_out(self.handled[start : start + count])

    @precondition(lambda self: self.handled)
    @rule(which=some, text=st.none() | texts)
    def repeat_a_post(self, which: int, text: str | None) -> None:
        first = self.handled[which % len(self.handled)]
        if not isinstance(first.body, Post):
            return  # a client's key names posts only
        self.town.counter += 1
        body = first.body if text is None else Post(text)
        self._carry_out([replace_command(first, CommandId(f"c.{self.town.counter}"), body)])

    @rule(
        posts=st.lists(st.tuples(channels, people, texts), min_size=2, max_size=8),
        workers=st.integers(2, 3),
        twice=st.booleans(),
    )
    def race(self, posts: list[tuple[int, str, str]], workers: int, twice: bool) -> None:
        """Workers store at once; with `twice` all store the same batch, as when a paused worker wakes beside its successor."""
        batch = [self.town.command(self.rooms[room].id, user, Post(text)) for room, user, text in posts]
        shares = [batch if twice else batch[number::workers] for number in range(workers)]

        async def together() -> list[Outcome]:
            outcomes = await asyncio.gather(*map(self._handle, shares))
            return [outcome for each in outcomes for outcome in each]

        outcomes = self.runner.run(together())
        fresh = [outcome for outcome in outcomes if outcome.verdict == "fresh"]
        commands = {command.id: command for command in batch}
        for outcome in sorted(fresh, key=lambda each: each.seq):
            command = commands[outcome.command]
            assert self._room(command).apply(command, str(outcome.message)) == outcome.seq
        for outcome in outcomes:
            if outcome.verdict != "fresh":
                self._check(outcome, self._room(commands[outcome.command]).judge(commands[outcome.command]))
        self.handled += batch

    # Members.

    @rule(room=channels, user=st.sampled_from(PEOPLE), by_owner=st.booleans())
    def leave(self, room: int, user: str, by_owner: bool) -> None:
        where = self.rooms[room]
        if user in where.members:
            actor = OWNER if by_owner else user
            request = rpc.RemoveMemberRequest(caller=self.town.caller(actor), channel=where.id, user=user)
            self.runner.run(self.town.service.RemoveMember(request, None))
            where.members.discard(user)
            where.add("member.removed" if by_owner else "member.left", actor, user=user)

    @rule(room=channels, user=st.sampled_from(PEOPLE))
    def rejoin(self, room: int, user: str) -> None:
        where = self.rooms[room]
        if user not in where.members:
            request = rpc.AddMembersRequest(caller=self.town.caller(OWNER), channel=where.id, users=[user])
            self.runner.run(self.town.service.AddMembers(request, None))
            where.members.add(user)
            where.add("member.joined", OWNER, user=user)

    # Invariants.

    @rule(user=people, position=some)
    def catch_up(self, user: str, position: int) -> None:
        positions = [position % (len(room.log) + 2) for room in self.rooms]
        request = rpc.CatchUpRequest(
            caller=self.town.caller(user),
            limit=MANY,
            positions=[rpc.Position(channel=room.id, seq=seq) for room, seq in zip(self.rooms, positions, strict=True)],
        )
        answers = self.runner.run(self._all(self.town.service.CatchUp(request, None)))
        events = [event for answer in answers for event in answer.events]
        for room, seq, status in zip(self.rooms, positions, answers[0].statuses, strict=True):
            came = [json.loads(event.payload) for event in events if event.channel == room.id]
            if user not in room.members:
                assert (status.status, came) == (rpc.RESUME_STATUS_GONE, [])
            elif seq > len(room.log):
                assert (status.status, status.seq, came) == (rpc.RESUME_STATUS_RESET, len(room.log), [])
            else:
                assert (status.status, status.seq) == (rpc.RESUME_STATUS_COMPLETE, len(room.log))
                self._same(room, came, seq)

    @invariant()
    def the_log_equals_the_models(self) -> None:
        for room in self.rooms:
            self._same(room, [json.loads(event.payload) for event in self.runner.run(self.town.log(room.id))], 0)

    def _same(self, room: Room, frames: list[Any], after: int) -> None:
        assert [frame["seq"] for frame in frames] == list(range(after + 1, len(room.log) + 1))
        for frame, entry in zip(frames, room.log[after:], strict=True):
            assert {"kind": frame["kind"], "actor": frame["actor"], **frame["data"]} | entry == {
                "kind": frame["kind"],
                "actor": frame["actor"],
                **frame["data"],
            }

    def _carry_out(self, batch: list[Command]) -> None:
        """Handle a batch, and compare each outcome with the model's, in the batch's order within each channel."""
        of_channel = defaultdict[str, deque[Outcome]](deque)
        for outcome in self.runner.run(self._handle(batch)):
            of_channel[outcome.channel].append(outcome)
        for command in batch:
            outcome = of_channel[command.channel].popleft()
            verdict, seq = self._room(command).judge(command)
            if verdict == "fresh":
                seq = self._room(command).apply(command, str(outcome.message))
            assert outcome.command == command.id
            self._check(outcome, (verdict, seq))
        assert not any(of_channel.values())
        self.handled += batch

    async def _handle(self, batch: Sequence[Command]) -> list[Outcome]:
        return (await handle(self.town.database, batch)).outcomes

    def _check(self, outcome: Outcome, expected: tuple[str, int]) -> None:
        said = outcome.verdict if outcome.error is None else outcome.error.reason
        assert (said, outcome.seq) == expected

    def _room(self, command: Command) -> Room:
        return next(room for room in self.rooms if room.id == command.channel)

    async def _all(self, answers: Any) -> list[Any]:
        return [answer async for answer in answers]


def replace_command(command: Command, id_: CommandId, body: Post) -> Command:
    """The same request with another command id."""
    return Command(command.tenant, command.channel, command.actor, command.key, id_, command.gateway, body)


@pytest.mark.soak
def test_the_log_is_always_the_one_of_the_model(shared_url: str) -> None:
    Log.url = shared_url
    run_state_machine_as_test(Log, settings=settings(stateful_step_count=20))
