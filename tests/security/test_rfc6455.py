"""RFC 6455 over raw TCP against the running gateway, in the sections of autobahntestsuite.

That suite (Python 2) needs an echo server; `echo_gateway` provides one. Here its cases use the gateway's own protocol: a `ping`
frame stands for a message, its `pong` for the echo. Sections 12 and 13 test compression, which the gateway never negotiates.
"""

import asyncio
import json
from typing import Any

import pytest

from tests.client import Api
from tests.client.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    Wire,
    spell,
    wire,
)
from tests.flow.world import World

PROTOCOL_ERROR, UNSUPPORTED, NOT_UTF8, TOO_BIG = 1002, 1003, 1007, 1009
FRAME_BYTES = 65_536
ASKED = json.dumps({"type": "ping", "ref": "?"}).encode()


@pytest.fixture
async def ann(world: World) -> Api:
    return await world.person("ann")


def asking(size: int) -> bytes:
    """A `ping` of exactly `size` bytes."""
    empty = len(json.dumps({"type": "ping", "ref": ""}))
    return json.dumps({"type": "ping", "ref": "x" * (size - empty)}).encode()


async def answered(connection: Wire, ref: Any = "?") -> None:
    """Check that the next frame answers a `ping`."""
    answer = await connection.message()
    assert (answer["type"], answer["ref"]) == ("pong", ref)


async def lives(connection: Wire) -> None:
    await connection.send(spell(TEXT, ASKED))
    await answered(connection)


# 1: framing


@pytest.mark.parametrize("size", [40, 125, 126, 127, 128, 65_535, 65_536])
@pytest.mark.parametrize("chop", [0, 997], ids=["at once", "in pieces"])
async def test_1_a_text_of_any_length_is_read_however_it_arrives(ann: Api, size: int, chop: int) -> None:
    async with wire(ann) as connection:
        data = asking(size)
        await connection.send(spell(TEXT, data), chop=chop)
        await answered(connection, json.loads(data)["ref"])


async def test_1_frames_that_arrive_byte_by_byte_or_together_are_each_read(ann: Api) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, asking(200)), chop=1)
        assert (await connection.message())["type"] == "pong"
        await connection.send(*(spell(TEXT, json.dumps({"type": "ping", "ref": number}).encode()) for number in range(100)))
        for number in range(100):
            await answered(connection, number)


async def test_1_frames_sent_together_with_the_handshake_are_read(ann: Api) -> None:
    async with wire(ann, rest=spell(TEXT, ASKED) + spell(PING, b"early")) as connection:
        answers = [await connection.frame(), await connection.frame()]
        assert sorted(answer.opcode for answer in answers) == [TEXT, PONG]


@pytest.mark.parametrize("size", [0, 125, 126, 65_536])
async def test_1_binary_of_any_length_closes_with_1003(ann: Api, size: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(BINARY, b"\xfe" * size))
        assert await connection.ended() == UNSUPPORTED


@pytest.mark.parametrize("frame", [spell(TEXT, ASKED, masked=False), spell(PING, b"", masked=False)], ids=["text", "ping"])
async def test_1_a_frame_without_a_mask_closes_with_1002(ann: Api, frame: bytes) -> None:
    async with wire(ann) as connection:
        await connection.send(frame)
        assert await connection.ended() == PROTOCOL_ERROR


@pytest.mark.parametrize(("length", "form"), [(20, 16), (20, 64), (1_000, 64), (1 << 63, 64)])
async def test_1_a_length_that_is_not_encoded_in_the_shortest_way_closes_with_1002(ann: Api, length: int, form: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, b"x" * min(length, 1_000), length=length, form=form))
        assert await connection.ended() == PROTOCOL_ERROR


# 2: pings and pongs


@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe\xfd", b"\xfe" * 125], ids=["empty", "text", "binary", "125"])
@pytest.mark.parametrize("chop", [0, 1], ids=["at once", "byte by byte"])
async def test_2_a_ping_is_answered_with_its_payload(ann: Api, payload: bytes, chop: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(PING, payload), chop=chop)
        assert await connection.frame() == Frame(PONG, payload)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_2_a_control_frame_over_125_bytes_closes_with_1002(ann: Api, opcode: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(opcode, b"\x03\xe8" + b"x" * 124))
        assert await connection.ended() == PROTOCOL_ERROR


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
async def test_2_an_unsolicited_pong_is_ignored(ann: Api, payload: bytes) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(PONG, payload), spell(PING, b"after"))
        assert await connection.frame() == Frame(PONG, b"after")


@pytest.mark.parametrize("chop", [0, 1])
async def test_2_many_pings_are_answered_in_their_order(ann: Api, chop: int) -> None:
    async with wire(ann) as connection:
        await connection.send(*(spell(PING, b"%d" % number) for number in range(10)), chop=chop)
        assert [(await connection.frame()).payload for _ in range(10)] == [b"%d" % number for number in range(10)]


# 3: reserved bits


