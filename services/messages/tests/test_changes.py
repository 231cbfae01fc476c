"""Editing, deleting, reacting, pinning."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from chassis.errors import Conflict, KeyReused, NotAllowed, NotFound
from chassis.postgres import EVERY_TENANT
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Body, Delete, Edit, Pin, Post, React, Verdict
from messages.message import Attachment, MessageId, UserId
from services.messages.tests.conftest import Town, refused


@pytest.fixture
async def channel(town: Town) -> str:
    return await town.channel("ann", "bob", "cat")


@pytest.fixture
async def message(town: Town, channel: str) -> MessageId:
    return MessageId((await town.post(channel, "bob", "first words")).message)


async def _shown(town: Town, channel: str, user: str = "ann") -> nouns.Message:
    request = rpc.ListMessagesRequest(caller=town.caller(user), channel=channel)
    return (await town.service.ListMessages(request, None)).messages[0]


def _data(frame: bytes) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(frame)["data"]
    return data


async def test_an_edit_shows_in_the_message_and_as_an_entry(town: Town, channel: str, message: MessageId) -> None:
    (outcome,) = await town.do(town.command(channel, "bob", Edit(message, "second words")))
    shown = await _shown(town, channel)
    assert shown.text == "second words"
    assert shown.HasField("edited_at")
    posted, edited = (await town.log(channel))[-2:]
    assert edited.seq == outcome.seq == posted.seq + 1
    assert _data(posted.payload)["text"] == "first words"
    assert _data(edited.payload) == {"message": message, "text": "second words"}


async def test_a_deleted_message_keeps_neither_reactions_nor_its_pin(town: Town, channel: str, message: MessageId) -> None:
    await town.do(town.command(channel, "ann", React(message, "x")), town.command(channel, "ann", Pin(message)))
    shown = await _shown(town, channel)
    assert (len(shown.reactions), shown.pinned) == (1, True)
    await town.do(town.command(channel, "bob", Delete(message)))
    shown = await _shown(town, channel)
    assert (len(shown.reactions), shown.pinned) == (0, False)


async def test_an_upload_is_hidden_with_its_last_message_and_visible_again_with_another(town: Town, channel: str) -> None:
    upload = str(uuid.uuid4())
    carrying = Post("look", attachments=[Attachment(upload, "a.png", 1, "image/png")])
    asked = rpc.GetChannelRequest(caller=town.caller("ann"), channel=channel, upload=upload)
    await town.service.GetChannel(asked, None)  # visible to its members until a message carries it
    one, two = await town.do(town.command(channel, "bob", carrying), town.command(channel, "bob", carrying))
    assert one.message
    assert two.message
    await town.do(town.command(channel, "bob", Delete(one.message)))
    await town.service.GetChannel(asked, None)
    await town.do(town.command(channel, "bob", Delete(two.message)))
    await refused(town.service.GetChannel(asked, None), NotFound)
    await town.do(town.command(channel, "bob", carrying))
    await town.service.GetChannel(asked, None)


async def test_an_upload_from_before_joining_is_hidden_like_its_message(town: Town) -> None:
    channel = await town.channel("ann", "bob", history="joined")
    upload = str(uuid.uuid4())
    carrying = Post("look", attachments=[Attachment(upload, "a.png", 1, "image/png")])
    await town.do(town.command(channel, "bob", carrying))
    await town.people("dan")
    await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["dan"]), None)

    async def look(user: str) -> None:
        await town.service.GetChannel(rpc.GetChannelRequest(caller=town.caller(user), channel=channel, upload=upload), None)

    await look("ann")
    await refused(look("dan"), NotFound)
    await town.do(town.command(channel, "bob", carrying))
    await look("dan")


async def test_deleting_erases_the_text_everywhere(town: Town, channel: str) -> None:
    secret = Post("a secret", attachments=[Attachment("u", "secret.png", 1, "image/png")], mentions=[UserId("cat")])
    (posted,) = await town.do(town.command(channel, "bob", secret))
    assert posted.message
    await town.do(town.command(channel, "bob", Edit(posted.message, "a secret too")))
    await town.do(town.command(channel, "bob", Delete(posted.message)))
    shown = await _shown(town, channel)
    assert shown.deleted
    assert not shown.HasField("text")
    assert not shown.attachments
    assert not shown.mentions
    first, edited, deleted = (await town.log(channel))[-3:]
    assert _data(first.payload)["text"] is None
    assert _data(edited.payload)["text"] is None
    assert _data(deleted.payload) == {"message": posted.message}
    async with town.database.connection(EVERY_TENANT) as connection:
        for table in ("entries", "messages"):
            query = f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%%secret%%'"
            assert await (await connection.execute(query.encode())).fetchone() == (0,)


async def test_an_erased_thread_reply_stays_in_its_thread(town: Town, channel: str, message: MessageId) -> None:
    (reply,) = await town.do(town.command(channel, "cat", Post("a reply", thread=message)))
    assert reply.message
    await town.do(town.command(channel, "cat", Delete(reply.message)))
    assert (await _shown(town, channel)).thread == message


async def test_deleting_twice_returns_the_first_deletion(town: Town, channel: str, message: MessageId) -> None:
    first, second = await town.do(town.command(channel, "bob", Delete(message)), town.command(channel, "ann", Delete(message)))
    assert (second.verdict, second.seq, second.at) == (Verdict.DUPLICATE, first.seq, first.at)


async def test_reactions_are_counted_by_emoji_in_order_of_appearance(town: Town, channel: str, message: MessageId) -> None:
    for user, emoji in (("bob", "👍"), ("ann", "🎉"), ("cat", "👍")):
        await town.do(town.command(channel, user, React(message, emoji)))
    shown = await _shown(town, channel)
    assert [(each.emoji, each.count, list(each.users)) for each in shown.reactions] == [
        ("👍", 2, ["bob", "cat"]),
        ("🎉", 1, ["ann"]),
    ]


async def test_a_repeated_reaction_returns_the_first(town: Town, channel: str, message: MessageId) -> None:
    add, remove = React(message, "👍"), React(message, "👍", remove=True)
    outcomes = await town.do(*(town.command(channel, "ann", body) for body in (add, add, remove, remove, add)))
    first, repeated, removed, removed_again, added = outcomes
    assert [each.verdict for each in outcomes] == ["fresh", "duplicate", "fresh", "duplicate", "fresh"]
    assert (repeated.seq, removed_again.seq) == (first.seq, removed.seq)
    assert added.seq == removed.seq + 1


async def test_removing_a_reaction_that_does_not_exist_is_a_conflict(town: Town, channel: str, message: MessageId) -> None:
    (outcome,) = await town.do(town.command(channel, "ann", React(message, "👍", remove=True)))
    assert type(outcome.error) is Conflict


async def test_pinning_twice_returns_the_first(town: Town, channel: str, message: MessageId) -> None:
    pin, unpin = Pin(message), Pin(message, remove=True)
    outcomes = await town.do(*(town.command(channel, "ann", body) for body in (unpin, pin, pin, unpin, unpin)))
    assert type(outcomes[0].error) is Conflict
    assert [each.verdict for each in outcomes[1:]] == ["fresh", "duplicate", "fresh", "duplicate"]
    assert (outcomes[2].seq, outcomes[4].seq) == (outcomes[1].seq, outcomes[3].seq)
    assert not (await _shown(town, channel)).pinned


async def test_a_deleted_message_cannot_be_changed(town: Town, channel: str, message: MessageId) -> None:
    bodies: list[Body] = [Delete(message), Edit(message, "x"), React(message, "👍"), Pin(message)]
    _, *outcomes = await town.do(*(town.command(channel, "bob", body) for body in bodies))
    assert [type(outcome.error) for outcome in outcomes] == [Conflict] * 3


async def test_only_the_author_edits(town: Town, channel: str, message: MessageId) -> None:
    (outcome,) = await town.do(town.command(channel, "ann", Edit(message, "mine now")))
    assert type(outcome.error) is NotAllowed


async def test_a_message_is_found_in_its_own_channel_only(town: Town, message: MessageId) -> None:
    other = await town.channel("bob")
    bodies: list[Body] = [Edit(message, "x"), Delete(message), React(message, "x"), Pin(message)]
    outcomes = await town.do(*(town.command(other, "bob", body) for body in bodies))
    assert [type(outcome.error) for outcome in outcomes] == [NotFound] * 4


async def test_a_redelivered_change_has_the_same_result(town: Town, channel: str, message: MessageId) -> None:
    bodies: list[Body] = [Edit(message, "x"), React(message, "👍"), Pin(message), Delete(message)]
    commands = [town.command(channel, "bob", body) for body in bodies]
    first = await town.do(*commands)
    again = await town.do(*commands)
    assert [each.verdict for each in again] == [Verdict.AGAIN] * 4
    assert [(each.seq, each.message, each.at) for each in again] == [(each.seq, each.message, each.at) for each in first]
    assert [entry.seq for entry in town.stored[-1].entries] == [each.seq for each in first]


async def test_the_key_of_a_change_cannot_be_used_for_another(town: Town, channel: str, message: MessageId) -> None:
    _, other = await town.do(
        town.command(channel, "bob", Edit(message, "x"), key="k"), town.command(channel, "bob", Pin(message), key="k")
    )
    assert type(other.error) is KeyReused


async def test_the_rpcs_edit_and_delete_as_commands_do(town: Town, channel: str, message: MessageId) -> None:
    bob = town.caller("bob")
    edit = rpc.EditMessageRequest(caller=bob, channel=channel, message=message, text="x")
    first = await town.service.EditMessage(edit, None)
    second = await town.service.EditMessage(edit, None)
    assert second.seq == first.seq + 1
    await refused(
        town.service.EditMessage(
            rpc.EditMessageRequest(caller=town.caller("ann"), channel=channel, message=message, text="x"), None
        ),
        NotAllowed,
    )
    delete = rpc.DeleteMessageRequest(caller=bob, channel=channel, message=message)
    deleted = await town.service.DeleteMessage(delete, None)
    assert (await town.service.DeleteMessage(delete, None)).seq == deleted.seq == second.seq + 1
    edited = rpc.EditMessageRequest(caller=bob, channel=channel, message=message, text="x")
    await refused(town.service.EditMessage(edited, None), Conflict)
    unknown = rpc.DeleteMessageRequest(caller=bob, channel=channel, message="no-id")
    await refused(town.service.DeleteMessage(unknown, None), NotFound)


async def test_threads_and_pinned_messages_can_be_listed(town: Town, channel: str, message: MessageId) -> None:
    async def listed(**chosen: Any) -> list[str]:
        request = rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel, **chosen)
        return [each.text for each in (await town.service.ListMessages(request, None)).messages]

    for number, thread in enumerate((message, None, message)):
        await town.do(town.command(channel, "cat", Post(f"answer {number}", thread=thread)))
    assert await listed(thread=message) == ["answer 2", "answer 0", "first words"]
    assert await listed(thread=message, page_size=1) == ["answer 2"]
    assert await listed(pinned=True) == []
    await town.do(town.command(channel, "ann", Pin(message)))
    assert await listed(pinned=True) == ["first words"]
    assert await listed(pinned=True, thread=message) == ["first words"]
    await town.do(town.command(channel, "bob", Delete(message)))
    assert await listed(pinned=True) == []
    assert await listed(thread=message) == ["answer 2", "answer 0", ""]
