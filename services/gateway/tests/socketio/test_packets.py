"""The codec: every packet survives the way there and back, and what is no packet is recognised without delay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.socketio import engine_packets, socket_packets
from gateway.socketio.engine_packets import MalformedPacketError
from gateway.socketio.socket_packets import MAX_ATTACHMENTS, MAX_ID, Decoder

TEXT = st.text().map(lambda text: text.replace("\x1e", "").encode(errors="replace"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)
JSON_OBJECTS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON_VALUES, max_size=4)
NAMESPACES = st.just("/") | st.text(st.characters(exclude_categories=["Cs"], exclude_characters=","), max_size=20).map(
    lambda name: "/" + name
)
IDS = st.none() | st.integers(0, MAX_ID)
MAX_BYTES = 1_000


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


@st.composite
def engine_packet(draw: st.DrawFn) -> engine_packets.Packet:
    if draw(st.booleans()):
        return engine_packets.Packet(engine_packets.Type.MESSAGE, draw(st.binary()), binary=True)
    return engine_packets.Packet(draw(st.sampled_from(engine_packets.Type)), draw(TEXT))


@st.composite
def socket_packet(draw: st.DrawFn) -> socket_packets.Packet:
    kind = draw(st.sampled_from(socket_packets.Type))
    namespace = draw(NAMESPACES)
    match kind:
        case socket_packets.Type.CONNECT:
            return socket_packets.Packet(kind, namespace, data=draw(st.just(b"") | JSON_OBJECTS.map(dumped)))
        case socket_packets.Type.CONNECT_ERROR:
            return socket_packets.Packet(kind, namespace, data=draw(JSON_OBJECTS.map(dumped)))
        case socket_packets.Type.DISCONNECT:
            return socket_packets.Packet(kind, namespace)
        case socket_packets.Type.EVENT | socket_packets.Type.BINARY_EVENT:
            number, least = draw(IDS), 1
        case _:
            number, least = draw(st.integers(0, MAX_ID)), 0
    data = dumped(draw(st.lists(JSON_VALUES, min_size=least, max_size=4)))
    binary = kind in (socket_packets.Type.BINARY_EVENT, socket_packets.Type.BINARY_ACK)
    attachments = draw(st.lists(st.binary(max_size=50), max_size=MAX_ATTACHMENTS)) if binary else ()
    return socket_packets.Packet(kind, namespace, number, data, tuple(attachments))


def decoded(decoder: Decoder, packet: socket_packets.Packet) -> socket_packets.Packet | None:
    found = decoder.text(socket_packets.encode(packet))
    for attachment in packet.attachments:
        assert found is None
        found = decoder.binary(attachment)
    return found


@given(st.lists(engine_packet(), min_size=1, max_size=40))
def test_a_payload_survives_the_way_there_and_back(packets: list[engine_packets.Packet]) -> None:
    assert list(engine_packets.decode_payload(engine_packets.encode_payload(packets))) == packets


@given(engine_packet().filter(lambda packet: not packet.binary))
def test_a_text_message_survives_the_way_there_and_back(packet: engine_packets.Packet) -> None:
    assert engine_packets.decode_text(engine_packets.encode_text(packet)) == packet


@given(st.binary())
def test_any_payload_is_decoded_or_refused(payload: bytes) -> None:
    try:
        packets = list(engine_packets.decode_payload(payload))
    except MalformedPacketError:
        return
    assert len(packets) == payload.count(b"\x1e") + 1


def test_the_examples_of_the_engine_protocol() -> None:
    payload = b"4hello\x1e2\x1e4world\x1ebAQIDBA=="
    assert list(engine_packets.decode_payload(payload)) == [
        engine_packets.Packet(engine_packets.Type.MESSAGE, b"hello"),
        engine_packets.Packet(engine_packets.Type.PING),
        engine_packets.Packet(engine_packets.Type.MESSAGE, b"world"),
        engine_packets.Packet(engine_packets.Type.MESSAGE, b"\x01\x02\x03\x04", binary=True),
    ]


@pytest.mark.parametrize(
    "payload", [b"", b"abc", b"7", b"\x1e", b"4a\x1e", b"\x1e4a", b"b!", b"bAQIDBA", b"bAQ ID", "4ä\x1eé".encode()]
)
def test_what_is_no_payload_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        list(engine_packets.decode_payload(payload))


def test_a_burst_of_packets_in_one_payload_is_decoded_whole() -> None:
    assert len(list(engine_packets.decode_payload(b"\x1e".join([b"4x"] * 10_000)))) == 10_000


@given(st.lists(socket_packet(), max_size=5))
def test_packets_of_one_session_survive_the_way_there_and_back(packets: list[socket_packets.Packet]) -> None:
    decoder = Decoder(MAX_BYTES)
    for packet in packets:
        assert decoded(decoder, packet) == packet
        assert not decoder.waiting


@given(
    st.lists(
        JSON_VALUES | st.binary() | st.lists(st.binary()) | st.dictionaries(st.text(alphabet="abc"), st.binary()), max_size=4
    )
)
def test_binary_arguments_survive_the_way_there_and_back(arguments: list[Any]) -> None:
    data, attachments = socket_packets.without_attachments(arguments)
    packet = socket_packets.Packet(socket_packets.Type.BINARY_ACK, "/", 1, data, attachments)
    assert socket_packets.with_attachments(packet) == arguments


@given(st.binary())
def test_any_text_is_decoded_or_refused(text: bytes) -> None:
    decoder = Decoder(MAX_BYTES)
    try:
        decoder.text(text)
    except MalformedPacketError:
        assert not decoder.waiting


EXAMPLES = {
    b"0": socket_packets.Packet(socket_packets.Type.CONNECT),
    b'0/admin,{"sid":"o"}': socket_packets.Packet(socket_packets.Type.CONNECT, "/admin", data=b'{"sid":"o"}'),
    b"0/admin": socket_packets.Packet(socket_packets.Type.CONNECT, "/admin"),
    b'4{"message":"Not authorized"}': socket_packets.Packet(
        socket_packets.Type.CONNECT_ERROR, data=b'{"message":"Not authorized"}'
    ),
    b'2["foo"]': socket_packets.Packet(socket_packets.Type.EVENT, data=b'["foo"]'),
    b'2/admin,["bar"]': socket_packets.Packet(socket_packets.Type.EVENT, "/admin", data=b'["bar"]'),
    b'212["foo"]': socket_packets.Packet(socket_packets.Type.EVENT, id=12, data=b'["foo"]'),
    b'3/admin,13["bar"]': socket_packets.Packet(socket_packets.Type.ACK, "/admin", 13, b'["bar"]'),
    b"1/admin,": socket_packets.Packet(socket_packets.Type.DISCONNECT, "/admin"),
    b'50-["a"]': socket_packets.Packet(socket_packets.Type.BINARY_EVENT, data=b'["a"]'),  # announces no attachment
    b'2["connect",{}]': socket_packets.Packet(socket_packets.Type.EVENT, data=b'["connect",{}]'),
    b"2[1,{}]": socket_packets.Packet(socket_packets.Type.EVENT, data=b"[1,{}]"),
    b'29007199254740991["a"]': socket_packets.Packet(socket_packets.Type.EVENT, id=MAX_ID, data=b'["a"]'),
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_the_socket_protocol(text: bytes) -> None:
    assert Decoder(MAX_BYTES).text(text) == EXAMPLES[text]


def test_a_lone_surrogate_is_json_and_no_text() -> None:
    packet = Decoder(MAX_BYTES).text(b'21["a","\\ud800"]')
    assert packet is not None
    assert [bytes(each) for each in packet.without_surrogates().arguments] == [b'"a"', b'"\\ufffd"']


MALFORMED = {
    "empty": b"",
    "unknown type": b"abc",
    "type out of range": b"7",
    "no payload": b"2",
    "an object as the payload of an event": b"2{}",
    "an empty array as the payload of an event": b"2[]",
    "a text as the payload of an event": b'2"foo"',
    "a payload that is cut": b'2["foo"',
    "a payload with something behind": b'2["foo"]x',
    "two payloads": b'2["foo"]["bar"]',
    "an id that is no number": b'2abc["foo"]',
    "a negative id": b'2-1["foo"]',
    "an id beyond the numbers of JavaScript": b'29007199254740992["foo"]',
    "an id of many digits": b"2" + b"1" * 60_000 + b'["foo"]',
    "an acknowledgement without an id": b'3["foo"]',
    "an acknowledgement with an object": b"31{}",
    "a connection with an array": b"0[]",
    "a connection with an id": b"01{}",
    "a disconnection with data": b"1{}",
    "a connection error without data": b"4",
    "a binary event without a number of attachments": b'5["foo"]',
    "a binary event with too many attachments": b'511-["foo"]',
    "a binary event with a hoard of attachments": b'599999999999-["foo"]',
    "an event with attachments": b'21-["foo"]',
    "a comma without a namespace": b'2,["foo"]',
    "not JSON": b"2[NaN]",
    "a namespace that is not UTF-8": b"0/\xff,",
    "a long namespace": b"0/" + b"x" * 200,
    "deep arrays": b"2" + b"[" * 30_000 + b"]" * 30_000,
    "deep arrays within an argument": b'2["a",' + b"[" * 30_000 + b"]" * 30_000 + b"]",
    "deep arrays that do not end": b'2["a",' + b"[" * 60_000,
    "deep objects": b"0" + b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_packet_is_refused(name: str) -> None:
    with pytest.raises(MalformedPacketError):
        Decoder(MAX_BYTES).text(MALFORMED[name])


def test_a_text_between_attachments_is_refused() -> None:
    decoder = Decoder(MAX_BYTES)
    assert decoder.text(b'51-["a"]') is None
    with pytest.raises(MalformedPacketError):
        decoder.text(b'2["a"]')


def test_an_attachment_that_was_not_announced_is_refused() -> None:
    with pytest.raises(MalformedPacketError):
        Decoder(MAX_BYTES).binary(b"x")


def test_attachments_are_bounded_together() -> None:
    decoder = Decoder(MAX_BYTES)
    assert decoder.text(b'53-["a"]') is None
    assert decoder.binary(b"x" * 600) is None
    with pytest.raises(MalformedPacketError):
        decoder.binary(b"x" * 401)


@pytest.mark.parametrize("number", [-1, 1, 1 << 70])
def test_a_placeholder_stands_for_an_attachment_that_came(number: int) -> None:
    data = dumped(["a", {"_placeholder": True, "num": number}])
    packet = socket_packets.Packet(socket_packets.Type.BINARY_EVENT, data=data, attachments=(b"x",))
    with pytest.raises(MalformedPacketError):
        socket_packets.with_attachments(packet)
