"""Nothing that one user is allowed to do turns another user's read into an error, or into an answer above the bound."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from chassis.errors import HubbubError, Internal, Unavailable
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.batch import handle
from messages.commands.model import Body, Edit, Pin, Post, React
from messages.limits import Limits
from messages.message import MessageId, UserId
from messages.revocations import Revocations
from messages.service import MessagesService
from services.messages.tests.conftest import Town, memberships, opened_town

BOUND = 1024 * 1024
LIMITS = Limits(channels_per_user=12, unasked_channels_per_user=6, invitations_per_user=3, reactions_per_message=5)
LONG = ("😀" * 128, '"' * 128, "\\" * 128, "x")
TEXTS = ("\x01" * 16_000, "😀" * 4_000, '"' * 16_000, "x")
LONG_ID = "😀" * 127
some = st.integers(0, 1 << 16)


class Bomber(RuleBasedStateMachine):
    """Eve does what she may, with the largest values that are allowed; the victim reads."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.opened = opened_town(self.url)
        self.town: Town = self.runner.run(self.opened.__aenter__())
        revocations = Revocations(self.town.publisher, self.town.gateways)
        self.town.service = MessagesService(self.town.database, self.town.publisher, revocations, LIMITS)
        self.eve = self.town.caller(LONG_ID)
        self.rooms: list[str] = []
        self.messages: list[tuple[str, MessageId]] = []

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()

    @initialize()
    def found(self) -> None:
        self.runner.run(self.town.people(LONG_ID, "victim", "bob"))

    def attempt(self, call: Any) -> Any:
        """A call by eve; a refusal is fine, a failure is not."""
        try:
            return self.runner.run(call)
        except (Internal, Unavailable):
            raise
        except HubbubError:
            return None

    @rule(name=st.sampled_from(LONG), kind=st.integers(1, 5), history=st.integers(1, 2))
    def put_the_victim_into_a_channel(self, name: str, kind: int, history: int) -> None:
        given: Any = {"kind": kind, "history": history, "name": "" if kind == 1 else name}
        request = rpc.CreateChannelRequest(caller=self.eve, members=["victim"], **given)
        made = self.attempt(self.town.service.CreateChannel(request, None))
        if made is not None:
            self.rooms.append(made.channel.id)

    @precondition(lambda self: self.rooms)
    @rule(which=some, topic=st.sampled_from(LONG))
    def change_the_topic(self, which: int, topic: str) -> None:
        request = rpc.UpdateChannelRequest(caller=self.eve, channel=self.rooms[which % len(self.rooms)], topic=topic * 8)
        self.attempt(self.town.service.UpdateChannel(request, None))

    @precondition(lambda self: self.rooms)
    @rule(which=some, text=st.sampled_from(TEXTS), count=st.integers(1, 40))
    def post(self, which: int, text: str, count: int) -> None:
        room = self.rooms[which % len(self.rooms)]
        mentions = [UserId(f"{number:03}{LONG_ID[:124]}") for number in range(100)]
        commands = [self.town.command(room, LONG_ID, Post(text, mentions=mentions)) for _ in range(count)]
        stored = self.runner.run(handle(self.town.database, commands, LIMITS))
        self.messages += [(room, each.message) for each in stored.outcomes if each.message]

    @precondition(lambda self: self.messages)
    @rule(which=some, what=st.integers(0, 4), text=st.sampled_from(TEXTS))
    def change(self, which: int, what: int, text: str) -> None:
        room, message = self.messages[which % len(self.messages)]
        bodies: list[Body] = [Edit(message, text), Pin(message), *(React(message, f":{each * 32}:") for each in "abc")]
        self.runner.run(handle(self.town.database, [self.town.command(room, LONG_ID, bodies[what])], LIMITS))

    @precondition(lambda self: self.rooms)
    @rule(which=some)
    def leave_and_be_added_again(self, which: int) -> None:
        room = self.rooms[which % len(self.rooms)]
        left = rpc.RemoveMemberRequest(caller=self.town.caller("victim"), channel=room, user="victim")
        self.attempt(self.town.service.RemoveMember(left, None))
        self.attempt(self.town.service.AddMembers(rpc.AddMembersRequest(caller=self.eve, channel=room, users=["victim"]), None))

    @invariant()
    def the_victim_reads(self) -> None:
        if not self.rooms:
            return
        victim, service = self.town.caller("victim"), self.town.service
        listed = self.read(service.ListChannels(rpc.ListChannelsRequest(caller=victim), None))
        self.read(service.ListInvitations(rpc.ListInvitationsRequest(caller=victim), None))
        opening = rpc.OpenSessionsRequest(
            sessions=[rpc.AdmitUserRequest(caller=self.town.caller(each)) for each in ("victim", "bob")]
        )
        sessions = self.read(service.OpenSessions(opening, None)).sessions
        assert [each.reason for each in sessions] == ["", ""]
        assert len(memberships(sessions[0])) == len(listed.channels) <= LIMITS.channels_per_user
        for channel in listed.channels:
            self.read(service.ListMessages(rpc.ListMessagesRequest(caller=victim, channel=channel.id, page_size=200), None))
            self.read(service.ListEvents(rpc.ListEventsRequest(caller=victim, channel=channel.id, page_size=1_000), None))

    def read(self, call: Any) -> Any:
        answer: Message = self.runner.run(call)
        assert len(MessageToJson(answer, indent=None, ensure_ascii=False).encode()) < (
            2 * BOUND if isinstance(answer, rpc.ListEventsResponse) else BOUND
        )  # entries are in base64 here
        return answer


@pytest.mark.soak
def test_no_user_makes_another_users_reads_fail(shared_url: str) -> None:
    Bomber.url = shared_url
    run_state_machine_as_test(
        Bomber, settings=settings(stateful_step_count=12, max_examples=max(10, settings().max_examples // 5))
    )
