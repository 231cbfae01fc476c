"""What becomes of the Redis client's failures, and of what it forgets."""

import asyncio
from collections.abc import Callable

import pytest
import redis.exceptions

from presence.errors import StoreUnavailable, store_errors


def answer() -> None:
    """Behave as a call that was done in the moment of the cancellation."""


def fail() -> None:
    raise redis.exceptions.ConnectionError


@pytest.mark.parametrize("end", [answer, fail])
async def test_a_cancellation_that_the_client_forgets_ends_the_task_all_the_same(end: Callable[[], None]) -> None:
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


async def test_a_failure_of_the_client_is_the_stores() -> None:
    with pytest.raises(StoreUnavailable), store_errors():
        fail()
