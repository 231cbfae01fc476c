"""Leaves without a stampede: tells every client when to come back, lets outcomes out, and closes the sockets in batches.

Clients spread their return over the announced time; sockets are closed over about half the drain time, so that a peer gateway
sees them come one batch after the other.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from gateway.inbound.pending import Pending
from gateway.inbound.publish import Publisher
from gateway.outbound.frames import Reconnect, encode
from gateway.roster import Roster

log = structlog.get_logger()
RESTARTING = 1012
BATCHES = 20
POLL_SECONDS = 0.05


async def drain(roster: Roster, publisher: Publisher, pending: Pending, seconds: float) -> None:
    """Close every socket within about `seconds`; new ones are refused by then."""
    connections = list(roster.connections.values())
    random.shuffle(connections)
    spread = seconds / 2
    log.info("drain_began", connections=len(connections))
    for connection in connections:
        after = int(random.uniform(0, spread) * 1000)
        roster.outbox.send(connection, encode(Reconnect(after)))
    await _settle(publisher, pending, seconds / 4)
    size = max(50, -(-len(connections) // BATCHES))
    for start in range(0, len(connections), size):
        for connection in connections[start : start + size]:
            roster.close(connection, RESTARTING)
        if start + size < len(connections):
            await asyncio.sleep(spread / BATCHES)
    await roster.outbox.flushed()
    await asyncio.sleep(POLL_SECONDS)  # the closing handshakes of the last batch
    log.info("drain_ended", connections=len(roster.connections))


async def _settle(publisher: Publisher, pending: Pending, seconds: float) -> None:
    """Let commands under way come to their outcome, as far as the time allows."""
    try:
        async with asyncio.timeout(seconds):
            await publisher.emptied()
            while len(pending):  # noqa: ASYNC110 - once in a process's life
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        log.warning("drain_left_commands", pending=len(pending))
