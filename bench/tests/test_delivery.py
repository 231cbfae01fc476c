"""What one delivery costs the gateway, in counts: a regression fails here on any machine, however busy."""

from bench.tests.counting import blocks, instructions
from bench.tests.hubs import PAYLOAD, CountingTransport, Room

INSTRUCTIONS_ALONE = 83
INSTRUCTIONS_JOINED = 20
"""Measured 79 and 18.1 (sixteen messages joined), of which the counting transport itself takes 18 of each write."""


async def test_a_tick_makes_one_write_per_socket_however_many_messages_it_brings() -> None:
    room = Room(300)
    room.say(16)
    await room.until_written()
    assert room.writes == 300
    assert room.size == 300 * 16 * (len(PAYLOAD) + 4)


async def test_a_delivery_alone_takes_few_instructions() -> None:
    assert await _instructions_per_delivery(messages=1) <= INSTRUCTIONS_ALONE


async def test_a_joined_delivery_takes_fewer() -> None:
    assert await _instructions_per_delivery(messages=16) <= INSTRUCTIONS_JOINED


async def test_a_message_costs_the_same_whatever_else_the_hub_holds() -> None:
    room = Room(1)
    alone = await instructions(lambda: _deliver(room, 1))
    for number in range(100):
        room.open(f"stranger-{number}", f"channel-{number}", CountingTransport())
    assert await instructions(lambda: _deliver(room, 1)) == alone


async def test_delivering_keeps_nothing() -> None:
    room = Room(200)
    await _deliver(room, 16)
    before = blocks()
    for _ in range(10):
        await _deliver(room, 16)
    assert blocks() - before < 10


async def test_a_delivery_under_way_holds_at_most_one_block() -> None:
    room = Room(200)
    await _deliver(room, 4)
    before = blocks()
    room.say(4)  # four deliveries wait at each socket: one list, whose frames are shared by all
    waiting = blocks() - before
    await room.until_written()
    assert waiting <= 200 + 50


async def _deliver(room: Room, messages: int) -> None:
    room.say(messages)
    await room.until_written()


async def _instructions_per_delivery(*, messages: int) -> float:
    """The slope between two sizes of room: what depends on the number of deliveries, without what a message costs anyway."""
    small, large = Room(50), Room(250)
    few = await instructions(lambda: _deliver(small, messages))
    many = await instructions(lambda: _deliver(large, messages))
    return (many - few) / (200 * messages)
