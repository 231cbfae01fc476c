"""What can go wrong here besides what every service knows: Redis, and a lease that is somebody else's.

Their shapes at the door are the chassis'.
"""

from __future__ import annotations

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
    """Turn what the Redis client raises into `StoreUnavailable`."""
    try:
        yield
    except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable from error
