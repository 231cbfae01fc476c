"""The writer frames a payload for each kind of client, once for all clients of the kind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gateway.model import Connection, Framed
from gateway.protocol.close_codes import Close
from gateway.wire.framing import WEBSOCKET, pong
from services.gateway.tests.world import World


class Lines:
    """Another kind of client, for which a payload is a line."""

    def __init__(self) -> None:
        self.joined: list[int] = []
        """Number of payloads in each call of `join`."""

    def join(self, payloads: Sequence[bytes]) -> bytes:
        self.joined.append(len(payloads))
        return b"".join(each if isinstance(each, Framed) else each + b"\n" for each in payloads)

    def close(self, reason: Close) -> bytes:
        return f"closed: {reason.text}\n".encode()

    def counts(self, connection: Connection) -> bool:
        del connection
        return True


async def test_each_kind_of_client_gets_its_framing_in_order(world: World) -> None:
    lines = Lines()
    web, line = world.connect("ann"), world.connect("bob")
    line.wire = lines
    for payload in (b"1", b"2"):
        world.registry.writer.broadcast([web, line], payload)
    world.registry.writer.send(line, b"3")
    await world.settle()
    assert world.transports[web].frames() == [1, 2]
    assert world.transports[line].written == b"1\n2\n3\n"


async def test_a_shared_backlog_is_framed_once_per_kind_even_if_kinds_alternate(world: World) -> None:
    lines = Lines()
    connections = [world.connect(f"user-{number}") for number in range(6)]
    for connection in connections[::2]:
        connection.wire = lines
    for payload in (b"1", b"2"):
        world.registry.writer.broadcast(connections, payload)
    await world.settle()
    assert lines.joined == [2]
    assert [bytes(world.transports[each].written) for each in connections[::2]] == [b"1\n2\n"] * 3


async def test_a_connection_is_closed_in_the_way_of_its_kind(world: World) -> None:
    line = world.connect("ann")
    line.wire = Lines()
    world.registry.writer.send(line, b"1")
    world.registry.close(line, Close.RESTARTING)
    assert world.transports[line].written == b"1\nclosed: server restarting\n"


async def test_a_pong_keeps_its_place_between_payloads(world: World) -> None:
    ann = world.connect("ann")
    for payload in (b"1", pong(b"x"), b"2"):
        world.registry.writer.send(ann, payload)
    await world.settle()
    assert world.transports[ann].written == b"\x81\x011" + b"\x8a\x01x" + b"\x81\x012"


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_payloads_of_every_size_have_the_header_of_rfc_6455(size: int, header: bytes) -> None:
    assert WEBSOCKET.join([b"x" * size]) == header + b"x" * size


def test_only_codes_from_4500_to_4999_forbid_reconnecting() -> None:
    assert {reason.code for reason in Close if not reason.reconnect} == {4501, 4502, 4503}
