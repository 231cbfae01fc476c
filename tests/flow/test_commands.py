"""Slash commands of the running product: signed calls, with answers for the caller, in the channel, or later."""

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier

from services.integrations.tests.receiver import Receiver, answer, receiver
from tests.client import Api
from tests.flow.world import World, live


async def command(world: World, url: str, name: str = "weather") -> tuple[str, str]:
    """Make a command; returns its secret and its bot, which is a member nowhere."""
    root = await world.person("root", roles=["admin"])
    bot = str((await root.ok("POST", "/v1/admin/bots", {"name": "Helper"}, 201))["user"])
    body = {"name": name, "url": url, "bot": bot, "description": "Shows the weather", "hint": "[city]"}
    made: dict[str, Any] = await root.ok("POST", "/v1/admin/commands", body, 201)
    return str(made["secret"]), bot


async def room_with(ann: Api, bot: str) -> str:
    room: str = await ann.create("group", name="a room")
    await ann.ok("POST", f"/v1/channels/{room}/members", {"users": [bot]})
    return room


async def run(api: Api, room: str, text: str = "Oslo", status: int = 200, key: str = "k1") -> dict[str, Any]:
    found: dict[str, Any] = await api.ok(
        "POST", f"/v1/channels/{room}/commands", {"command": "weather", "text": text, "key": key}, status
    )
    return found


def said(server: Receiver, text: str, visibility: str) -> None:
    body = json.dumps({"text": text, "visibility": visibility}).encode()
    server.behaviour = lambda _: answer(200, body)


async def test_an_answer_is_shown_to_the_caller_or_posted_once_as_the_bot(world: World) -> None:
    ann = await world.person("ann")
    async with receiver() as server:
        secret, bot = await command(world, server.url)
        room = await room_with(ann, bot)
        assert (await ann.ok("GET", "/v1/commands"))["items"] == [
            {"name": "weather", "description": "Shows the weather", "hint": "[city]", "bot": bot}
        ]
        said(server, "Rain", "caller")
        assert await run(ann, room) == {"visibility": "caller", "text": "Rain"}
        asked = Verifier(secret).verify(server.received[0].body, server.received[0].headers)
        assert asked["type"] == "command.run"
        path = asked["data"].pop("answer_path")
        assert asked["data"] == {
            "tenant": world.tenant,
            "channel": room,
            "user": "ann",
            "command": "weather",
            "text": "Oslo",
        }
        assert path.startswith(f"/v1/commands/answers/{world.tenant}.")

        said(server, "Sun", "channel")
        async with live(ann) as socket:
            first, again = await run(ann, room, key="k2"), await run(ann, room, key="k2")
            posted = await socket.expect("event", kind="message.posted", actor=bot)
            assert (posted["data"]["text"], posted["data"]["message"]) == ("Sun", first["message"])
            await socket.round_trip()
            assert len([each for each in socket.received("event") if each["kind"] == "message.posted"]) == 1
        assert first == again
        ids = [each.headers["webhook-id"] for each in server.received]
        assert ids[1] == ids[2] != ids[0]


async def test_an_answer_may_come_later_five_times(world: World) -> None:
    ann = await world.person("ann")
    async with receiver() as server:
        _, bot = await command(world, server.url)
        room = await room_with(ann, bot)
        assert await run(ann, room, status=202) == {"visibility": "later"}
        path = json.loads(server.received[0].body)["data"]["answer_path"]
        for number in range(5):
            await world.anonymous(1).ok("POST", path, {"text": f"answer {number}"}, 201)
        await world.anonymous().refused("POST", path, {"text": "too much"}, reason="NOT_FOUND")
        await world.anonymous().refused("POST", f"{path}x", {"text": "forged"}, reason="NOT_FOUND")
        found = [(each["sender"], each["text"]) for each in await ann.messages(room)]
        assert found == [(bot, f"answer {number}") for number in reversed(range(5))]


@pytest.mark.parametrize("kind", ["reader", "outsider", "unknown"])
async def test_a_command_is_for_members_and_asks_nothing_for_others(world: World, kind: str) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, *([bob] if kind == "reader" else []))
    if kind == "reader":
        await ann.ok("PATCH", f"/v1/channels/{room}/members/bob", {"role": "reader"})
    async with receiver() as server:
        await command(world, server.url, "other" if kind == "unknown" else "weather")
        caller = ann if kind == "unknown" else bob
        body = {"command": "weather", "key": "k"}
        reason = "NOT_ALLOWED" if kind == "reader" else "NOT_FOUND"
        await caller.refused("POST", f"/v1/channels/{room}/commands", body, reason=reason)
        assert server.connections == 0


async def test_a_command_without_a_valid_answer_is_unavailable(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)

    async def stall(_writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    body = {"command": "weather", "key": "k"}
    async with receiver() as server:
        await command(world, server.url)
        for given in (answer(500), answer(200, b"not JSON"), answer(200, b'{"text": 5}'), answer(302), stall):
            server.behaviour = lambda _, given=given: given  # type: ignore[misc]
            await ann.refused("POST", f"/v1/channels/{room}/commands", body, reason="UNAVAILABLE")
        said(server, "Sun", "channel")  # the bot is no member
        await ann.refused("POST", f"/v1/channels/{room}/commands", body, reason="NOT_FOUND")
        assert await ann.messages(room) == []
