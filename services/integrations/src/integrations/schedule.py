"""When a delivery is attempted again, and when it is given up."""

from __future__ import annotations

import random

from integrations.webhook import Outcome

LIFETIME_SECONDS = 3 * 24 * 3600.0
"""From the first attempt to the last."""
FAILING_SECONDS = 5 * 24 * 3600.0
"""A webhook whose every attempt fails for this long is disabled."""
_FIRST_SECONDS = 5.0
_FACTOR = 3.0
_LONGEST_SECONDS = 6 * 3600.0
_SPREAD = 0.25
"""Each wait is random within this part of it, so that deliveries that failed together do not return together."""


def wait_seconds(attempts: int, outcome: Outcome) -> float:
    """Return the wait after the attempt number `attempts` (from 1): 5 s, 15 s, 45 s, … 6 h, each give or take a quarter.

    An endpoint that asks for a longer wait (`Retry-After`) gets it, up to 6 h.
    """
    bound = min(_LONGEST_SECONDS, _FIRST_SECONDS * _FACTOR ** min(attempts - 1, 20))
    asked = min(_LONGEST_SECONDS, outcome.retry_after_seconds)
    return max(bound * random.uniform(1 - _SPREAD, 1 + _SPREAD), asked)


def is_over(age_seconds: float) -> bool:
    """Whether a delivery that failed `age_seconds` after its first attempt becomes a dead letter."""
    return age_seconds >= LIFETIME_SECONDS
