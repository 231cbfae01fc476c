"""Presences wait for a slow gateway without piling up."""

from __future__ import annotations

from presence.here import Presence, User
from presence.outbox import Outbox

ADA, BOB = User("acme/ada"), User("acme/bob")


def _outbox(*users: User) -> Outbox:
    outbox = Outbox()
    outbox.watched.update(users)
    return outbox


async def test_a_slow_reader_gets_the_latest_of_each_user() -> None:
    outbox = _outbox(ADA, BOB)
    for version in range(1, 1_000):
        outbox.put(Presence(ADA, "online" if version % 2 else "away", None, version))
    outbox.put(Presence(BOB, "dnd", None, 1))
    assert await outbox.take() == [Presence(ADA, "online", None, 999), Presence(BOB, "dnd", None, 1)]


async def test_a_reading_that_was_overtaken_by_a_change_is_dropped() -> None:
    outbox = _outbox(ADA)
    outbox.put(Presence(ADA, "online", None, 2))
    outbox.put(Presence(ADA, "offline", 5, 1))
    assert await outbox.take() == [Presence(ADA, "online", None, 2)]


async def test_nothing_comes_of_a_user_no_longer_watched() -> None:
    outbox = _outbox(ADA, BOB)
    outbox.put(Presence(ADA, "online", None, 1))
    outbox.drop(ADA)
    outbox.put(Presence(ADA, "away", None, 2))
    outbox.put(Presence(BOB, "online", None, 1))
    assert [presence.user for presence in await outbox.take()] == [BOB]


async def test_a_closed_outbox_ends() -> None:
    outbox = _outbox(ADA)
    outbox.put(Presence(ADA, "online", None, 1))
    outbox.close()
    assert await outbox.take() == []
