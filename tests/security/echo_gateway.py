"""`python -m tests.security.echo_gateway PORT`: the gateway's WebSocket stack, which echoes instead of speaking the protocol.

uvicorn, the upgrade, picows, `Socket` and the roster are the real ones; only authentication is missing. It is for the usual
conformance suite: `wstest -m fuzzingclient` of autobahntestsuite (Python 2.7), with `{"servers": [{"agent": "hubbub",
"url": "ws://127.0.0.1:PORT/v1/connect"}], "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]}`. Its cases 1.2
send binary, which `protocol.md` closes with 1003.
"""

import asyncio
import sys
from typing import Any, cast

import uvloop

from chassis.config import Address
from gateway.connection import Connection, Identity
from gateway.inbound.limits import Bucket
from gateway.inbound.upgrade import Upgrades
from gateway.opening import HandOver
from gateway.outbound.wire import text_frame
from gateway.roster import Roster
from gateway.server import bind, make_server

_PLENTY = 1_000_000.0
_UNUSED = cast("Any", None)


class _Open:
    """Starts a socket for every caller, without a session and a `hello`."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    async def open(self, identity: Identity, hand_over: HandOver) -> None:
        connection = self._roster.admit(identity, Bucket(_PLENTY, _PLENTY))
        if hand_over(connection):
            self._roster.opened(connection)
        else:
            self._roster.gone(connection)


class _Upgrades(Upgrades):
    """Accepts every caller."""

    async def _identify(self, *_: object) -> Identity:
        return Identity("default", "anybody", "", (), 0.0, float("inf"))


async def serve(port: int) -> None:
    """Serve until the process is stopped."""
    roster = Roster("echo", silence_seconds=3_600)

    def echo(connection: Connection, payload: bytes) -> None:
        roster.outbox.send(connection, text_frame(payload))

    async with asyncio.TaskGroup() as group:
        sweeping = group.create_task(roster.sweep.run())
        upgrades = _Upgrades(
            roster,
            cast("Any", _Open(roster)),
            group=group,
            authenticator=_UNUSED,
            tickets=_UNUSED,
            allowances=_UNUSED,
            receive=echo,
            allowed_origins=frozenset({f"http://127.0.0.1:{port}"}),
            accepting=lambda: True,
        )
        await make_server(_UNUSED, upgrades.begin).serve(sockets=[bind(Address("127.0.0.1", port))])
        sweeping.cancel()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
