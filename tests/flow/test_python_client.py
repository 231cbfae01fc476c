"""The Python client against the running product: its README runs as printed, and its promises hold."""

import asyncio
import dataclasses
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hubbub_client import Checkpoint, Client, Ended, Event, Joined, Left, Refused, Settings, Signal, Update, threads
from tests.client import Api
from tests.flow.test_media import picture
from tests.flow.world import World, eventually, live

README = Path(__file__).parents[2] / "libs" / "client" / "README.md"
SECONDS = 20.0


async def following(client: Client, room: str, seq: int) -> AsyncIterator[Update]:
    """Yield the client's updates up to this event of the room."""
    async with asyncio.timeout(SECONDS):
        async for update in client:
            yield update
            if isinstance(update, Event) and (update.channel, update.seq) == (room, seq):
                return


def a_client(api: Api, urls: list[str] | None = None, **options: object) -> Client:
    assert api.token is not None
    return Client(urls or api.url, lambda: api.token or "", **options)  # type: ignore[arg-type]


async def test_the_bot_of_the_readme_answers(world: World) -> None:
    ann, root = await world.person("ann"), await world.person("root", roles=["admin"])
    bot = (await root.ok("POST", "/v1/admin/bots", {"name": "Pong"}, 201))["user"]
    scopes = {"name": "production", "scopes": ["read", "write"]}
    token = (await root.ok("POST", f"/v1/admin/bots/{bot}/tokens", scopes, 201))["token"]
    room = await ann.create("group", name="a room", members=[bot])
    (program,) = re.findall(r"```python\n(import asyncio.*?)```", README.read_text(), re.DOTALL)
    environment = {**os.environ, "HUBBUB_URL": ann.url, "HUBBUB_TOKEN": token}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environment, stdout=pipe)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(SECONDS), live(ann) as here:
            assert await process.stdout.readline() == b"ready\n"
            asked = await here.post(room, "k", "ping")
            answer = await here.expect("event", kind="message.posted", actor=bot, within=SECONDS)
            assert (answer["data"]["text"], answer["data"]["thread"]) == ("pong", asked["message"])
            assert await process.stdout.readline() == f"answered as number {answer['seq']}\n".encode()
    finally:
        process.kill()
        await process.wait()


async def test_a_client_continues_from_its_checkpoint_at_another_gateway(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with a_client(bob, start="beginning") as client:
        stored = await client.send(room, "one")
        seen = [update.seq async for update in following(client, room, stored.seq) if isinstance(update, Event)]
        assert seen == list(range(1, stored.seq + 1))
        checkpoint = client.checkpoint()
    assert checkpoint is not None
    assert checkpoint.positions[room] == stored.seq - 1, "the update in hand is not finished"
    last = (await ann.post(room, "two"), await ann.post(room, "three"))[-1]["seq"]
    saved = Checkpoint(**dataclasses.asdict(checkpoint))
    async with a_client(world.elsewhere(bob), checkpoint=saved) as client:
        texts = [update.data["text"] async for update in following(client, room, last) if isinstance(update, Event)]
    assert texts == ["one", "two", "three"]


async def test_a_slow_reader_with_little_room_gets_every_event_in_order(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with a_client(bob, settings=Settings(feed_bytes=4_000)) as client, live(ann) as here:
        await client.opened()
        first = (await here.post(room, "k-0", "message 0"))["seq"]
        last = [(await here.post(room, f"k-{n}", f"message {n}"))["seq"] for n in range(1, 60)][-1]
        seen = [update.seq async for update in following(client, room, last) if isinstance(update, Event)]
    assert seen == list(range(first, last + 1))


async def test_commands_signals_files_and_refusals(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    data = picture()
    async with a_client(ann) as here, a_client(bob) as there:
        await asyncio.gather(here.opened(), there.opened())
        upload = await here.api.upload(room, "a file.png", data, "image/png")
        stored = await here.send(room, "look", attachments=[upload], key="once")
        assert await here.send(room, "look", attachments=[upload], key="once") == dataclasses.replace(stored, duplicate=True)
        assert await there.api.download(upload)
        await there.react(room, stored.message, "👍")
        await there.watch(["ann"])
        await there.read(room, stored.seq)
        edited = await here.edit(room, stored.message, "look here")
        with pytest.raises(Refused, match="NOT_ALLOWED"):
            await there.edit(room, stored.message, "mine")
        with pytest.raises(Refused, match="KEY_REUSED"):
            await here.send(room, "another", key="once")
        with pytest.raises(Refused, match="TOO_LARGE"):
            await here.send(room, "x" * 70_000)
        updates = [update async for update in following(there, room, edited.seq)]
        assert [update.kind for update in updates if isinstance(update, Event)] == [
            "message.posted",
            "reaction.added",
            "message.edited",
        ]
        while not any(isinstance(update, Signal) and update.fields.get("user") == "ann" for update in updates):
            async with asyncio.timeout(SECONDS):
                updates.append(await anext(there))
        assert [entry.seq async for entry in there.api.log(room, after=stored.seq - 1)] == list(range(stored.seq, edited.seq + 1))
        mentioning = await here.send(room, "bob?", mentions=["bob"])
        assert [message["id"] async for message in there.api.mentions()] == [mentioning.message]
        (_, message) = await there.api.messages(room, limit=2)
        assert (message["text"], message["reactions"][0]["users"]) == ("look here", ["bob"])


async def test_joining_leaving_and_a_revocation(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    admin = await world.person("root", roles=["admin"])
    async with a_client(bob, world.urls) as client:
        await client.opened()
        room = await world.room(ann, bob)
        async with asyncio.timeout(SECONDS):
            joined = await anext(client)
            assert (isinstance(joined, Joined), joined.channel) == (True, room)  # type: ignore[union-attr]
            await ann.ok("DELETE", f"/v1/channels/{room}/members/bob", status=204)
            while not isinstance(await anext(client), Left):
                pass
            await admin.ok("POST", "/v1/admin/users/bob/revoke", status=204)
            with pytest.raises(Ended) as ended:
                [update async for update in client]
        assert ended.value.code == 4501
        with pytest.raises(Ended):
            await client.send(room, "too late")


async def test_the_client_for_threads(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)

    def bot() -> list[str]:
        with threads.Client(bob.url, lambda: bob.token or "") as client:
            client.call(client.asynchronous.opened())
            first = client.send(room, "one")
            second = client.submit(room, "two").result(SECONDS)
            texts = []
            for update in client:
                if isinstance(update, Event):
                    texts.append(update.data["text"])
                    if update.seq == second.seq:
                        break
            assert second.seq > first.seq
            return texts

    assert await asyncio.to_thread(bot) == ["one", "two"]


async def test_a_token_is_renewed_before_it_ends(world: World) -> None:
    bob = await world.person("bob")
    asked: list[str] = []

    async def token() -> str:
        asked.append((await world.person("bob", ttl=6)).token or "")
        return asked[-1]

    async with Client(bob.url, token) as client:
        await client.opened()
        connection = client.hello["connection"]

        async def renewed() -> bool:
            return len(asked) >= 2

        await eventually(renewed)
        room = await world.room(bob)
        await client.send(room, "still here")
        assert client.hello["connection"] == connection
