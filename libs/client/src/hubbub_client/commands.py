"""Frames that wait for one answer: edits, deletions, reactions, pins and fresh tokens. They are not repeated."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hubbub_client.errors import NoAnswer, Refused

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Commands:
    """The unanswered frames of one connection, by `ref`."""

    def __init__(self) -> None:
        self._pending: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._refs = itertools.count(1)

    async def request(self, send: Send, frame: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a frame and wait for its answer; the caller sets the deadline. Raises Refused, NoAnswer, Closed."""
        ref = f"c{next(self._refs)}"
        answer: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[ref] = answer
        try:
            await send({**frame, "ref": ref})
            return await answer
        finally:
            self._pending.pop(ref, None)
            answer.cancel()

    def answered(self, frame: Mapping[str, Any]) -> None:
        """Take an `ack`, `token` or `error` frame."""
        ref = frame.get("ref")
        waiting = self._pending.get(ref) if isinstance(ref, str) else None
        if waiting is None or waiting.done():
            return
        if frame["type"] == "error":
            waiting.set_exception(Refused(frame["reason"], frame.get("detail", ""), retry_after=frame.get("retry_after")))
        else:
            waiting.set_result(frame)

    def closed(self) -> None:
        """The connection ended."""
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer("the connection ended before the answer"))
