"""Pages of messages as JSON, which gateways pass on."""

from __future__ import annotations

import json

from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Delete, Edit, Pin, Post, React
from messages.message import Attachment, ChannelId, MessageId, UserId
from messages.service.rpc_base import JSON_BYTES
from services.messages.tests.conftest import Town


async def page(town: Town, room: str) -> bytes:
    request = rpc.ListMessagesRequest(caller=town.caller("ann"), channel=room, page_size=200, json=True)
    answer = await town.service.ListMessages(request, None)
    assert not answer.messages
    return answer.items


async def test_a_page_as_json_has_the_items_of_the_http_api(town: Town) -> None:
    room = ChannelId(await town.channel("ann", "bob"))
    picture = Attachment("0197f3a2-0000-7000-8000-000000000001", "a.png", 5, "image/png", 4, 3)
    file = Attachment("0197f3a2-0000-7000-8000-000000000002", "a.txt", 6, "text/plain")

    async def post(body: Post) -> MessageId:
        (outcome,) = await town.do(town.command(room, "ann", body))
        assert outcome.message
        return outcome.message

    root = await post(Post('"hello" 👍', attachments=[picture, file], mentions=[UserId("bob")]))
    await post(Post(None, thread=root, sealed=b"\xffsealed"))
    gone = await post(Post("gone"))
    for body in (Edit(root, "edited"), React(root, "+1"), Pin(root), Delete(gone)):
        await town.do(town.command(room, "ann", body))
    deleted, sealed, first = json.loads(await page(town, room))
    assert {"text", "sealed"} & deleted.keys() == {"text"}
    assert (deleted["deleted"], deleted["text"]) == (True, None)
    assert (sealed["text"], sealed["sealed"], sealed["thread"]) == (None, "/3NlYWxlZA==", root)
    assert list(first) == [
        "id", "channel", "seq", "sender", "text", "at", "edited_at", "deleted", "thread", "attachments", "mentions", "reactions",
        "pinned",
    ]  # fmt: skip
    assert first["attachments"] == [
        {"id": picture.id, "name": "a.png", "size": 5, "type": "image/png", "width": 4, "height": 3},
        {"id": file.id, "name": "a.txt", "size": 6, "type": "text/plain"},
    ]
    shown = ("edited", ["bob"], [{"emoji": "+1", "count": 1, "users": ["ann"]}], True)
    assert tuple(first[field] for field in ("text", "mentions", "reactions", "pinned")) == shown
    assert first["at"].endswith("Z")
    assert first["edited_at"] >= first["at"]


async def test_a_page_as_json_is_bounded_by_its_bytes(town: Town) -> None:
    room = await town.channel("ann")
    long = [town.command(room, "ann", Post("\x01" * 16_000)) for _ in range(12)]
    await town.do(*long)
    items = await page(town, room)
    assert JSON_BYTES - 6 * 16_100 < len(items) <= JSON_BYTES + 2
    assert len(json.loads(items)) < len(long)
