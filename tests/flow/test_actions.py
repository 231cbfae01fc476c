"""Buttons and options in messages of the running product: signed calls about what the message offers now."""

import json
from typing import Any

from standardwebhooks.webhooks import Webhook as Verifier

from services.integrations.tests.receiver import Receiver, answer, receiver
from tests.client import Api
from tests.flow.world import World, live

BLOCKS: list[dict[str, Any]] = [
    {"type": "buttons", "id": "review", "buttons": [{"value": "yes", "text": "Approve"}, {"value": "no", "text": "Decline"}]},
    {"type": "select", "id": "who", "label": "Assign to", "options": [{"value": "bob", "text": "Bob"}]},
]


async def asking(world: World, url: str, ann: Api) -> tuple[str, str, str, Api]:
    """A bot that asked in ann's room; returns the secret of its endpoint, the room, the message and the bot."""
    root = await world.person("root", roles=["admin"])
    bot = str((await root.ok("POST", "/v1/admin/bots", {"name": "Deploys"}, 201))["user"])
    token = (await root.ok("POST", f"/v1/admin/bots/{bot}/tokens", {"name": "x", "scopes": ["read", "write"]}, 201))["token"]
    made = await root.ok("POST", "/v1/admin/actions", {"bot": bot, "url": url}, 201)
    listed = await root.ok("GET", "/v1/admin/actions")
    assert listed["items"] == [made["endpoint"]]
    assert (made["endpoint"]["bot"], made["endpoint"]["url"]) == (bot, url)
    await root.refused("POST", "/v1/admin/actions", {"bot": bot, "url": url}, reason="CONFLICT")
    await ann.refused("POST", "/v1/admin/actions", {"bot": bot, "url": url}, reason="NOT_ALLOWED")
    room = await ann.create("group", name="a room", members=["bob"])
    await ann.ok("POST", f"/v1/channels/{room}/members", {"users": [bot]})
    robot = Api(ann.url, token, world.http, bot)
    posted = await robot.ok("POST", f"/v1/channels/{room}/messages", {"text": "Deploy 42?", "blocks": BLOCKS}, 201)
    return made["secret"], room, posted["message"], robot


def chosen(block: str = "review", value: str = "yes", key: str = "k1") -> dict[str, str]:
    return {"block": block, "value": value, "key": key}


def says(server: Receiver, **body: object) -> None:
    server.behaviour = lambda _: answer(200, json.dumps(body).encode())


async def test_a_choice_is_answered_to_the_caller_in_the_channel_or_in_the_message(world: World) -> None:
    ann, _ = await world.people("ann", "bob")
    async with receiver() as server:
        secret, room, message, robot = await asking(world, server.url, ann)
        path = f"/v1/channels/{room}/messages/{message}/actions"
        says(server, text="Thanks")
        assert await ann.ok("POST", path, chosen()) == {"visibility": "caller", "text": "Thanks"}
        asked = Verifier(secret).verify(server.received[0].body, server.received[0].headers)
        assert asked["type"] == "action.run"
        assert asked["data"].pop("answer_path").startswith(f"/v1/commands/answers/{world.tenant}.")
        assert asked["data"] == {
            "tenant": world.tenant,
            "channel": room,
            "user": "ann",
            "message": message,
            "block": "review",
            "value": "yes",
        }

        says(server, text="Bob has it", visibility="channel", blocks=[{"type": "text", "text": "Bob"}])
        first, again = [await ann.ok("POST", path, chosen("who", "bob")) for _ in range(2)]
        assert first == again
        posted, _ = await ann.messages(room)
        assert (posted["id"], posted["sender"], posted["blocks"]) == (
            first["message"],
            robot.user,
            [{"type": "text", "text": "Bob"}],
        )
        ids = [each.headers["webhook-id"] for each in server.received]
        assert ids[1] == ids[2] != ids[0]

        says(server, text="Approved", visibility="message", blocks=[BLOCKS[1]])
        async with live(ann) as socket:
            assert await ann.ok("POST", path, chosen()) == {"visibility": "message", "message": message}
            edited = await socket.expect("event", kind="message.edited", actor=robot.user)
            assert edited["data"] == {"message": message, "text": "Approved", "blocks": [BLOCKS[1]]}


async def test_an_action_without_an_answer_may_be_answered_later_by_a_change_of_its_message(world: World) -> None:
    ann, _ = await world.people("ann", "bob")
    async with receiver() as server:
        _, room, message, _ = await asking(world, server.url, ann)
        assert await ann.ok("POST", f"/v1/channels/{room}/messages/{message}/actions", chosen(), 202) == {"visibility": "later"}
        path = json.loads(server.received[0].body)["data"]["answer_path"]
        later = {"text": "Deployed", "visibility": "message"}
        assert await world.anonymous(1).ok("POST", path, later, 201) == {"message": message}
        (found,) = await ann.messages(room)
        assert (found["text"], found.get("blocks")) == ("Deployed", None)


async def test_only_what_the_message_offers_now_can_be_chosen_and_only_by_people_who_may_write(world: World) -> None:
    ann, bob, eve = await world.people("ann", "bob", "eve")
    async with receiver() as server:
        _, room, message, robot = await asking(world, server.url, ann)
        path = f"/v1/channels/{room}/messages/{message}/actions"
        own = (await ann.post(room, "x"))["message"]
        for given in (chosen("review", "maybe"), chosen("who", "yes"), chosen("other")):
            await ann.refused("POST", path, given, reason="NOT_FOUND")
        await ann.refused("POST", f"/v1/channels/{room}/messages/{own}/actions", chosen(), reason="NOT_FOUND")
        await eve.refused("POST", path, chosen(), reason="NOT_FOUND")
        await robot.refused("POST", path, chosen(), reason="NOT_ALLOWED")
        await ann.ok("PATCH", f"/v1/channels/{room}/members/bob", {"role": "reader"})
        await bob.refused("POST", path, chosen(), reason="NOT_ALLOWED")
        async with live(robot) as socket:
            await socket.request("edit", channel=room, message=message, text="Closed")
            await ann.refused("POST", path, chosen(), reason="NOT_FOUND")
        assert server.connections == 0
        says(server, text="x", visibility="channel", blocks=[{"type": "image", "upload": "x", "alt": "x"}])
        asked = {"text": "Again?", "blocks": BLOCKS}
        fresh = (await robot.ok("POST", f"/v1/channels/{room}/messages", asked, 201))["message"]
        await ann.refused("POST", f"/v1/channels/{room}/messages/{fresh}/actions", chosen(), reason="UNAVAILABLE")
        root = await world.person("root", roles=["admin"])
        (endpoint,) = (await root.ok("GET", "/v1/admin/actions"))["items"]
        await root.ok("DELETE", f"/v1/admin/actions/{endpoint['id']}", status=204)
        await ann.refused("POST", f"/v1/channels/{room}/messages/{fresh}/actions", chosen(), reason="NOT_FOUND")
