"""A follower: reads streams from their end on, and receives `Lost` for entries that it missed (see `redis_positions`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from bus.bus import Delivery, Lost, no_linger
from bus.redis_connection import Address
from bus.redis_positions import Positions
from bus.redis_scripts import Scripts
from bus.topics import Topic


class Follower:
    """The context manager and iterator of one follower."""

    def __init__(
        self, address: Address, scripts: Scripts, topics: Sequence[Topic], linger: Callable[[], float] = no_linger
    ) -> None:
        self._positions = Positions(address, scripts, topics, linger=linger)

    async def __aenter__(self) -> Self:
        await self._positions.move_to_end()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._positions.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery | Lost:
        item = await self._positions.next()
        if not isinstance(item, Delivery | Lost):
            raise TypeError(item)  # only stored positions report anything else
        return item
