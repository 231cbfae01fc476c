"""Webhooks of the running product: what is stored in the log reaches the endpoint, also through kills on its way."""

import json
from typing import Any

from standardwebhooks.webhooks import Webhook as Verifier

from services.integrations.tests.receiver import Received, receiver
from tests.client import Api
from tests.flow.world import World

WEBHOOKS = "/v1/admin/webhooks"


def entry(received: Received) -> dict[str, Any]:
    """The log entry in a request."""
    found: dict[str, Any] = json.loads(received.body)["data"]["event"]
    return found


def place(received: Received) -> tuple[str, int]:
    """Channel and number of the entry in a request."""
    return entry(received)["channel"], entry(received)["seq"]


async def subscribed(admin: Api, url: str, **settings: object) -> tuple[str, str]:
    """A new webhook's id and secret."""
    made = await admin.ok("POST", WEBHOOKS, {"url": url, **settings}, 201)
    return made["webhook"]["id"], made["secret"]


async def test_a_webhook_gets_the_entries_that_it_asks_for_as_clients_have_them(world: World) -> None:
    root = await world.person("root", roles=["admin"])
    ann, bob = await world.people("ann", "bob")
    async with receiver() as server:
        webhook, secret = await subscribed(root, server.url, events=["message.posted"], channel_kinds=["group"])
        room, direct = await world.room(ann, bob), await world.room(ann, bob, kind="direct")
        await ann.post(direct, "between us")
        posted = await ann.post(room, "for everybody")
        await server.arrived(1)
        (received,) = server.received
        (logged,) = [each for each in await ann.log(room) if each["seq"] == posted["seq"]]
        assert Verifier(secret).verify(received.body, received.headers) == {
            "type": "message.posted",
            "timestamp": logged["at"],
            "data": {"tenant": world.tenant, "channel_kind": "group", "epoch": entry_epoch(received), "event": logged},
        }
        await root.ok("DELETE", f"{WEBHOOKS}/{webhook}", status=204)
        await root.refused("GET", f"{WEBHOOKS}/{webhook}/deliveries", reason="NOT_FOUND")


def entry_epoch(received: Received) -> str:
    found: str = json.loads(received.body)["data"]["epoch"]
    assert found
    return found


async def test_events_survive_the_death_of_every_process_on_their_way_in_order(world: World) -> None:
    root = await world.person("root", roles=["admin"])
    ann, bob = await world.people("ann", "bob")
    rooms = [await world.room(ann, bob) for _ in range(3)]
    async with receiver() as server:
        await subscribed(root, server.url, channels=rooms, events=["message.posted"])
        wanted: dict[str, list[int]] = {room: [] for room in rooms}
        for killed in ("", "messages-feed", "integrations"):
            if killed:
                pid = world.stack.kill(killed)
                await world.stack.started(killed, after=pid)
            for room in rooms:
                wanted[room] += [(await ann.post(room, f"{number}"))["seq"] for number in range(3)]
        posted = {(room, seq) for room, seqs in wanted.items() for seq in seqs}
        await server.until(lambda: {place(each) for each in server.received} == posted, 60)
        await world.stack.serving("messages-feed")
        await world.stack.serving("integrations")
    for room, seqs in wanted.items():
        got = [seq for channel, seq in map(place, server.received) if channel == room]
        assert list(dict.fromkeys(got)) == seqs
        assert got == sorted(got)


async def test_only_administrators_see_and_change_webhooks(world: World) -> None:
    root = await world.person("root", roles=["admin"])
    eve = await world.person("eve")
    webhook, _ = await subscribed(root, "https://hooks.example.com/", description="Ours")
    for method, path, body in (
        ("GET", WEBHOOKS, None),
        ("POST", WEBHOOKS, {"url": "https://hooks.example.com/"}),
        ("PATCH", f"{WEBHOOKS}/{webhook}", {"enabled": False}),
        ("DELETE", f"{WEBHOOKS}/{webhook}", None),
        ("POST", f"{WEBHOOKS}/{webhook}/secret", {}),
        ("GET", f"{WEBHOOKS}/{webhook}/deliveries", None),
        ("POST", f"{WEBHOOKS}/{webhook}/resend", {}),
    ):
        await eve.refused(method, path, body, reason="NOT_ALLOWED")
    changed = await root.ok("PATCH", f"{WEBHOOKS}/{webhook}", {"enabled": False})
    assert (changed["state"], changed["reason"], changed["description"]) == ("disabled", "requested", "Ours")
    assert (await root.ok("GET", WEBHOOKS))["items"] == [changed]
    rotated = await root.ok("POST", f"{WEBHOOKS}/{webhook}/secret", {"overlap": 60})
    assert rotated["secret"].startswith("whsec_")
    assert rotated["webhook"]["previous_secret_until"]
    assert await root.ok("POST", f"{WEBHOOKS}/{webhook}/resend", {}) == {"count": 0}
    assert (await root.ok("GET", f"{WEBHOOKS}/{webhook}/deliveries?state=dead"))["items"] == []
