"""The queue to the application: bounded in bytes, and what must not be missed waits for room."""

import asyncio

import pytest

from hubbub_client import Ended, Event, Joined, Left, Update
from hubbub_client.feed import Feed


def event(seq: int) -> Event:
    return Event("a", seq, "message.posted", "ann", "", {})


async def taken(feed: Feed, count: int) -> list[Update]:
    async with asyncio.timeout(5):
        return [await feed.take() for _ in range(count)]


async def test_a_full_feed_refuses_events_until_it_is_half_empty_and_then_asks_for_them() -> None:
    asked: list[int] = []
    feed = Feed(5_000, lambda: asked.append(1))
    held = [seq for seq in range(1, 100) if feed.offer(event(seq), 700)]
    assert held == [1, 2, 3, 4, 5]
    assert not feed.offer(event(6), 0), "a small event must not overtake"
    await taken(feed, 2)
    assert asked == []
    await taken(feed, 1)
    assert asked == [1]
    assert feed.offer(event(6), 700)


async def test_news_of_channels_waits_beside_a_full_feed_the_newest_of_each() -> None:
    feed = Feed(1_000, lambda: None)
    assert feed.offer(event(1), 600)
    assert not feed.offer(event(2), 600)
    for seq in range(1_000):
        feed.insist("a", Left("a"))
        feed.insist("a", Joined("a", seq, "group", "", "member"))
    feed.insist("b", Left("b"))
    assert await taken(feed, 3) == [event(1), Joined("a", 999, "group", "", "member"), Left("b")]


async def test_an_event_larger_than_the_limit_is_delivered_alone() -> None:
    feed = Feed(1_000, lambda: None)
    for seq in (1, 2):
        assert feed.offer(event(seq), 60_000)
        assert not feed.offer(event(seq + 1), 60_000)
        assert await taken(feed, 1) == [event(seq)]


async def test_the_end_comes_after_what_waits() -> None:
    feed = Feed(1_000, lambda: None)
    feed.offer(event(1), 0)
    feed.end(Ended(4501))
    assert await taken(feed, 1) == [event(1)]
    for _ in range(2):
        with pytest.raises(Ended):
            await feed.take()
