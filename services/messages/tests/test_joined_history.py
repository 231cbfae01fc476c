"""Channels with history `joined`: later entries about earlier messages show newcomers nothing of those messages."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from chassis.errors import NotFound
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Body, Delete, Edit, Pin, Post, React
from messages.message import MessageId
from services.messages.tests.conftest import Listener, Town, opened_town, refused


async def room(town: Town) -> tuple[str, MessageId]:
    """A channel with a message that bob, who was added afterwards, may not read."""
    channel = await town.channel("ann", history="joined")
    message = (await town.post(channel, "ann", "SECRET")).message
    await add(town, channel, "bob")
    return channel, MessageId(message)


async def add(town: Town, channel: str, user: str) -> None:
    await town.people(user)
    await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=[user]), None)


async def events(town: Town, channel: str, user: str) -> list[Any]:
    """The log as `user` reads it over HTTP."""
    found = await town.service.ListEvents(rpc.ListEventsRequest(caller=town.caller(user), channel=channel), None)
    return [json.loads(event.payload) for event in found.events]


async def caught_up(town: Town, channel: str, user: str) -> list[Any]:
    """The log as a socket of `user` catches up with it."""
    request = rpc.CatchUpRequest(caller=town.caller(user), limit=1_000, positions=[rpc.Position(channel=channel)])
    return [json.loads(event.payload) async for answer in town.service.CatchUp(request, None) for event in answer.events]


async def test_an_edit_of_an_earlier_message_shows_newcomers_no_text(town: Town) -> None:
    channel, message = await room(town)
    await town.do(town.command(channel, "ann", Edit(message, "SECRET (typo fixed)")))
    for seen in (await events(town, channel, "bob"), await caught_up(town, channel, "bob")):
        assert "SECRET" not in json.dumps(seen)
        assert [entry["kind"] for entry in seen] == ["member.joined", "message.edited"]
        assert seen[-1]["data"] == {"message": message, "text": None}
    assert (await events(town, channel, "ann"))[-1]["data"]["text"] == "SECRET (typo fixed)"


async def test_an_earlier_message_cannot_be_read_by_newcomers(town: Town) -> None:
    channel, message = await room(town)
    asked = rpc.GetMessageRequest(caller=town.caller("ann"), channel=channel, message=message)
    assert (await town.service.GetMessage(asked, None)).message.id == message
    asked.caller.CopyFrom(town.caller("bob"))
    await refused(town.service.GetMessage(asked, None), NotFound)


async def test_reactions_to_an_earlier_message_show_newcomers_no_emoji(town: Town) -> None:
    channel, message = await room(town)
    await town.do(town.command(channel, "ann", React(message, "🎂")))
    await town.do(town.command(channel, "ann", React(message, "🎂", remove=True)))
    for seen in (await events(town, channel, "bob"), await caught_up(town, channel, "bob")):
        assert [entry["data"] for entry in seen[1:]] == [{"message": message, "emoji": ""}] * 2


async def test_a_reply_to_an_earlier_message_is_no_reply_for_newcomers(town: Town) -> None:
    channel, message = await room(town)
    await town.do(town.command(channel, "ann", Post("an answer", thread=message)))
    for seen in (await events(town, channel, "bob"), await caught_up(town, channel, "bob")):
        assert (seen[-1]["data"]["text"], seen[-1]["data"]["thread"]) == ("an answer", None)
    listed = await town.service.ListMessages(rpc.ListMessagesRequest(caller=town.caller("bob"), channel=channel), None)
    assert [(each.text, each.thread) for each in listed.messages] == [("an answer", "")]
    async with town.indexing():
        found = await town.service.SearchMessages(rpc.SearchMessagesRequest(caller=town.caller("bob"), query="answer"), None)
        assert [each.thread for each in found.messages] == [""]
    mine = await town.service.ListChannels(rpc.ListChannelsRequest(caller=town.caller("bob")), None)
    assert mine.channels[0].last_message.thread == ""
    (whole, *_) = (
        await town.service.ListMessages(rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel), None)
    ).messages
    assert whole.thread == message


@pytest.mark.parametrize("pinned", [False, True])
async def test_the_thread_of_an_earlier_message_is_as_empty_for_newcomers_as_an_unknown_one(town: Town, pinned: bool) -> None:
    channel, hidden = await room(town)
    (shown,) = await town.do(town.command(channel, "ann", Post("a later root")))
    assert shown.message is not None
    for root in (hidden, shown.message):
        (reply,) = await town.do(town.command(channel, "ann", Post("an answer", thread=root)))
        assert reply.message is not None
        await town.do(town.command(channel, "ann", Pin(reply.message)))

    async def thread(user: str, root: str) -> int:
        request = rpc.ListMessagesRequest(caller=town.caller(user), channel=channel, thread=root, pinned=pinned)
        return len((await town.service.ListMessages(request, None)).messages)

    assert await thread("bob", hidden) == await thread("bob", str(uuid.uuid4())) == 0
    assert await thread("bob", shown.message) == await thread("ann", hidden) == (1 if pinned else 2)


async def test_gateways_learn_what_an_entry_is_about(town: Town, listener: Listener) -> None:
    channel, message = await room(town)
    posted = next(event.seq for event in await town.log(channel) if event.message == message)
    async with town.working():
        await town.send(town.bus_command(channel, "ann", edit={"message": message, "text": "SECRET 2"}))
        await listener.until(lambda heard: any(event.about for event in heard.events))
    live = next(event for event in listener.events if event.about)
    fetched = (await town.log(channel))[-1]
    for event in (live, fetched):
        assert event.about == posted
        assert json.loads(event.hidden_payload)["data"] == {"message": message, "text": None}
    open_channel = await town.channel("ann")
    first = MessageId((await town.post(open_channel, "ann")).message)
    await town.do(town.command(open_channel, "ann", Edit(first, "x")))
    assert not any(event.about or event.hidden_payload for event in await town.log(open_channel))


class Newcomer(RuleBasedStateMachine):
    """Ann writes about any of her messages; bob comes and goes. What bob's socket says, `…/messages` has said to him too."""

    url: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.opened = opened_town(self.url)
        self.town: Town = self.runner.run(self.opened.__aenter__())
        self.messages: list[MessageId] = []
        self.present = False
        self.readable: set[Any] = set()
        """Every text, reaction and thread that bob could read in `…/messages`, ever."""

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()

    @initialize()
    def found(self) -> None:
        self.channel = self.runner.run(self.town.channel("ann", history="joined"))
        self.runner.run(self.town.people("bob"))

    def do(self, body: Body) -> None:
        self.runner.run(self.town.do(self.town.command(self.channel, "ann", body)))
        self.look()

    @rule(which=st.none() | st.integers(0, 99))
    def post(self, which: int | None) -> None:
        thread = None if which is None or not self.messages else self.messages[which % len(self.messages)]
        self.do(Post(f"text {len(self.messages)}", thread=thread))
        self.messages.append(MessageId(str(self.town.stored[-1].outcomes[0].message)))

    @precondition(lambda self: self.messages)
    @rule(which=st.integers(0, 99), what=st.integers(0, 5), version=st.integers(0, 99))
    def change(self, which: int, what: int, version: int) -> None:
        message = self.messages[which % len(self.messages)]
        emoji = "👍🎂❤️"[version % 2]
        bodies = (Edit(message, f"edit {version}"), Edit(message, f"edit {version}"), Delete(message), Pin(message),
                  React(message, emoji), React(message, emoji, remove=True))  # fmt: skip
        self.do(bodies[what])

    @rule()
    def come_or_go(self) -> None:
        if self.present:
            request = rpc.RemoveMemberRequest(caller=self.town.caller("ann"), channel=self.channel, user="bob")
            self.runner.run(self.town.service.RemoveMember(request, None))
        else:
            self.runner.run(add(self.town, self.channel, "bob"))
        self.present = not self.present

    def look(self) -> None:
        if not self.present:
            return
        request = rpc.ListMessagesRequest(caller=self.town.caller("bob"), channel=self.channel, page_size=200)
        for message in self.runner.run(self.town.service.ListMessages(request, None)).messages:
            self.readable |= {message.text, message.thread or None, *(each.emoji for each in message.reactions)}

    @invariant()
    def the_socket_says_no_more_than_the_messages(self) -> None:
        if not self.present:
            return
        for seen in (
            self.runner.run(events(self.town, self.channel, "bob")),
            self.runner.run(caught_up(self.town, self.channel, "bob")),
        ):
            for entry in seen:
                said = {entry["data"].get(name) for name in ("text", "emoji", "thread")}
                assert said <= self.readable | {None, ""}, entry


@pytest.mark.soak
def test_a_socket_says_no_more_than_the_messages(shared_url: str) -> None:
    Newcomer.url = shared_url
    run_state_machine_as_test(Newcomer, settings=settings(stateful_step_count=20))