@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, PING, CLOSE])
async def test_3_a_reserved_bit_closes_with_1002_and_what_came_before_is_answered(ann: Api, reserved: int, opcode: int) -> None:
    async with wire(ann) as connection:
        payload = b"\x03\xe8" if opcode == CLOSE else ASKED
        await connection.send(spell(TEXT, ASKED), spell(opcode, payload, reserved=reserved), spell(PING, b"never"))
        await answered(connection)
        assert await connection.ended() == PROTOCOL_ERROR


# 4: opcodes


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"reserved opcode payload"], ids=["empty", "with payload"])
async def test_4_a_reserved_opcode_closes_with_1002(ann: Api, opcode: int, payload: bytes) -> None:
    """Earlier frames are answered, unless they came in the same read: a failing connection may drop unanswered frames."""
    async with wire(ann) as connection:
        await lives(connection)
        await connection.send(spell(opcode, payload), spell(PING, b"never"))
        assert await connection.ended() == PROTOCOL_ERROR
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, ASKED), spell(opcode, payload), spell(PING, b"never"))
        assert await connection.ended() == PROTOCOL_ERROR


# 5: fragmentation


def pieces(data: bytes, size: int) -> list[bytes]:
    """A text in fragments of `size` bytes."""
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    last = len(parts) - 1
    return [spell(TEXT if not index else CONTINUATION, part, fin=index == last) for index, part in enumerate(parts)]


@pytest.mark.parametrize("size", [1, 7, 20])
@pytest.mark.parametrize("chop", [0, 1], ids=["at once", "byte by byte"])
async def test_5_a_text_in_fragments_is_one_text(ann: Api, size: int, chop: int) -> None:
    async with wire(ann) as connection:
        await connection.send(*pieces(ASKED, size), chop=chop)
        await answered(connection)


async def test_5_empty_fragments_are_fragments(ann: Api) -> None:
    async with wire(ann) as connection:
        empty = spell(CONTINUATION, b"", fin=False)
        await connection.send(spell(TEXT, b"", fin=False), empty, empty, spell(CONTINUATION, ASKED, fin=False), empty)
        await connection.send(spell(CONTINUATION))
        await answered(connection)


async def test_5_control_frames_between_fragments_are_answered_at_once(ann: Api) -> None:
    async with wire(ann) as connection:
        first, second, *others = pieces(ASKED, 10)
        await connection.send(first, spell(PING, b"between"))
        assert await connection.frame() == Frame(PONG, b"between")
        await connection.send(second, spell(PONG), *others)
        await answered(connection)


async def test_5_a_close_between_fragments_ends_it(ann: Api) -> None:
    async with wire(ann) as connection:
        await connection.send(pieces(ASKED, 10)[0], spell(CLOSE, b"\x03\xe8"))
        assert await connection.ended() == 1000


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_5_a_control_frame_in_fragments_closes_with_1002(ann: Api, opcode: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(opcode, b"", fin=False), spell(CONTINUATION))
        assert await connection.ended() == PROTOCOL_ERROR


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize(
    "before", [[], [spell(TEXT, ASKED)], pieces(ASKED, 10)], ids=["first", "after a text", "after fragments"]
)
async def test_5_a_continuation_of_nothing_closes_with_1002(ann: Api, fin: bool, before: list[bytes]) -> None:
    async with wire(ann) as connection:
        await connection.send(*before, spell(CONTINUATION, ASKED, fin=fin))
        if before:
            await answered(connection)
        assert await connection.ended() == PROTOCOL_ERROR


@pytest.mark.parametrize("fin", [True, False])
async def test_5_a_text_within_a_text_closes_with_1002(ann: Api, fin: bool) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, ASKED[:5], fin=False), spell(TEXT, ASKED[5:], fin=fin))
        assert await connection.ended() == PROTOCOL_ERROR


# 6: UTF-8

VALID = [
    "κόσμε",
    "\x7f\u0080\u07ff\u0800\uffff",
    "\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffd",
    "\ufffe\uffff\ufdd0",
    "Hello-µ@ßöäüàá-UTF-8!!",
]
INVALID = {
    "a lone continuation": b"\x80",
    "the other lone continuation": b"\xbf",
    "a lead without continuation": b"\xc3 ",
    "cut off": b"\xe2\x82",
    "overlong slash": b"\xc0\xaf",
    "overlong NUL": b"\xe0\x80\x80",
    "overlong in four": b"\xf0\x80\x80\xaf",
    "a high surrogate": b"\xed\xa0\x80",
    "a low surrogate": b"\xed\xbf\xbf",
    "surrogates in pairs": b"\xed\xa0\x80\xed\xb0\x80",
    "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
}


@pytest.mark.parametrize("text", VALID, ids=ascii)
async def test_6_valid_utf_8_is_a_text_wherever_it_is_cut(ann: Api, text: str) -> None:
    ref = text.replace("\x7f", "")
    data = json.dumps({"type": "ping", "ref": ref}, ensure_ascii=False).encode()
    async with wire(ann) as connection:
        for frames, chop in (([spell(TEXT, data)], 0), ([spell(TEXT, data)], 1), (pieces(data, 1), 0), (pieces(data, 2), 1)):
            await connection.send(*frames, chop=chop)
            await answered(connection, ref)


