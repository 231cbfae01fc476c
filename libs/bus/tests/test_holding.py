"""One topic in a member's hands, whose lease the test lengthens and ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest

from bus import redis_keys
from bus.redis_connection import Address, Command, Connection
from bus.redis_holding import Holding, Offer
from bus.redis_streams import RedisBus
from bus.topics import commands

Offers = asyncio.Queue[Offer]


@pytest.fixture
async def bus(valkey_url: str) -> AsyncIterator[RedisBus]:
    with contextlib.closing(RedisBus(valkey_url)) as bus:
        await bus.publish([(commands(0), b"1"), (commands(0), b"2")])
        yield bus


@contextlib.asynccontextmanager
async def _holding(url: str, until: float) -> AsyncIterator[tuple[Holding, Offers]]:
    offers: Offers = asyncio.Queue()
    connect = partial(Connection.open, Address.parse(url), 5)
    holding = Holding(commands(0).name, redis_keys.stream(commands(0).name), 1, offers.put_nowait, connect)
    async with asyncio.TaskGroup() as tasks:
        holding.renewed(until)
        holding.begin(tasks)
        yield holding, offers
        holding.end()


async def _take(offers: Offers) -> Offer:
    async with asyncio.timeout(10):
        return await offers.get()


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


async def test_the_next_read_goes_with_what_settles_an_offer_and_is_offered_after_it(bus: RedisBus, valkey_url: str) -> None:
    del bus
    async with _holding(valkey_url, time.monotonic() + 60) as (holding, offers):
        offer = await _take(offers)
        assert holding.idle()
        assert await holding.call([_acknowledging(offer)]) == [1]
        assert not holding.idle()
        assert offers.empty()
        offer.settle()
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"2"]


async def test_what_was_read_before_the_lease_ran_out_is_not_offered_after_it_came_back(bus: RedisBus, valkey_url: str) -> None:
    async with _holding(valkey_url, time.monotonic() + 60) as (holding, offers):
        offer = await _take(offers)
        await holding.call([_acknowledging(offer)])
        for _ in range(20):  # plenty of turns in which what was read has come
            await bus.ping()
        holding.renewed(time.monotonic())
        async with bus.work([commands(0)], "group", "successor") as work, asyncio.timeout(10):
            await work.complete([await anext(aiter(work))])
        await bus.publish([(commands(0), b"3")])
        holding.renewed(time.monotonic() + 60)
        offer.settle()
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"3"]


async def test_a_read_is_retracted_with_what_it_brought_where_the_offer_was_not_settled(bus: RedisBus, valkey_url: str) -> None:
    async with _holding(valkey_url, time.monotonic() + 60) as (holding, offers):
        offer = await _take(offers)
        await holding.call([("PING",)])
        for _ in range(20):  # plenty of turns in which the same entry has come again
            await bus.ping()
        holding.retract()
        assert not holding.idle()
        with contextlib.closing(await Connection.open(Address.parse(valkey_url), 5)) as other:
            await other.call([_acknowledging(offer)], 5)
        offer.settle()
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"2"]


def _acknowledging(offer: Offer) -> Command:
    return ("XDEL", redis_keys.stream(offer.delivery.topic), *(entry.id for entry in offer.delivery.entries))
