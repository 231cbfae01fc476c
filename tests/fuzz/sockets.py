"""WebSocket frames: picows and `gateway.wire.websocket` against a simple implementation of RFC 6455 without buffers.

An input is a list of frames: the first byte of the header, a length, and the payload. When they arrive one by one, in halves,
every message, pong and close must follow the RFC and `protocol.md`. When they arrive at once and a later frame is wrong,
picows may drop messages that it has not delivered. Even then no message is invented, and one close comes last.
"""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any, cast

from gateway.door import upgrade
from gateway.identity.identity import Identity
from gateway.model import NO_FILE, Connection
from gateway.rates.bucket import Bucket
from gateway.wire.framing import WEBSOCKET
from gateway.wire.registry import Registry
from gateway.wire.websocket import feed

Frame = tuple[int, bytes]
"""The first byte of the header, and the payload."""
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_MOST_PAYLOAD = 125
_PLENTY = 1e9
_SENDABLE = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
_UNUSED = cast("Any", None)
_peer = socket.create_server(("127.0.0.1", 0))
_socket = socket.create_connection(_peer.getsockname())
"""Accepts the socket options that picows sets; it carries no data."""


def _spelled(*frames: Frame) -> bytes:
    return b"".join(bytes((head, len(payload))) + payload for head, payload in frames)


_HELLO = (0x81, b"hello")
SEEDS = [
    _spelled(_HELLO, (0x89, b"ping"), (0x88, b"\x03\xe8bye")),
    _spelled((0x01, b"\xce"), (0x00, b"\xba\xe1"), (0x89, b""), (0x00, b""), (0x80, b"\xbd\xb9"), (0x8A, b"x"), _HELLO),
    _spelled((0x01, b"a"), _HELLO),
    _spelled(_HELLO, (0x80, b"a")),
    _spelled((0x81, b"\xed\xa0\x80")),
    _spelled((0x01, b"\xf4\x90"), (0x80, b"\x80\x80")),
    _spelled(_HELLO, (0x82, b"\x00")),
    _spelled(_HELLO, (0x83, b"")),
    _spelled((0xC1, b"a")),
    _spelled((0x09, b"")),
    _spelled((0x88, b""), (0x88, b"")),
    _spelled((0x88, b"\x03")),
    _spelled((0x88, b"\x03\xed")),
    _spelled((0x88, b"\x03\xe8\xff")),
    _spelled((0x88, b"\x13\x88")),
    _spelled((0x98, b"\x03\xe8")),
]


class _Wire(asyncio.Transport):
    """Collects the bytes that a socket sends."""

    def __init__(self) -> None:
        super().__init__({"socket": _socket})
        self.written = bytearray()
        self._closing = False
        self._protocol: Any = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 1  # so that picows writes through the transport

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True

    abort = close


async def _heard(reads: list[bytes]) -> tuple[list[bytes], list[Frame]]:
    """Collects the messages of each read, and the answering frames."""
    messages: list[bytes] = []
    registry = Registry("g", silence_seconds=3_600)
    upgrades = upgrade.Upgrades(
        registry,
        _UNUSED,
        group=_UNUSED,
        authenticator=_UNUSED,
        tickets=_UNUSED,
        rates=_UNUSED,
        receive=lambda _connection, payload: messages.append(payload),
        allowed_origins=frozenset(),
        accepting=lambda: True,
    )
    wire, connection = _Wire(), _admitted(registry)
    upgrades._hand_over(connection, wire, _KEY, None, b"")  # noqa: SLF001 - what comes of a handshake
    connection.file = NO_FILE  # so that the transport gets every byte
    begins = len(wire.written)
    for data in reads:
        if not wire.is_closing():
            feed(wire.get_protocol(), memoryview(data))
        await registry.writer.flushed()
    return messages, list(_frames(bytes(wire.written[begins:])))


