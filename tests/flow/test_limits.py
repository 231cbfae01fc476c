"""The limits of a connection, and the close code of each."""

import asyncio
import contextlib
import itertools
import uuid
from typing import Any

from tests.client import Closed, Socket, connect
from tests.flow.world import World, keep_alive, live


async def test_silence_for_twice_the_heartbeat_closes_with_4003_and_a_frame_in_each_keeps_it_open(world: World) -> None:
    async with connect(await world.person("ann")) as silent, connect(await world.person("bob")) as alive:
        heartbeat = silent.hello["heartbeat_seconds"]
        pings = asyncio.create_task(keep_alive(alive))
        assert await silent.closed(within=4 * heartbeat) == 4003
        await alive.round_trip()
        pings.cancel()


async def test_an_expired_token_closes_with_4001(world: World) -> None:
    ann = await world.person("ann", ttl=2)
    async with connect(ann) as socket:
        pings = asyncio.create_task(keep_alive(socket))
        assert await socket.closed(within=45) == 4001
        pings.cancel()
    await ann.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")


async def test_beyond_the_connections_of_one_user_the_newest_closes_with_4503(world: World) -> None:
    ann = await world.person("ann")
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(ann))]
        while len(sockets) < sockets[0].hello["limits"]["connections"]:
            sockets.append(await stack.enter_async_context(connect(ann)))
        newest = await stack.enter_async_context(connect(ann))
        assert await newest.closed() == 4503
        for socket in sockets:
            await socket.round_trip()


async def test_sending_beyond_the_burst_is_rate_limited_and_says_how_long_to_wait(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    async with live(ann) as socket:
        count = int(socket.hello["limits"]["burst"]) + 50
        last: dict[str, Any] = {"type": "ack"}
        while (
            last["type"] == "ack"
        ):  # until the last frame is refused, so that no later frame takes the allowance for which it waits
            keys = [str(uuid.uuid4()) for _ in range(count)]
            for key in keys:
                await socket.send("send", ref=key, channel=room, key=key, text="x")
            last = [await socket.answer(key) for key in keys][-1]
        assert last["reason"] == "RATE_LIMITED"
        assert 0 < last["retry_after"] < 60
        await asyncio.sleep(last["retry_after"])
        again = await socket.post(room, last["ref"], "x")
        assert again["type"] == "ack"
        assert "duplicate" not in again  # what was refused was not stored


async def test_flooding_for_ten_seconds_closes_with_4004(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    async with live(ann) as socket:
        thrice = 3 * int(socket.hello["limits"]["sends_per_second"])
        flooding = asyncio.create_task(overdo(socket, room, thrice))
        assert await socket.closed(within=40) == 4004
        await flooding
    numbers = {event["data"].get("key"): event["seq"] for event in await ann.log(room)}
    acknowledged = {ack["ref"]: ack["seq"] for ack in socket.received("ack")}
    assert acknowledged
    assert {ref: numbers.get(ref) for ref in acknowledged} == acknowledged
    refused = {error["ref"] for error in socket.received("error", reason="RATE_LIMITED")}
    assert refused
    assert not refused & numbers.keys()


async def overdo(socket: Socket, room: str, per_second: int) -> None:
    """Send at a steady rate, regardless of the answers; catch up after a delay."""
    clock = asyncio.get_running_loop().time
    began = clock()
    with contextlib.suppress(Closed):
        for number in itertools.count():
            await socket.send("send", ref=str(number), channel=room, key=str(number), text="x")
            await asyncio.sleep(max(0.0, began + number / per_second - clock()))


async def test_a_client_that_was_disconnected_catches_up_on_return(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob, **{room: 0}) as socket:
        await socket.drop()
    head = (await ann.post(room, "meanwhile"))["seq"]
    async with live(bob, **{room: 1}) as socket:
        await socket.expect("event", seq=head)
        assert [event["seq"] for event in socket.received("event")] == list(range(2, head + 1))


async def test_many_sends_without_waiting_are_numbered_in_their_order(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as writer, live(bob) as reader:
        for number in range(100):
            await writer.send("send", ref=number, channel=room, key=str(uuid.uuid4()), text=str(number))
        acks = [await writer.expect("ack", ref=number) for number in range(100)]
        await reader.expect("event", seq=acks[-1]["seq"])
        assert [ack["seq"] for ack in acks] == sorted(ack["seq"] for ack in acks)
        said = [event["data"]["text"] for event in reader.received("event", kind="message.posted")]
        assert said == [str(number) for number in range(100)]