@pytest.mark.parametrize("bad", INVALID.values(), ids=INVALID.keys())
async def test_6_invalid_utf_8_closes_with_1007(ann: Api, bad: bytes) -> None:
    data = b'{"type":"ping","ref":"' + bad + b'"}'
    for frames in ([spell(TEXT, data)], pieces(data, 1)):
        async with wire(ann) as connection:
            await connection.send(*frames)
            assert await connection.ended() == NOT_UTF8


@pytest.mark.parametrize("bad", INVALID.values(), ids=INVALID.keys())
async def test_6_invalid_utf_8_fails_before_the_message_is_whole(ann: Api, bad: bytes) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, b'{"type":"ping","ref":"', fin=False), spell(CONTINUATION, bad + b"x", fin=False))
        assert await connection.ended() == NOT_UTF8


# 7: closing


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
async def test_7_a_close_is_answered_with_its_code_and_then_the_connection_ends(ann: Api, code: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(CLOSE, code.to_bytes(2, "big") + "auf Wiedersehen, größer".encode()))
        assert await connection.ended() == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_7_a_code_that_must_not_be_sent_closes_with_1002(ann: Api, code: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(CLOSE, code.to_bytes(2, "big")))
        assert await connection.ended() == PROTOCOL_ERROR


async def test_7_a_close_without_a_code_is_answered_without_one(ann: Api) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(CLOSE))
        assert await connection.frames() == [Frame(CLOSE, b"")]


async def test_7_a_close_of_one_byte_closes_with_1002(ann: Api) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(CLOSE, b"\x03"))
        assert await connection.ended() == PROTOCOL_ERROR


async def test_7_the_longest_reason_is_taken_and_one_that_is_no_utf_8_closes_with_1007(ann: Api) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(CLOSE, b"\x03\xe8" + b"x" * 123))
        assert await connection.ended() == 1000
    async with wire(ann) as connection:
        await connection.send(spell(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"))
        assert await connection.ended() == NOT_UTF8


@pytest.mark.parametrize("close", [b"\x03\xe8", b"\x0f\xa0bye", b""], ids=["1000", "4000", "no code"])
@pytest.mark.parametrize(
    "late",
    [[spell(PING, b"late"), spell(TEXT, ASKED)], [spell(CLOSE)], [spell(CLOSE, b"\x03\xe9")], [spell(3)], [b"\xff" * 200]],
    ids=["a text", "a close", "another close", "a reserved opcode", "garbage"],
)
async def test_7_frames_after_a_close_are_ignored(ann: Api, close: bytes, late: list[bytes]) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(CLOSE, close), *late)
        assert await connection.frames() == [Frame(CLOSE, close[:2])]


async def test_7_a_text_before_a_close_is_answered_first(ann: Api) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, ASKED), spell(CLOSE, b"\x03\xe8"), spell(CLOSE, b"\x03\xe8"))
        await answered(connection)
        assert await connection.ended() == 1000


@pytest.mark.parametrize(
    "late", [spell(3), spell(CLOSE, b"\x03"), spell(TEXT, masked=False)], ids=["a reserved opcode", "an unfit close", "no mask"]
)
async def test_7_nothing_follows_the_servers_close_after_later_errors(ann: Api, late: bytes) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, b"\xff"))
        assert (await connection.frame()).payload[:2] == NOT_UTF8.to_bytes(2, "big")
        await connection.send(late)
        assert await connection.frames() == []


# 9: limits


async def test_9_a_message_of_the_limit_is_taken_whole_and_in_fragments(ann: Api) -> None:
    data = asking(FRAME_BYTES)
    async with wire(ann) as connection:
        for frames in ([spell(TEXT, data)], pieces(data, 1_300), pieces(data, 64)):
            await connection.send(*frames)
            await answered(connection, json.loads(data)["ref"])


@pytest.mark.parametrize("length", [FRAME_BYTES + 1, 1 << 20, 1 << 32, (1 << 63) - 1])
async def test_9_a_frame_that_announces_more_than_the_limit_closes_with_1009_at_once(ann: Api, length: int) -> None:
    async with wire(ann) as connection:
        await connection.send(spell(TEXT, b"{", length=length))
        assert await connection.ended() == TOO_BIG


async def test_9_fragments_that_amount_to_more_than_the_limit_close_with_1009(ann: Api) -> None:
    async with wire(ann) as connection:
        await connection.send(*pieces(asking(FRAME_BYTES + 1), 60_000))
        assert await connection.ended() == TOO_BIG


# all sections


async def test_a_hundred_sockets_that_break_the_rules_leave_the_others_alone(ann: Api, world: World) -> None:
    async with wire(await world.person("bob")) as witness:
        for number in range(100):
            async with wire(ann) as connection:
                await connection.send(spell(3 + number % 5, b"\xff" * (number % 120)))
                async with asyncio.timeout(10):
                    assert await connection.ended() == PROTOCOL_ERROR
        await lives(witness)
