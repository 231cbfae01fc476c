"""`kill -9` of a process in the middle of its attempts: every event arrives at least once, and in order per channel."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from hubbub.integrations.v1 import integrations_pb2 as nouns
from services.integrations.tests.conftest import KEY, Harness
from services.integrations.tests.receiver import Answer, Received, Receiver, answer, receiver

_ROOMS = [f"0190a0a0-0000-7000-8000-{number:012d}" for number in range(6)]
_EVENTS = 12
"""In each room."""


@asynccontextmanager
async def process(harness: Harness) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as it is deployed."""
    env = {
        "PATH": os.environ["PATH"],
        "HUBBUB_INTEGRATIONS_DATABASE_URL": harness.urls.service,
        "HUBBUB_INTEGRATIONS_SWEEPER_DATABASE_URL": harness.urls.sweeper,
        "HUBBUB_INTEGRATIONS_LISTEN": "127.0.0.1:0",
        "HUBBUB_INTEGRATIONS_KEYS": KEY,
        "HUBBUB_FEED_TARGET": "127.0.0.1:9",
        "HUBBUB_MESSAGES_TARGET": "127.0.0.1:9",
        "HUBBUB_INTEGRATIONS_PRIVATE_ENDPOINTS": "1",
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "integrations", env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


def in_order(seqs: list[int]) -> bool:
    """Whether these are 1, 2, 3 … with repeats of the last one only."""
    return all(after - before in (0, 1) for before, after in zip([0, *seqs], seqs, strict=False)) and seqs[-1] == _EVENTS


async def test_killed_processes_lose_and_reorder_nothing(harness: Harness) -> None:
    async with receiver() as server:
        webhook, _ = await harness.create(server.url)
        for seq in range(1, _EVENTS + 1):
            await harness.add(*(harness.event(seq, room) for room in _ROOMS))
        for killed_after in (10, 30):
            server.behaviour = partial(_answer_first, server, killed_after)
            async with process(harness) as running:
                await server.arrived(killed_after)
                running.kill()
                await running.wait()
            await harness.make_due(webhook)  # the lease of the killed process has ended
        server.behaviour = lambda _received: answer()
        async with process(harness) as running:
            await server.until(lambda: len({each.headers["webhook-id"] for each in server.received}) == _EVENTS * len(_ROOMS))
            running.terminate()
            assert await running.wait() == 0
        delivered = await harness.deliveries(webhook, nouns.DELIVERY_STATE_DELIVERED)
    assert len(delivered) == _EVENTS * len(_ROOMS)
    assert {room: in_order(seqs_of(server.received, room)) for room in _ROOMS} == dict.fromkeys(_ROOMS, True)
    assert len(server.received) > _EVENTS * len(_ROOMS)
    assert len({each.headers["webhook-id"] for each in server.received}) == _EVENTS * len(_ROOMS)


def _answer_first(server: Receiver, limit: int, _received: Received) -> Answer:
    return answer() if len(server.received) < limit else _never


async def _never(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def seqs_of(received: list[Received], room: str) -> list[int]:
    return [each.seq for each in received if each.channel == room]
