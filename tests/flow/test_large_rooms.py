"""Channels of more than 100 members show counts instead of names, over two gateways."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.client import Api, Socket, shapes
from tests.flow.world import World, keep_alive, live

NAMED = 100


async def crowd(world: World, size: int) -> list[Api]:
    """Users, alternating between the two gateways."""
    return list(await asyncio.gather(*(world.person(f"u{number:03}", number % 2) for number in range(size))))


async def join(api: Api, room: str) -> Any:
    return await api.ok("POST", f"/v1/channels/{room}/join", shape=shapes.channel_details)


async def leave(api: Api, room: str) -> None:
    await api.ok("DELETE", f"/v1/channels/{room}/members/{api.user}", status=204)


@contextlib.asynccontextmanager
async def all_live(people: list[Api]) -> AsyncIterator[list[Socket]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(live(api)) for api in people]


@contextlib.asynccontextmanager
async def staying(*sockets: Socket) -> AsyncIterator[None]:
    """Send heartbeats inside the block."""
    async with asyncio.TaskGroup() as group:
        beats = [group.create_task(keep_alive(socket)) for socket in sockets]
        yield
        for beat in beats:
            beat.cancel()


@pytest.fixture
async def people(world: World) -> list[Api]:
    return await crowd(world, NAMED + 2)


async def test_beyond_100_members_the_author_gets_a_count_and_members_get_no_receipts(world: World, people: list[Api]) -> None:
    ann, *others = people
    room = await world.room(ann, *others[:NAMED], kind="public")
    async with live(ann) as author, all_live(others[:4]) as readers, live(world.elsewhere(others[0])) as second:
        assert author.hello["limits"]["named_members"] == NAMED
        seq = (await author.post(room, "k", "who reads this?"))["seq"]
        for reader in readers:
            await reader.expect("event", seq=seq)
            await reader.send("read", channel=room, seq=seq)
        seen = await author.expect("seen", channel=room, seq=seq, count=4)
        assert seen["type"] == "seen"
        await second.expect("receipt", channel=room, user=others[0].user, read_seq=seq)
        for socket in (author, *readers):
            await socket.round_trip()
            assert socket.received("receipt") == []
        assert [socket.received("seen") for socket in readers] == [[]] * 4


async def test_crossing_100_members_changes_receipts_and_typing_on_both_gateways(world: World, people: list[Api]) -> None:
    ann, bob, *others = people
    room = await world.room(ann, bob, *others[: NAMED - 2], kind="public")
    late = others[NAMED - 2]
    async with live(ann) as author, live(bob) as reader:
        seq = (await author.post(room, "k", "one"))["seq"]
        await reader.expect("event", seq=seq)
        await reader.send("read", channel=room, seq=seq)
        await author.expect("receipt", user=bob.user, read_seq=seq)
        await reader.send("typing", channel=room)
        await author.expect("typing", user=bob.user)

        await join(late, room)
        seq = (await author.post(room, "l", "two"))["seq"]
        await reader.expect("event", seq=seq)
        await reader.send("read", channel=room, seq=seq)
        await author.expect("seen", seq=seq, count=1)
        await reader.send("typing", channel=room)
        await reader.round_trip()

        await leave(late, room)
        seq = (await author.post(room, "m", "three"))["seq"]
        await reader.expect("event", seq=seq)
        await reader.send("read", channel=room, seq=seq)
        await author.expect("receipt", user=bob.user, read_seq=seq)
        assert len(author.received("receipt")) == 2
        assert len(author.received("typing")) == 1


async def test_joining_and_leaving_a_large_channel_makes_no_entry_and_is_counted(world: World, people: list[Api]) -> None:
    ann, *others = people
    room = await world.room(ann, *others[:NAMED], kind="public")
    head = (await ann.log(room))[-1]["seq"]
    late = others[NAMED]
    async with live(ann) as member, live(late) as newcomer, staying(member, newcomer):
        joined = await join(late, room)
        assert (joined["members"], joined["seq"]) == (NAMED + 2, head)
        assert (await newcomer.expect("joined"))["channel"]["seq"] == head
        assert (await member.expect("members", 15, channel=room))["count"] == NAMED + 2
        seq = (await member.post(room, "k", "welcome"))["seq"]
        assert seq == head + 1
        await newcomer.expect("event", seq=seq)
        await leave(late, room)
        await newcomer.expect("left", channel=room)
        assert (await member.expect("members", 15, channel=room, count=NAMED + 1))["count"] == NAMED + 1
        await member.post(room, "l", "too late")
        await newcomer.round_trip()
        assert [event["seq"] for event in newcomer.received("event")] == [seq]
    assert [entry["kind"] for entry in await ann.log(room, head)] == ["message.posted"] * 2


async def test_nothing_reaches_who_left_a_large_channel_while_others_write(world: World, people: list[Api]) -> None:
    """Fences hold while members join and leave on one gateway and write on the other."""
    ann, *others = people
    room = await world.room(ann, *others[: NAMED - 2], kind="public")
    guests = others[NAMED - 2 :]
    done = asyncio.Event()

    async def write() -> None:
        async with live(world.elsewhere(ann)) as author:
            number = 0
            while not done.is_set():
                number += 1
                await author.post(room, str(number), f"message {number}")

    async def come_and_go(guest: Api) -> None:
        async with live(guest) as socket:
            for _ in range(5):
                await join(guest, room)
                start = (await socket.expect("joined"))["channel"]["seq"]
                await socket.expect("event", channel=room, seq=start + 1)
                await leave(guest, room)
                head = (await ann.ok("GET", f"/v1/channels/{room}"))["seq"]
                await socket.expect("left", channel=room)
                await socket.round_trip()
                numbers = [event["seq"] for event in socket.received("event", channel=room) if event["seq"] > start]
                assert numbers == list(range(start + 1, start + 1 + len(numbers)))
                assert numbers[-1] <= head

    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write())
        async with asyncio.TaskGroup() as coming:
            for guest in guests:
                coming.create_task(come_and_go(guest))
        done.set()
        await writing


async def test_members_are_paged_sorted_and_searched(world: World, people: list[Api]) -> None:
    ann, *others = people
    room = await world.room(ann, *others[:NAMED], kind="public")
    path = f"/v1/channels/{room}/members"
    first = await ann.ok("GET", f"{path}?limit=60", shape=shapes.members)
    rest = await ann.ok("GET", f"{path}?limit=60&cursor={first['next']}", shape=shapes.members)
    assert "next" not in rest
    assert first["total"] == NAMED + 1
    listed = [member["user"] for member in (*first["items"], *rest["items"])]
    assert listed == [ann.user, *sorted(other.user for other in others[:NAMED])]
    found = await ann.ok("GET", f"{path}?q=U01", shape=shapes.members)
    assert [member["user"] for member in found["items"]] == [f"u{number:03}" for number in range(10, 20)]
    one = await ann.ok("GET", f"{path}?user=u017", shape=shapes.members)
    assert [member["user"] for member in one["items"]] == ["u017"]
    assert (await ann.ok("GET", f"{path}?user=stranger", shape=shapes.members))["items"] == []
