"""A group member in its own process, which tests pause and kill. It prints every delivery as a line of JSON.

Arguments: bus URL, lease in seconds, topic. A line on standard input acknowledges the current delivery.
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
            except BusUnavailable:  # the topic has another holder by now, and the connection may be closed
                await work.release(delivery)


uvloop.run(main(*sys.argv[1:]))  # as the services do
