"""Blocks of a bot's message, through every door: what members see, and what is refused."""

from tests.flow.world import World, live
from tests.security.robots import robot

BLOCKS = [
    {"type": "text", "text": "Deploy 42?"},
    {"type": "buttons", "id": "review", "buttons": [{"value": "yes", "text": "Approve"}, {"value": "no", "text": "Decline"}]},
    {"type": "select", "id": "who", "label": "Assign to", "options": [{"value": "a", "text": "Ann"}]},
]


async def test_blocks_reach_sockets_history_and_search_and_only_bots_post_them(world: World) -> None:
    ann = await world.person("ann")
    bot = await robot(world, "read", "write")
    room = await ann.create("group", name="room", members=[bot.api.user])
    async with live(ann) as there, live(bot.api) as machine:
        posted = await bot.api.post(room, "Deploy 42? Answer in the app", blocks=BLOCKS)
        event = await there.expect("event", kind="message.posted")
        assert (event["data"]["text"], event["data"]["blocks"]) == ("Deploy 42? Answer in the app", BLOCKS)
        edit = {"channel": room, "message": posted["message"], "text": "Approved", "blocks": BLOCKS[:1]}
        await machine.send("edit", ref="edit", **edit)
        assert (await machine.answer("edit"))["type"] == "ack"
        assert (await there.expect("event", kind="message.edited"))["data"]["blocks"] == BLOCKS[:1]
        (message,) = await ann.messages(room)
        assert (message["text"], message["blocks"]) == ("Approved", BLOCKS[:1])
        found = await ann.ok("GET", "/v1/search?q=approved")
        assert [each["blocks"] for each in found["items"]] == [BLOCKS[:1]]
        await there.send("send", ref="send", channel=room, key="k", text="x", blocks=BLOCKS)
        assert (await there.answer("send"))["reason"] == "NOT_ALLOWED"
        await machine.send("send", ref="bad", channel=room, key="k", text="x", blocks=[{"type": "video", "url": "x"}])
        assert (await machine.answer("bad"))["reason"] == "INVALID_FRAME"
        await machine.send("send", ref="two", channel=room, key="k", text="x", blocks=[BLOCKS[1], BLOCKS[1]])
        assert (await machine.answer("two"))["reason"] == "INVALID_ARGUMENT"
    path = f"/v1/channels/{room}/messages"
    await ann.refused("POST", path, {"text": "x", "blocks": BLOCKS}, reason="NOT_ALLOWED")
    await bot.api.refused("POST", path, {"text": "", "blocks": BLOCKS}, reason="INVALID_ARGUMENT")
