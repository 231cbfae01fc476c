"""What one delivery costs the gateway, in counts: a regression fails here on any machine, however busy."""

import pytest

from bench.tests.counting import blocks, instructions
from bench.tests.hubs import PAYLOAD, Room
from sendmany import NATIVE

INSTRUCTIONS_ALONE = 80
INSTRUCTIONS_JOINED = 22
"""Bytecode instructions. Measured 66 and 18.2 (sixteen messages joined)."""
compiled = pytest.mark.skipif(not NATIVE, reason="the stand-in of sendmany leaves every write to Python")


async def test_a_tick_makes_one_write_per_socket_however_many_messages_it_brings() -> None:
    with Room.of(300) as room:
        await _deliver(room, 16)
        assert room.writes == 300
        assert room.size == 300 * 16 * (len(PAYLOAD) + 4)
        assert room.left_over == (0 if NATIVE else 300)


@compiled
async def test_a_delivery_alone_takes_few_instructions() -> None:
    assert await _instructions_per_delivery(messages=1) <= INSTRUCTIONS_ALONE


@compiled
async def test_a_joined_delivery_takes_fewer() -> None:
    assert await _instructions_per_delivery(messages=16) <= INSTRUCTIONS_JOINED


async def test_a_message_costs_the_same_whatever_else_the_hub_holds() -> None:
    with Room.of(1) as room:
        alone = await instructions(lambda: _written(room, 1))
        for number in range(100):
            room.open(f"stranger-{number}", f"channel-{number}")
        assert await instructions(lambda: _written(room, 1)) == alone


async def test_delivering_keeps_nothing() -> None:
    with Room.of(200) as room:
        await _deliver(room, 16)
        before = blocks()
        for _ in range(10):
            await _deliver(room, 16)
        assert blocks() - before < 10


async def test_deliveries_under_way_are_held_once_for_all() -> None:
    with Room.of(200) as room:
        await _deliver(room, 4)
        before = blocks()
        room.say(4)  # 800 deliveries: four frames, and what waits before each, shared by all sockets
        waiting = blocks() - before
        await room.until_written()
        assert waiting <= 50


async def _deliver(room: Room, messages: int) -> None:
    await _written(room, messages)
    room.read()


async def _written(room: Room, messages: int) -> None:
    room.say(messages)
    await room.until_written()


async def _instructions_per_delivery(*, messages: int) -> float:
    """The slope between two sizes of room: what depends on the number of deliveries, without what a message costs anyway."""
    with Room.of(50) as small, Room.of(250) as large:
        few = await instructions(lambda: _written(small, messages))
        many = await instructions(lambda: _written(large, messages))
    return (many - few) / (200 * messages)
