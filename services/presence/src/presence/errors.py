"""What can go wrong here besides what every service knows: Redis, and a lease that is somebody else's.

Their shapes at the door are the chassis'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions

from chassis.errors import Unavailable


class LeaseLost(Unavailable):
    """The gateway must attach again and report everything: its lease ended, was taken over, or its store was wiped."""

    title = "The lease is gone; attach again"


class StoreUnavailable(Unavailable):
    """Redis does not answer, or refuses."""

    title = "The presence store does not answer"


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what the Redis client raises into `StoreUnavailable`, and lose no cancellation in it.

    The client waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes in the very moment
    in which what it waits for is done: the task would go on for ever, and whoever waits for its end with it.
    """
    try:
        yield
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        _end_if_cancelled()
        raise StoreUnavailable from error
    _end_if_cancelled()


def _end_if_cancelled() -> None:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
