"""Contract suite for signals and one-time values, for every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bus.memory_signals import MemorySignals
from bus.signals import Signal, Signals

Open = Callable[[], Signals]


async def test_a_signal_reaches_all_listeners_of_its_name_and_no_others(signals_of: Open) -> None:
    signals = signals_of()
    async with signals.listen(["a", "b"]) as one, signals_of().listen(["b"]) as two, asyncio.timeout(10):
        await signals.send("a", b"1")
        await signals.send("b", b"2")
        assert [await anext(one), await anext(one)] == [Signal("a", b"1"), Signal("b", b"2")]
        assert await anext(two) == Signal("b", b"2")


async def test_a_signal_without_listeners_is_dropped(signals_of: Open) -> None:
    signals = signals_of()
    await signals.send("a", b"early")
    async with signals.listen(["a"]) as feed, asyncio.timeout(10):
        await signals.send("a", b"now")
        assert await anext(feed) == Signal("a", b"now")


async def test_a_slow_listener_loses_the_oldest_signals(signals_of: Open) -> None:
    signals = signals_of()
    async with signals.listen(["a", "end"]) as feed, signals_of().listen(["end"]) as probe, asyncio.timeout(20):
        for batch in range(50):
            await asyncio.gather(*(signals.send("a", b"%d" % (batch * 100 + number)) for number in range(100)))
        await signals.send("end", b"")
        await anext(probe)
        first = await anext(feed)
        assert 0 < int(first.payload or b"0") < 5_000


async def test_a_value_is_taken_by_one_of_several_callers(signals_of: Open) -> None:
    await signals_of().put("ticket", b"value", 30)
    asking = [signals_of() for _ in range(5)]
    taken = await asyncio.gather(*(signals.take("ticket") for signals in asking))
    assert (taken.count(b"value"), taken.count(None)) == (1, 4)


async def test_an_unknown_value_is_none(signals_of: Open) -> None:
    assert await signals_of().take("ticket") is None


async def test_a_value_expires() -> None:
    now = 100.0
    signals = MemorySignals(clock=lambda: now)
    await signals.put("ticket", b"value", 30)
    now = 130.0
    assert await signals.take("ticket") is None


@pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n"])
async def test_a_value_is_any_bytes(signals_of: Open, value: bytes) -> None:
    signals = signals_of()
    await signals.put("ticket", value, 30)
    assert await signals.take("ticket") == value
