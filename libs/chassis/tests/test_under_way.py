"""Turns: so many at once for each key, the surplus in order, and no more than may wait."""

from __future__ import annotations

import asyncio

import pytest

from chassis.errors import RateLimited
from chassis.under_way import UnderWay


class Work:
    """Work of one key that lasts until it is told to end."""

    def __init__(self, turns: UnderWay, key: str, log: list[str], name: str) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._run(turns, key, log, name))

    async def _run(self, turns: UnderWay, key: str, log: list[str], name: str) -> None:
        async with turns.turn(key):
            log.append(name)
            self.begun.set()
            await self.end.wait()


async def test_the_surplus_waits_in_order_and_other_keys_do_not() -> None:
    turns, log = UnderWay(2, "too many", waiting=2, seconds=10), list[str]()
    works = [Work(turns, "ann", log, str(number)) for number in range(4)]
    other = Work(turns, "bob", log, "bob's")
    await other.begun.wait()
    assert log == ["0", "1", "bob's"]
    with pytest.raises(RateLimited) as refused:
        async with turns.turn("ann"):
            pass
    assert refused.value.retry_after > 0
    for number, work in enumerate(works):
        await work.begun.wait()
        work.end.set()
        await work.task
        assert log[-1] >= str(number)
    assert log == ["0", "1", "bob's", "2", "3"]
    other.end.set()
    await other.task


async def test_who_waits_too_long_is_refused_and_takes_no_turn() -> None:
    turns, log = UnderWay(1, "too many", waiting=1, seconds=0.01), list[str]()
    first = Work(turns, "ann", log, "first")
    await first.begun.wait()
    with pytest.raises(RateLimited):
        async with turns.turn("ann"):
            pass
    first.end.set()
    await first.task
    async with turns.turn("ann"):
        pass
    assert log == ["first"]


async def test_cancelled_work_gives_its_turn_back_and_nothing_is_kept() -> None:
    turns, log = UnderWay(1, "too many", waiting=5, seconds=10), list[str]()
    works = [Work(turns, "ann", log, str(number)) for number in range(3)]
    await works[0].begun.wait()
    works[1].task.cancel()
    works[0].task.cancel()
    await works[2].begun.wait()
    works[2].end.set()
    await works[2].task
    assert not turns._queues  # noqa: SLF001 - what would leak
