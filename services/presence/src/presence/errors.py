"""Errors of presence: a lost lease, and an unavailable Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import redis.exceptions

from chassis.errors import Unavailable


class LeaseLost(Unavailable):
    """The lease expired, was taken over, or was wiped. The gateway must attach again and report all its connections."""

    title = "The lease was lost; attach again"


class StoreUnavailable(Unavailable):
    """Redis does not answer, or refuses a command."""

    title = "The presence store does not answer"


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn errors of the Redis client into `StoreUnavailable`, without losing a cancellation.

    The client uses `asyncio.wait_for`. Before Python 3.12 that swallows a cancellation that arrives just as the awaited call
    completes. The task would then run forever, and so would a task waiting for its end.
    """
    try:
        yield
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        _raise_if_cancelled()
        raise StoreUnavailable from error
    _raise_if_cancelled()


_CAUSES: dict[type[BaseException | None], str] = {
    redis.exceptions.AuthenticationError: "it refuses the user or the password",
    redis.exceptions.NoPermissionError: "its user lacks a right that presence needs",
    redis.exceptions.OutOfMemoryError: "it is out of memory",
    redis.exceptions.ReadOnlyError: "it is a replica, which refuses writes",
    redis.exceptions.BusyLoadingError: "it is loading its data",
}


def cause_of(error: StoreUnavailable) -> str:
    """Why Redis cannot be used, for operators."""
    return _CAUSES.get(type(error.__cause__), "it does not answer")


def _raise_if_cancelled() -> None:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
