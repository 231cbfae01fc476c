"""`python -m tests.security.echo_gateway PORT`: the gateway's WebSocket stack, which echoes instead of speaking the protocol.

uvicorn, the upgrade, picows, the listener and the registry are the real ones; only authentication is missing. It is for the usual
conformance suite: `wstest -m fuzzingclient` of autobahntestsuite (Python 2.7), with `{"servers": [{"agent": "hubbub",
"url": "ws://127.0.0.1:PORT/v1/connect"}], "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]}`. Its cases 1.2
send binary, which `protocol.md` closes with 1003.
"""

import asyncio
import sys
from typing import Any, cast

import uvloop

from chassis.config import Address
from gateway.door.capacity import Capacity
from gateway.door.opening import HandOver
from gateway.door.server import bind, make_server
from gateway.door.upgrade import CONNECT_PATH, Upgrades
from gateway.identity.identity import Identity
from gateway.model import Connection, Wire
from gateway.rates.bucket import Bucket
from gateway.wire.registry import Registry

_PLENTY = 1_000_000.0
_UNUSED = cast("Any", None)


class _Open:
    """Starts a socket for every caller, without a session and a `hello`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def open(self, identity: Identity, wire: Wire, hand_over: HandOver) -> None:
        connection = self._registry.add(identity, wire, Bucket(_PLENTY, _PLENTY))
        if hand_over(connection):
            self._registry.opened(connection)
        else:
            self._registry.gone(connection)


class _Upgrades(Upgrades):
    """Accepts every caller."""

    async def _identify(self, *_: object) -> Identity:
        return Identity("default", "anybody", "", (), 0.0, float("inf"))


async def serve(port: int) -> None:
    """Serve until the process is stopped."""
    registry = Registry("echo", silence_seconds=3_600)

    def echo(connection: Connection, payload: bytes) -> None:
        registry.writer.send(connection, payload)

    async with asyncio.TaskGroup() as group:
        sweeping = group.create_task(registry.sweep.run())
        upgrades = _Upgrades(
            registry,
            cast("Any", _Open(registry)),
            group=group,
            authenticator=_UNUSED,
            tickets=_UNUSED,
            rates=_UNUSED,
            receive=echo,
            allowed_origins=frozenset({f"http://127.0.0.1:{port}"}),
            accepting=lambda: True,
        )
        server = make_server(_UNUSED, {CONNECT_PATH: upgrades.begin}, served=lambda _host: True, capacity=Capacity(1_000))
        await server.serve(sockets=[bind(Address("127.0.0.1", port))])
        sweeping.cancel()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
