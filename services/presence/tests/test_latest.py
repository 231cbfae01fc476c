"""The queue of a slow gateway stays bounded."""

from __future__ import annotations

from presence.latest import LatestPresences
from presence.leases import Presence, User

ADA, BOB = User("acme/ada"), User("acme/bob")


def _watching(*users: User) -> LatestPresences:
    latest = LatestPresences()
    latest.watched.update(users)
    return latest


async def test_a_slow_reader_gets_the_latest_presence_of_each_user() -> None:
    latest = _watching(ADA, BOB)
    for version in range(1, 1_000):
        latest.put(Presence(ADA, "online" if version % 2 else "away", None, version))
    latest.put(Presence(BOB, "dnd", None, 1))
    assert await latest.take() == [Presence(ADA, "online", None, 999), Presence(BOB, "dnd", None, 1)]


async def test_an_older_version_is_dropped() -> None:
    latest = _watching(ADA)
    latest.put(Presence(ADA, "online", None, 2))
    latest.put(Presence(ADA, "offline", 5, 1))
    assert await latest.take() == [Presence(ADA, "online", None, 2)]


async def test_a_user_no_longer_watched_is_dropped() -> None:
    latest = _watching(ADA, BOB)
    latest.put(Presence(ADA, "online", None, 1))
    latest.drop(ADA)
    latest.put(Presence(ADA, "away", None, 2))
    latest.put(Presence(BOB, "online", None, 1))
    assert [presence.user for presence in await latest.take()] == [BOB]


async def test_a_closed_queue_returns_nothing() -> None:
    latest = _watching(ADA)
    latest.put(Presence(ADA, "online", None, 1))
    latest.close()
    assert await latest.take() == []
