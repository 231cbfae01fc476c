"""The client for programs without an event loop: the same calls, from any thread. One background thread runs the loop."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

from hubbub_client.client import Client as AsyncClient
from hubbub_client.errors import Ended
from hubbub_client.updates import Checkpoint, Stored, Update

T = TypeVar("T")
_START_SECONDS = 10.0


class Client:
    """A context manager and an iterator over updates. The arguments and errors are those of `hubbub_client.Client`.

    Calls may come from several threads at once; one of them may iterate.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._args = args
        self._options = options
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hubbub-client", daemon=True)
        self._client: AsyncClient | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._client = self._wait(self._begin())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, as `hubbub_client.Client.close`, and end the thread."""
        if self._client is None:
            return
        client, self._client = self._client, None
        self._wait(client.close())
        self._stop()

    def __iter__(self) -> Iterator[Update]:
        return self

    def __next__(self) -> Update:
        """Wait for the next update. Raises Ended when the client has ended for good, StopIteration after `close`."""
        try:
            return self._wait(self._open.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def send(self, channel: str, text: str | None = None, **fields: Any) -> Stored:
        """Post a message, and return when the server has stored it."""
        return self.call(self._open.send(channel, text, **fields))

    def submit(self, channel: str, text: str | None = None, **fields: Any) -> "concurrent.futures.Future[Stored]":
        """Put a message into the outbox, and return a future of the outcome."""

        async def stored() -> Stored:
            return await self._open.submit(channel, text, **fields).stored

        return asyncio.run_coroutine_threadsafe(stored(), self._loop)

    def checkpoint(self) -> Checkpoint | None:
        """How far the application has read."""
        return self._open.checkpoint()

    @property
    def asynchronous(self) -> AsyncClient:
        """The client beneath, for `call`: `client.call(client.asynchronous.api.me())`."""
        return self._open

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine of the asynchronous client in its thread, and return its result."""
        return self._wait(work)

    @property
    def _open(self) -> AsyncClient:
        if self._client is None:
            raise Ended(1000, "closed")
        return self._client

    async def _begin(self) -> AsyncClient:
        return await AsyncClient(*self._args, **self._options).__aenter__()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result()
        except BaseException:  # such as Ctrl-C in the caller's thread
            waiting.cancel()
            raise

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()
