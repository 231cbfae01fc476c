"""What clients notice when a gateway stops or is killed."""

import asyncio
import signal

from tests.client import connect
from tests.flow.world import World, keep_alive, live


async def test_a_stopping_gateway_sends_reconnect_and_closes_with_1012(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob) as socket:
        pid = world.stack.kill("gateway-1", signal.SIGTERM)
        assert (await socket.expect("reconnect"))["after_ms"] >= 0
        assert await socket.closed() == 1012
    head = (await ann.post(room, "meanwhile"))["seq"]
    async with live(world.elsewhere(bob), **{room: 0}) as again:
        await again.expect("event", seq=head)
    await world.stack.started("gateway-1", after=pid)
    await world.stack.serving("gateway-1")


async def test_what_was_sent_just_before_a_gateway_stops_is_acknowledged_or_safe_to_repeat(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob) as socket:
        for number in range(100):
            await socket.send("send", ref=number, channel=room, key=str(number), text=str(number))
        pid = world.stack.kill("gateway-1", signal.SIGTERM)
        await socket.closed()
        acked = {ack["ref"]: ack["seq"] for ack in socket.received("ack")}
    async with live(world.elsewhere(bob)) as again:
        for number in range(100):
            answer = await again.post(room, str(number), str(number))
            assert answer["type"] == "ack"
            assert acked.get(number, answer["seq"]) == answer["seq"]
    assert (await ann.log(room))[-1]["seq"] == 3 + 100
    await world.stack.started("gateway-1", after=pid)
    await world.stack.serving("gateway-1")


async def test_users_of_a_killed_gateway_are_offline_within_15_seconds(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    async with live(ann) as watcher, connect(bob), asyncio.TaskGroup() as group:
        alive = group.create_task(keep_alive(watcher))
        await watcher.send("watch", users=["bob"])
        await watcher.expect("presence", user="bob", status="online")
        pid = world.stack.kill("gateway-1")
        await watcher.expect("presence", within=15, user="bob", status="offline")
        alive.cancel()
    await world.stack.started("gateway-1", after=pid)
    await world.stack.serving("gateway-1")
