"""A leased topic. The test renews and ends the lease."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest

from bus import redis_keys
from bus.bus import DELIVERY_BYTES
from bus.redis_connection import Address, Command, Connection
from bus.redis_leased_topic import LeasedTopic, Offer, ReadCommands
from bus.redis_scripts import Scripts
from bus.redis_streams import RedisBus
from bus.topics import commands

Offers = asyncio.Queue[Offer]


@pytest.fixture
async def bus(valkey_url: str) -> AsyncIterator[RedisBus]:
    with contextlib.closing(RedisBus(valkey_url)) as bus:
        await bus.publish([(commands(0), b"1"), (commands(0), b"2")])
        yield bus


@contextlib.asynccontextmanager
async def _leased_topic(url: str, until: float) -> AsyncIterator[tuple[LeasedTopic, Offers]]:
    offers: Offers = asyncio.Queue()
    scripts = Scripts.load()
    connect = partial(Connection.open, Address.parse(url), 5, scripts=scripts.sources())
    read = ReadCommands(redis_keys.stream(commands(0).name), scripts.look, 1, lambda: DELIVERY_BYTES)
    topic = LeasedTopic(commands(0).name, read, offers.put_nowait, connect)
    async with asyncio.TaskGroup() as tasks:
        topic.renewed(until)
        topic.start(tasks)
        yield topic, offers
        topic.end()


async def _take(offers: Offers) -> Offer:
    async with asyncio.timeout(10):
        return await offers.get()


async def test_an_offer_is_invalid_once_the_lease_has_expired(bus: RedisBus, valkey_url: str) -> None:
    del bus
    async with _leased_topic(valkey_url, time.monotonic() + 60) as (topic, offers):
        offer = await _take(offers)
        assert offer.source.lease_valid()
        topic.renewed(time.monotonic())
        assert not offer.source.lease_valid()


async def test_nothing_is_offered_without_a_lease_and_the_oldest_entry_after_a_renewal(bus: RedisBus, valkey_url: str) -> None:
    async with _leased_topic(valkey_url, time.monotonic()) as (topic, offers):
        for _ in range(20):  # enough loop iterations to have read
            await bus.ping()
        assert offers.empty()
        topic.renewed(time.monotonic() + 60)
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"1"]


async def test_an_ended_topic_is_invalid_even_with_a_lease(bus: RedisBus, valkey_url: str) -> None:
    del bus
    async with _leased_topic(valkey_url, time.monotonic() + 60) as (topic, offers):
        offer = await _take(offers)
        topic.end()
        assert not offer.source.lease_valid()


async def test_the_next_read_is_sent_with_the_settling_command_and_offered_after_it(bus: RedisBus, valkey_url: str) -> None:
    del bus
    async with _leased_topic(valkey_url, time.monotonic() + 60) as (topic, offers):
        offer = await _take(offers)
        assert topic.can_call()
        assert await topic.call([_acknowledging(offer)]) == [1]
        assert not topic.can_call()
        assert offers.empty()
        offer.settle()
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"2"]


async def test_entries_read_before_the_lease_expired_are_not_offered_after_it_is_renewed(bus: RedisBus, valkey_url: str) -> None:
    async with _leased_topic(valkey_url, time.monotonic() + 60) as (topic, offers):
        offer = await _take(offers)
        await topic.call([_acknowledging(offer)])
        for _ in range(20):  # enough loop iterations for the reply to arrive
            await bus.ping()
        topic.renewed(time.monotonic())
        async with bus.work([commands(0)], "group", "successor") as work, asyncio.timeout(10):
            await work.complete([await anext(aiter(work))])
        await bus.publish([(commands(0), b"3")])
        topic.renewed(time.monotonic() + 60)
        offer.settle()
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"3"]


async def test_a_discarded_read_offers_nothing(bus: RedisBus, valkey_url: str) -> None:
    async with _leased_topic(valkey_url, time.monotonic() + 60) as (topic, offers):
        offer = await _take(offers)
        await topic.call([("PING",)])
        for _ in range(20):  # enough loop iterations for the same entry to arrive again
            await bus.ping()
        topic.discard_read()
        assert not topic.can_call()
        with contextlib.closing(await Connection.open(Address.parse(valkey_url), 5)) as other:
            await other.call([_acknowledging(offer)], 5)
        offer.settle()
        assert [entry.payload for entry in (await _take(offers)).delivery.entries] == [b"2"]


def _acknowledging(offer: Offer) -> Command:
    return ("XDEL", redis_keys.stream(offer.delivery.topic), *(entry.id for entry in offer.delivery.entries))
