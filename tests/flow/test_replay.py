"""History equals the log: the messages of a channel are what its events describe, after any sequence of actions."""

import random
import uuid
from typing import Any

import pytest

from tests.client import Api, Socket
from tests.flow.world import World, live

STEPS = 80
EMOJI = ("👍", "🎉")


def folded(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that a log describes, oldest first, in the shape of `/messages`."""
    messages: dict[str, dict[str, Any]] = {}
    reactions: dict[str, dict[str, list[str]]] = {}
    for entry in log:
        data, id_ = entry["data"], entry["data"].get("message")
        match entry["kind"]:
            case "message.posted":
                blank: dict[str, Any] = {"edited_at": None, "deleted": False, "pinned": False, "reactions": []}
                known = {name: data[name] for name in ("text", "thread", "attachments", "mentions")}
                place = {"id": id_, "channel": entry["channel"], "seq": entry["seq"], "sender": entry["actor"], "at": entry["at"]}
                messages[id_] = {**place, **known, **blank}
                reactions[id_] = {}
            case "message.edited":
                messages[id_] |= {"text": data["text"], "edited_at": entry["at"]}
            case "message.deleted":
                messages[id_] |= {"text": None, "deleted": True, "pinned": False}
                reactions[id_] = {}
            case "message.pinned" | "message.unpinned":
                messages[id_]["pinned"] = entry["kind"] == "message.pinned"
            case "reaction.added":
                reactions[id_].setdefault(data["emoji"], []).append(entry["actor"])
            case "reaction.removed":
                reactions[id_][data["emoji"]].remove(entry["actor"])
    for id_, by_emoji in reactions.items():
        messages[id_]["reactions"] = [
            {"emoji": emoji, "count": len(users), "users": users} for emoji, users in by_emoji.items() if users
        ]
    return list(messages.values())


async def act(dice: random.Random, socket: Socket, room: str, known: list[str]) -> None:
    """Do one random action; the server may refuse it."""
    if not known or dice.random() < 0.3:
        ack = await socket.post(room, str(uuid.uuid4()), f"says {dice.random()}")
        known.append(ack["message"])
        return
    message = dice.choice(known)
    match dice.randrange(5):
        case 0:
            await socket.request("edit", channel=room, message=message, text=f"edited {dice.random()}")
        case 1 if dice.random() < 0.5:
            await socket.request("delete", channel=room, message=message)
        case 2:
            await socket.request("pin", channel=room, message=message, remove=dice.random() < 0.5)
        case _:
            emoji, remove = dice.choice(EMOJI), dice.random() < 0.4
            await socket.request("react", channel=room, message=message, emoji=emoji, remove=remove)


def comparable(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Remove what the protocol leaves open: the order of reactions, and when a deleted message was edited."""
    return [
        {
            **message,
            "edited_at": None if message["deleted"] else message["edited_at"],
            "reactions": sorted(message["reactions"], key=lambda one: one["emoji"]),
        }
        for message in messages
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_messages_are_what_the_events_describe(world: World, seed: int) -> None:
    dice = random.Random(seed)
    people: list[Api] = await world.people("ann", "bob", "cat")
    room = await world.room(*people)
    known: list[str] = []
    async with live(people[0]) as ann, live(people[1]) as bob, live(people[2]) as cat:
        for _ in range(STEPS):
            await act(dice, dice.choice((ann, bob, cat)), room, known)
    for api in people:
        messages = await api.messages(room, "?limit=200")
        assert comparable(messages[::-1]) == comparable(folded(await api.log(room)))
