"""Drains the gateway: announces `reconnect` to every client, lets pending commands finish, and closes connections in batches.

Clients spread their reconnects over the announced time. Connections are closed over about half the drain time, so that they reach
other gateways in batches.
"""

from __future__ import annotations

import asyncio
import random

import structlog

from gateway.commands.pending import Pending
from gateway.commands.publisher import CommandPublisher
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import Reconnect, encode
from gateway.wire.registry import Registry

log = structlog.get_logger()
BATCHES = 20
POLL_SECONDS = 0.05


async def drain(registry: Registry, publisher: CommandPublisher, pending: Pending, seconds: float) -> None:
    """Close every connection within about `seconds`. New ones must be rejected by then."""
    connections = list(registry.connections.values())
    random.shuffle(connections)
    spread = seconds / 2
    log.info("drain_began", connections=len(connections))
    for connection in connections:
        after = int(random.uniform(0, spread) * 1000)
        registry.writer.send(connection, encode(Reconnect(after)))
    await _settle(publisher, pending, seconds / 4)
    size = max(50, -(-len(connections) // BATCHES))
    for start in range(0, len(connections), size):
        for connection in connections[start : start + size]:
            registry.close(connection, Close.RESTARTING)
        if start + size < len(connections):
            await asyncio.sleep(spread / BATCHES)
    await registry.writer.flushed()
    await asyncio.sleep(POLL_SECONDS)  # the closing handshakes of the last batch
    log.info("drain_ended", connections=len(registry.connections))


async def _settle(publisher: CommandPublisher, pending: Pending, seconds: float) -> None:
    """Let pending commands reach their outcome, as far as time allows."""
    try:
        async with asyncio.timeout(seconds):
            await publisher.emptied()
            while len(pending):  # noqa: ASYNC110 - once in a process's life
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        log.warning("drain_left_commands", pending=len(pending))
