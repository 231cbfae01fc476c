"""Blocks: what a bot's message shows in place of its text, from a post to its deletion."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from chassis import blocks
from chassis.blocks import Block, ButtonsBlock, Choice, SelectBlock, TextBlock
from chassis.bots import new_id
from chassis.errors import InvalidArgument, NotAllowed
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert
from messages.commands.model import Delete, Edit, Post
from messages.message import ChannelId, MessageId, Range, UserId
from messages.store import log
from services.messages.tests.conftest import Town

BOT = new_id()
BUTTONS = ButtonsBlock("review", [Choice("yes", "Approve"), Choice("no", "Decline")])
SELECT = SelectBlock("who", "Assign to", [Choice("a", "Ann"), Choice("b", "Bob")])
SHOWN: list[Block] = [TextBlock("Deploy *42*?"), BUTTONS, SELECT]
JSON = [
    {"type": "text", "text": "Deploy *42*?"},
    {"type": "buttons", "id": "review", "buttons": [{"value": "yes", "text": "Approve"}, {"value": "no", "text": "Decline"}]},
    {
        "type": "select",
        "id": "who",
        "label": "Assign to",
        "options": [{"value": "a", "text": "Ann"}, {"value": "b", "text": "Bob"}],
    },
]
IMAGE = "01990000-0000-7000-8000-000000000001"


def posting(*given: dict[str, Any], text: str = "fallback", **more: Any) -> events.PostMessage:
    return events.PostMessage(text=text, blocks=[events.Block(**each) for each in given], **more)


async def bot(town: Town) -> UserId:
    await town.people("root")
    made = await town.service.CreateBot(rpc.CreateBotRequest(caller=town.caller("root", admin=True), name="Deploys"), None)
    return UserId(made.bot.id)


async def shown(town: Town, channel: str) -> Any:
    """The blocks of the channel's only message, which history shows alike over gRPC and over HTTP."""
    request = rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel)
    (message,) = (await town.service.ListMessages(request, None)).messages
    request.json = True
    (item,) = json.loads((await town.service.ListMessages(request, None)).items)
    assert msgspec.to_builtins(blocks.read(message.blocks)) == item.get("blocks", [])
    one = rpc.GetMessageRequest(caller=town.caller("ann"), channel=channel, message=message.id)
    assert (await town.service.GetMessage(one, None)).message == message
    return item.get("blocks")


async def test_blocks_are_shown_until_an_edit_replaces_them_and_a_deletion_erases_them(town: Town) -> None:
    robot = await bot(town)
    room = await town.channel("ann", robot)
    (posted,) = await town.do(town.command(room, robot, Post("Deploy 42?", blocks=SHOWN)))
    assert posted.message is not None
    message = MessageId(posted.message)
    assert json.loads((await town.log(room))[-1].payload)["data"]["blocks"] == JSON
    assert await shown(town, room) == JSON
    await town.do(town.command(room, robot, Edit(message, "Approved by Ann", blocks=[TextBlock("Approved by Ann")])))
    assert json.loads((await town.log(room))[-1].payload)["data"]["blocks"] == [{"type": "text", "text": "Approved by Ann"}]
    assert await shown(town, room) == [{"type": "text", "text": "Approved by Ann"}]
    await town.do(town.command(room, robot, Edit(message, "Approved")))
    assert await shown(town, room) is None
    await town.do(town.command(room, robot, Edit(message, "Again?", blocks=SHOWN)), town.command(room, robot, Delete(message)))
    assert await shown(town, room) is None
    async with town.database.connection([town.tenant]) as connection:
        entries = await log.read(connection, [Range(ChannelId(room), 0, 100)])
    assert not any(entry.details.blocks for entry in entries)


async def test_a_key_repeated_with_other_blocks_is_reused(town: Town) -> None:
    robot = await bot(town)
    room = await town.channel("ann", robot)
    post = town.command(room, robot, Post("x", blocks=[BUTTONS]), key="k")
    other = town.command(room, robot, Post("x", blocks=[SELECT]), key="k")
    again = town.command(room, robot, Post("x", blocks=[BUTTONS]), key="k")
    outcomes = [(await town.do(each))[0] for each in (post, other, again)]
    assert [each.error.reason if each.error else str(each.verdict) for each in outcomes] == ["fresh", "KEY_REUSED", "duplicate"]


def choices(count: int) -> list[dict[str, str]]:
    return [{"value": str(number), "text": f"Number {number}"} for number in range(count)]


@pytest.mark.parametrize(
    "given",
    [
        posting({"text": {"text": "x"}}, text=""),
        posting({}),
        posting({"text": {"text": ""}}),
        posting({"text": {"text": "x" * 3_001}}),
        posting({"text": {"text": "a\x00b"}}),
        posting(*({"text": {"text": "x"}} for _ in range(11))),
        posting(*({"text": {"text": "x" * 2_900}} for _ in range(3))),
        posting({"image": {"upload": IMAGE, "alt": "A cat"}}),
        posting({"buttons": {"id": "a", "buttons": []}}),
        posting({"buttons": {"id": "a", "buttons": choices(6)}}),
        posting({"buttons": {"id": "a b", "buttons": choices(1)}}),
        posting({"buttons": {"id": "a", "buttons": choices(1) * 2}}),
        posting({"buttons": {"id": "a", "buttons": choices(1)}}, {"select": {"id": "a", "label": "x", "options": choices(1)}}),
        posting({"buttons": {"id": "a", "buttons": [{"value": "a", "text": "x" * 81}]}}),
        posting({"buttons": {"id": "a", "buttons": [{"value": "a", "text": "\u202ex"}]}}),
        posting({"buttons": {"id": "a", "buttons": [{"value": "a", "text": " x"}]}}),
        posting({"select": {"id": "a", "label": "", "options": choices(1)}}),
        posting({"select": {"id": "a", "label": "x", "options": choices(26)}}),
    ],
    ids=lambda each: str(each)[:60].replace("\n", " "),
)
def test_blocks_beyond_the_rules_are_refused(given: events.PostMessage) -> None:
    with pytest.raises(InvalidArgument):
        convert.post(given, BOT)


def test_only_bots_post_blocks() -> None:
    with pytest.raises(NotAllowed):
        convert.post(posting({"text": {"text": "x"}}), UserId("ann"))
    edit = events.EditMessage(message=IMAGE, text="x", blocks=[events.Block(text=events.TextBlock(text="x"))])
    with pytest.raises(NotAllowed):
        convert.edit(edit, UserId("ann"))
    assert convert.edit(edit, BOT).blocks == [TextBlock("x")]


def test_an_image_is_one_of_the_attachments_and_sealed_content_has_no_blocks() -> None:
    attachment = events.Attachment(id=IMAGE, name="a.png", type="image/png")
    image = {"image": {"upload": IMAGE, "alt": "A cat"}}
    assert convert.post(posting(image, attachments=[attachment]), BOT).blocks == [blocks.ImageBlock(IMAGE, "A cat")]
    sealed = posting({"text": {"text": "x"}})
    sealed.sealed = b"x"
    with pytest.raises(InvalidArgument):
        convert.post(sealed, BOT)
