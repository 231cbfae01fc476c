"""The adapter of the Python client with defects: the name of a client says which one it has. The kit must find each."""
# ruff: noqa: SLF001 - defects are made inside the client

import asyncio
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from hubbub_client import Client, Ended, Event
from hubbub_client.connection import Connection
from hubbub_client.keys import new_key
from hubbub_client.outbox import Outgoing
from hubbub_client.updates import Update
from tests.conformance.adapters.python_client import Driven, main

_FIFTH = 5
"""The number of the event that a defect is about."""


def _drop_an_event(client: Client) -> None:
    offer = client._feed.offer

    def defective(update: Update, size: int) -> bool:
        return True if isinstance(update, Event) and update.seq == _FIFTH else offer(update, size)

    client._feed.offer = defective  # type: ignore[method-assign]


def _double_an_event(client: Client) -> None:
    offer = client._feed.offer

    def defective(update: Update, size: int) -> bool:
        return all(offer(update, size) for _ in range(2 if isinstance(update, Event) and update.seq == _FIFTH else 1))

    client._feed.offer = defective  # type: ignore[method-assign]


def _jump_over_gaps(client: Client) -> None:
    client._sync.next = lambda channel, seq: seq > client._sync.positions.get(channel, 0)  # type: ignore[method-assign]


def _forget_positions(client: Client) -> None:
    hello = client._sync.hello

    def defective(frame: Mapping[str, Any]) -> list[Any]:
        client._sync.positions.clear()
        return hello(frame)

    client._sync.hello = defective  # type: ignore[method-assign]


def _keep_positions_of_an_old_epoch(client: Client) -> None:
    hello = client._sync.hello

    def defective(frame: Mapping[str, Any]) -> list[Any]:
        client._sync.epoch = frame["epoch"]
        return hello(frame)

    client._sync.hello = defective  # type: ignore[method-assign]


def _take_another_key(client: Client) -> None:
    following = client._outbox.next

    async def defective() -> Outgoing:
        item = await following()
        return Outgoing({**item.frame, "key": new_key()}, item.size, item.stored)

    client._outbox.next = defective  # type: ignore[method-assign]


def _repeat_at_once(client: Client) -> None:
    refused = client._outbox.refused
    client._outbox.refused = lambda frame: refused({**frame, "retry_after": 0})  # type: ignore[method-assign]


def _go_on_with_the_next(client: Client) -> None:
    """A message that must wait goes behind the others of its channel."""
    refused = client._outbox.refused

    def defective(frame: Mapping[str, Any]) -> bool:
        queue = client._outbox._waiting[client._outbox._by_key[frame["ref"]].channel]
        known = refused({**frame, "retry_after": 0})
        queue.rotate(-1)
        return known

    client._outbox.refused = defective  # type: ignore[method-assign]


def _keep_silent(client: Client) -> None:
    greeted = client._hello

    async def defective(connection: Connection) -> Mapping[str, Any]:
        hello = await greeted(connection)
        return {**hello, "heartbeat_seconds": 5 * hello["heartbeat_seconds"]}

    client._hello = defective  # type: ignore[method-assign]


def _connect_again(_: Client) -> None:
    """`Faulty` does it: the client itself has ended."""


DEFECTS: dict[str, tuple[Callable[[Client], None], str, str]] = {
    "drop an event": (_drop_an_event, "live", "`event` a 6, after number 4"),
    "double an event": (_double_an_event, "live", "`event` a 5, after number 5"),
    "jump over gaps": (_jump_over_gaps, "gap", "`event` a 7, after number 4"),
    "go on after the end": (_connect_again, "close-4501", "it connected again"),
    "forget positions": (_forget_positions, "resume", "does not name its position in a, b"),
    "keep positions of an old epoch": (_keep_positions_of_an_old_epoch, "epoch", "it asks for a from 9, and its position is 6"),
    "take another key": (_take_another_key, "ack-lost", "would be stored twice"),
    "repeat at once": (_repeat_at_once, "later-RATE_LIMITED", "before the time that the server named"),
    "go on with the next": (_go_on_with_the_next, "in-order", "and it sent {'type': 'send'"),
    "keep silent": (_keep_silent, "heartbeat", "no frame for two heartbeat intervals"),
    "show the old token": (lambda _: None, "token-renewed", "expected token 2"),
}
"""For each defect: what makes it, the scenario that finds it, and what its verdict says."""


class Faulty(Driven):
    """One client with the defect of its name, `scenario/defect`."""

    def make(self, url: str, tokens: list[str]) -> Client:
        """Make the client, and its defect."""
        defect = self._name.split("/")[1]
        client = super().make(url, tokens[:1] if defect == "show the old token" else tokens)
        DEFECTS[defect][0](client)
        if defect == "go on after the end":
            self._start(self._again(client, functools.partial(self.make, url, tokens)))
        return client

    async def _again(self, client: Client, make: Callable[[], Client]) -> None:
        for _ in itertools.count():
            try:
                await client.opened()
                await asyncio.sleep(0.1)
            except Ended as ended:
                if ended.code != 1000:  # closed by the script
                    self._client = await make().__aenter__()
                return


if __name__ == "__main__":
    asyncio.run(main(Faulty))
