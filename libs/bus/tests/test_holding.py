"""One topic in a member's hands, whose lease the test lengthens and ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from bus import redis_keys
from bus.redis_connection import Address
from bus.redis_holding import Holding, Offer
from bus.redis_streams import RedisBus
from bus.topics import commands

Offers = asyncio.Queue[Offer | None]


@pytest.fixture
async def bus(valkey_url: str) -> AsyncIterator[RedisBus]:
    with contextlib.closing(RedisBus(valkey_url)) as bus:
        await bus.publish([(commands(0), b"1"), (commands(0), b"2")])
        yield bus


@contextlib.asynccontextmanager
async def _holding(url: str, until: float) -> AsyncIterator[tuple[Holding, Offers]]:
    offers: Offers = asyncio.Queue(maxsize=1)
    holding = Holding(commands(0).name, redis_keys.stream(commands(0).name), 1, offers, Address.parse(url))
    async with asyncio.TaskGroup() as tasks:
        holding.renewed(until)
        holding.begin(tasks)
        yield holding, offers
        holding.end()


async def _take(offers: Offers) -> Offer:
    async with asyncio.timeout(10):
        offer = await offers.get()
    assert offer is not None
    return offer


async def test_an_offer_is_void_once_the_lease_has_run_out(bus: RedisBus, valkey_url: str) -> None:
    del bus
    async with _holding(valkey_url, time.monotonic() + 60) as (holding, offers):
        offer = await _take(offers)
        assert offer.holding.held()
        holding.renewed(time.monotonic())
        assert not offer.holding.held()


async def test_nothing_is_offered_without_a_lease_and_the_oldest_once_it_is_renewed(bus: RedisBus, valkey_url: str) -> None:
    async with _holding(valkey_url, time.monotonic()) as (holding, offers):
        for _ in range(20):  # plenty of turns in which it could have read
            await bus.ping()
        assert offers.empty()
        holding.renewed(time.monotonic() + 60)
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"1"]


async def test_an_ended_holding_is_not_held_whatever_the_lease(bus: RedisBus, valkey_url: str) -> None:
    del bus
    async with _holding(valkey_url, time.monotonic() + 60) as (holding, offers):
        offer = await _take(offers)
        holding.end()
        assert not offer.holding.held()
