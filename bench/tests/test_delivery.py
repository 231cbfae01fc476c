"""What one delivery costs the gateway, counted rather than timed, so that these tests hold on a busy machine too.

Each limit leaves room for another version of Python or a small change. It is there to notice work that is repeated for each
delivery, such as encoding a frame again, and not to measure: `make bench` measures.
"""

import pytest

from bench.tests.counting import blocks, instructions
from bench.tests.hubs import CHANNEL, PAYLOAD, Room
from gateway.socketio.wire import SOCKET_IO
from sendmany import NATIVE

INSTRUCTIONS = 100
"""Bytecode instructions for one delivery of one message. Measured 66."""
native = pytest.mark.skipif(not NATIVE, reason="without the C extension of sendmany, Python writes to each socket")


async def test_a_tick_makes_one_write_per_socket_however_many_messages_it_brings() -> None:
    with Room.of(300) as room:
        await _deliver(room, 16)
        assert room.writes == 300
        assert room.size == 300 * 16 * (len(PAYLOAD) + 4)
        assert room.left_over == (0 if NATIVE else 300)


@native
async def test_a_delivery_takes_few_instructions() -> None:
    assert await _instructions_per_delivery(messages=1) <= INSTRUCTIONS


@native
async def test_sixteen_messages_joined_in_one_write_cost_less_than_half_as_much_each() -> None:
    alone, joined = [await _instructions_per_delivery(messages=count) for count in (1, 16)]
    assert joined < alone / 2


async def test_other_channels_do_not_make_a_message_more_expensive() -> None:
    with Room.of(1) as room:
        alone = await instructions(lambda: _written(room, 1))
        for number in range(100):
            room.open(f"user-of-another-{number}", f"channel-{number}")
        assert await instructions(lambda: _written(room, 1)) < 1.2 * alone


async def test_delivering_leaves_nothing_in_memory_but_the_tail_of_the_channel() -> None:
    with Room.of(200) as room:
        await _deliver(room, 16)
        room.hub.tails.clear()
        before = blocks()
        for _ in range(10):
            await _deliver(room, 16)
        room.hub.tails.clear()
        assert blocks() - before < 10


async def test_a_frame_that_waits_to_be_written_is_shared_by_all_sockets() -> None:
    with Room.of(200) as room:
        await _deliver(room, 4)
        before = blocks()
        room.say(4)  # 800 deliveries of four frames
        waiting = blocks() - before
        await room.until_written()
        assert waiting <= 50


async def test_a_packet_is_made_once_for_all_socketio_clients_that_get_the_event_in_different_writes() -> None:
    events = [b'{"type":"event","channel":"%s","seq":%d,"data":{}}' % (CHANNEL.encode(), seq) for seq in range(16)]

    async def join() -> None:
        SOCKET_IO.join(events)

    first = await instructions(join)
    assert await instructions(join) < first / 2


async def _deliver(room: Room, messages: int) -> None:
    await _written(room, messages)
    room.read()


async def _written(room: Room, messages: int) -> None:
    room.say(messages)
    await room.until_written()


async def _instructions_per_delivery(*, messages: int) -> float:
    """The slope between two sizes of room: the cost of a delivery without the fixed cost of a message."""
    with Room.of(50) as small, Room.of(250) as large:
        few = await instructions(lambda: _written(small, messages))
        many = await instructions(lambda: _written(large, messages))
    return (many - few) / (200 * messages)
