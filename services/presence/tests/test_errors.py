"""Errors and lost cancellations of the Redis client."""

import asyncio
from collections.abc import Callable

import pytest
import redis.exceptions

from presence.errors import StoreUnavailable, store_errors


def answer() -> None:
    """Behave like a call that completes at the moment of the cancellation."""


def fail() -> None:
    raise redis.exceptions.ConnectionError


@pytest.mark.parametrize("end", [answer, fail])
async def test_a_cancellation_swallowed_by_the_client_still_ends_the_task(end: Callable[[], None]) -> None:
    waiting = asyncio.Event()

    async def call() -> None:
        with store_errors():
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                end()

    task = asyncio.create_task(call())
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_an_error_of_the_client_raises_store_unavailable() -> None:
    with pytest.raises(StoreUnavailable), store_errors():
        fail()