def _admitted(registry: Registry) -> Connection:
    return registry.add(Identity("t", "ann", "", (), 0.0, _PLENTY), WEBSOCKET, Bucket(_PLENTY, _PLENTY))


def _frames(data: bytes) -> Iterator[Frame]:
    while data:
        size = data[1]
        yield data[0], data[2 : 2 + size]
        data = data[2 + size :]


def _masked(head: int, payload: bytes) -> bytes:
    """A client's frame with a mask of zeros."""
    return bytes((head, 0x80 | len(payload), 0, 0, 0, 0)) + payload


class _Reading:
    """A model of RFC 6455."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.pongs: list[Frame] = []
        self.codes: set[int] = set()
        """Allowed close codes, 0 for none; empty without a close."""
        self._whole: bytes | None = None

    def take(self, head: int, payload: bytes) -> None:
        """Read the next frame."""
        opcode, fin, reserved = head & 15, head >= 128, head & 0x70
        if self.codes:
            return
        if opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG) or (opcode >= _CLOSE and not fin):
            self.codes = {1002}
        elif opcode == _CLOSE:
            self.codes = _answers_to_close(payload, reserved=bool(reserved))
        elif reserved:
            self.codes = {1002}
        elif opcode == _BINARY:
            self.codes = {1003}
        elif opcode == _PING:
            self.pongs.append((0x8A, payload))
        elif opcode != _PONG:
            self._take_text(payload, begins=opcode == _TEXT, ends=fin)

    def _take_text(self, payload: bytes, *, begins: bool, ends: bool) -> None:
        if begins is not (self._whole is None):
            self.codes = {1002}
            return
        whole = (self._whole or b"") + payload
        if not _text_so_far(whole, whole_text=ends):
            self.codes = {1007}
        elif ends:
            self.messages.append(whole)
            self._whole = None
        else:
            self._whole = whole


def _answers_to_close(payload: bytes, *, reserved: bool) -> set[int]:
    code = int.from_bytes(payload[:2], "big")
    wrong = {1002} if reserved or len(payload) == 1 or (payload and code not in _SENDABLE) else set()
    if not _text_so_far(payload[2:], whole_text=True):
        wrong.add(1007)
    return wrong or {code}


def _text_so_far(data: bytes, *, whole_text: bool) -> bool:
    """Whether it is UTF-8, or a prefix of UTF-8."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return not whole_text and error.reason == "unexpected end of data"
    return True


def check(data: bytes) -> None:
    """Raise if a message, a pong or the close differs from the model."""
    frames = [(head, payload[:_MOST_PAYLOAD]) for head, payload in _listed(data)]
    asyncio.run(_check(frames))


def _listed(data: bytes) -> Iterator[Frame]:
    while len(data) > 1:
        size = min(data[1], _MOST_PAYLOAD)
        yield data[0], data[2 : 2 + size]
        data = data[2 + size :]


async def _check(frames: list[Frame]) -> None:
    reading = _Reading()
    for head, payload in frames:
        reading.take(head, payload)
    spelled = [_masked(*frame) for frame in frames]
    messages, answers = await _heard([half for each in spelled for half in (each[: len(each) // 2], each[len(each) // 2 :])])
    assert messages == reading.messages, "the messages are those that were sent"
    assert [each for each in answers if each[0] == 0x8A] == reading.pongs, "every ping has its pong"
    assert set(_closes(answers)) <= reading.codes, "the close tells why"
    assert len(_closes(answers)) == bool(reading.codes), "one close, if any"
    messages, answers = await _heard([b"".join(spelled)])
    assert messages == reading.messages[: len(messages)], "no message may be invented"
    assert len(_closes(answers)) == bool(reading.codes), "one close, if any"


def _closes(answers: list[Frame]) -> list[int]:
    """The close codes; checks that nothing follows a close."""
    closes = [int.from_bytes(payload[:2], "big") for head, payload in answers if head == 0x88]
    assert not closes or answers[-1][0] == 0x88, "nothing follows the close"
    return closes
