"""A member of a group in a process of its own, to be paused and killed; prints every delivery as a line of JSON.

Arguments: the bus's address, the lease in seconds, a topic. Acknowledges a delivery when a line arrives on its input.
"""

from __future__ import annotations

import asyncio
import json
import sys

import structlog
import uvloop

from bus.bus import BusUnavailable
from bus.redis_streams import RedisBus
from bus.topics import Topic, WhenFull


async def main(url: str, lease_seconds: str, topic: str) -> None:
    """Work until the input ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    bus = RedisBus(url, lease_seconds=float(lease_seconds))
    async with bus.work([Topic(topic, 10_000, WhenFull.REFUSE)], "group", "child", count=1) as work:
        async for delivery in work:
            sys.stdout.write(json.dumps([entry.payload.decode() for entry in delivery.entries]) + "\n")
            sys.stdout.flush()
            if not await asyncio.to_thread(sys.stdin.readline):
                return
            try:
                await work.complete([delivery])
            except BusUnavailable:  # the topic is somebody else's by now, and its connection may have gone with it
                await work.release(delivery)


uvloop.run(main(*sys.argv[1:]))  # as the services do
