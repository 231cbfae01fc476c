"""The caller's tokens: asks the application's function for them, and reads from a token how long it lives."""

import asyncio
import base64
import binascii
import inspect
import json
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from hubbub_client.errors import Ended, NoAnswer

TokenSource = Callable[[], str | Awaitable[str]]
"""Returns a valid token, now or later. Called before every connection, before a token expires, and after one was refused.

OSError, TimeoutError, httpx.HTTPError and NoAnswer from it mean "not at the moment"; any other exception ends the client.
"""
_LEAD_MAX_SECONDS = 300.0


class Tokens:
    """The current token. Concurrent calls of `fresh` share one call of the function."""

    def __init__(self, source: TokenSource, seconds: float) -> None:
        self._source = source
        self._seconds = seconds
        """The deadline of the function."""
        self._current: str | None = None
        self._asking: asyncio.Task[str] | None = None

    async def current(self) -> str:
        """Return the last token, or the first one. Raises as `fresh`."""
        return self._current if self._current is not None else await self.fresh()

    async def after(self, refused: str) -> str:
        """Return another token than the one that was refused. Raises as `fresh`."""
        return self._current if self._current is not None and self._current != refused else await self.fresh()

    async def fresh(self) -> str:
        """Ask for a token. Raises NoAnswer if there is none at the moment, Ended if the function failed."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    def _asked(self, task: asyncio.Task[str]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()  # the callers have it; without a caller it needs no report

    async def _ask(self) -> str:
        try:
            async with asyncio.timeout(self._seconds):
                answer = self._source()
                token = await answer if inspect.isawaitable(answer) else answer
        except (OSError, TimeoutError, httpx.HTTPError, NoAnswer) as error:
            raise NoAnswer("there is no token at the moment") from error
        except Exception as error:
            raise Ended(401, "the token function failed") from error
        self._current = token
        return token


def renewal_seconds(token: str) -> float | None:
    """Seconds until the token should be renewed: ahead of its end, with jitter. None if it does not say when it ends.

    The floor keeps a wrong clock from causing a loop of renewals.
    """
    claims = _claims(token)
    ends, issued = claims.get("exp"), claims.get("iat")
    if not isinstance(ends, int | float) or not isinstance(issued, int | float) or ends <= issued:
        return None
    life = float(ends - issued)
    lead = min(_LEAD_MAX_SECONDS, life / 5) * (1 + random.random())
    return max(min(ends - time.time(), life) - lead, life / 5)


def _claims(token: str) -> dict[str, Any]:
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return claims if isinstance(claims, dict) else {}
