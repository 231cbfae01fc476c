"""Rate limits per user and address, over all gateways."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from ipaddress import ip_network

import msgspec
import pytest

from bus.memory_signals import MemorySignals
from chassis.errors import RateLimited
from gateway.rates.bucket import Bucket
from gateway.rates.shared import KNOWN, SIGNAL, SharedRate, SharedRates, Usage, UsageExchange


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, rate: float = 10, burst: float = 20) -> SharedRate:
    return SharedRate(rate, burst, "too much", clock)


def limits(each: Callable[[], SharedRate]) -> SharedRates:
    """All limits, made by a function."""
    return SharedRates(each(), each(), each(), each(), each(), each(), each(), each(), ())


def granted(rate: SharedRate, *key: str, ask: int = 100) -> int:
    """How many of `ask` attempts are granted at once."""
    count = 0
    for _ in range(ask):
        try:
            rate.take(*key)
        except RateLimited:
            break
        count += 1
    return count


def test_each_key_has_a_burst_and_then_the_rate(clock: Clock) -> None:
    one = make(clock)
    assert (granted(one, "t", "ann"), granted(one, "t", "bob"), granted(one, "other", "ann")) == (20, 20, 20)
    clock.now += 1
    assert granted(one, "t", "ann") == 10


def test_usage_at_other_gateways_counts(clock: Clock) -> None:
    here, there = make(clock), make(clock)
    sharing = UsageExchange({"sends": here}, MemorySignals(), "here")
    assert granted(there, "t", "ann", ask=15) == 15
    sharing.received(
        msgspec.msgpack.encode(Usage("there", {"sends": there.take_usage(), "channel_joins": [(("t", "ann"), 99.0)]}))
    )
    assert granted(here, "t", "ann") == 5
    sharing.received(msgspec.msgpack.encode(Usage("here", {"sends": [(("t", "bob"), 20.0)]})))  # our own gossip, returned
    assert granted(here, "t", "bob") == 20
    sharing.received(b"\xff")


def test_notable_usage_is_gossiped_once_and_little_usage_never(clock: Clock) -> None:
    one = make(clock)
    granted(one, "t", "ann", ask=15)
    granted(one, "t", "bob", ask=1)
    assert one.take_usage() == [(("t", "ann"), 15.0)]
    assert one.take_usage() == []


async def test_every_limit_is_shared(clock: Clock) -> None:
    signals, kinds = MemorySignals(), [limits(lambda: make(clock)).by_name for _ in range(2)]
    here, there = (UsageExchange(each, signals, name) for each, name in zip(kinds, ("here", "there"), strict=True))
    for allowance in kinds[0].values():
        assert granted(allowance, "203.0.113.9") == 20
    async with signals.listen([SIGNAL]) as feed:
        telling = asyncio.create_task(here.send())
        async with asyncio.timeout(10):
            there.received((await anext(feed)).payload)
        telling.cancel()
    assert [granted(allowance, "203.0.113.9") for allowance in kinds[1].values()] == [0] * len(kinds[1])


def test_the_debt_of_a_flood_at_many_gateways_is_bounded(clock: Clock) -> None:
    bucket = Bucket(10, 20, clock)
    for _ in range(100):
        bucket.spend(20)
    clock.now += 4.1
    assert bucket.take(20) == pytest.approx(0, abs=2)


def test_memory_is_bounded_however_many_addresses_send(clock: Clock) -> None:
    one = make(clock)
    for number in range(KNOWN + 100):
        one.take(str(number))
    assert len(one.buckets) == KNOWN


def addresses(*proxies: str) -> SharedRates:
    one = make(Clock())
    return dataclasses.replace(limits(lambda: one), proxies=tuple(ip_network(each) for each in proxies))


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        ((), "203.0.113.9", "", "203.0.113.9"),
        ((), "203.0.113.9", "198.51.100.1", "203.0.113.9"),  # an untrusted client can claim anything
        (("10.0.0.0/8",), "10.1.2.3", "198.51.100.1", "198.51.100.1"),
        (("10.0.0.0/8",), "10.1.2.3", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (("10.0.0.0/8",), "10.1.2.3", "6.6.6.6, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        (("10.0.0.0/8",), "10.1.2.3", "nonsense", "10.1.2.3"),
        (("10.0.0.0/8",), "10.1.2.3", "", "10.1.2.3"),
        (("10.0.0.0/8",), "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ((), "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
    ],
)
def test_an_address_is_the_one_that_the_nearest_trusted_proxy_saw(
    proxies: tuple[str, ...], peer: str, forwarded: str, address: str
) -> None:
    assert addresses(*proxies).address(peer, forwarded) == address
