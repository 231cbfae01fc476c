"""Presence's state, with a clock that the test sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from presence import sweeper
from presence.errors import LeaseLost
from presence.leases import CHUNK, Change, Leases, User

if TYPE_CHECKING:
    from services.presence.tests.conftest import Clock

ADA, BOB = User("acme/ada"), User("acme/bob/with a slash")


async def _status(leases: Leases, user: User = ADA) -> str:
    return (await leases.presences([user]))[0].status


async def _later(leases: Leases, clock: Clock, milliseconds: int) -> None:
    clock.now += milliseconds
    await sweeper.sweep(leases)


async def test_a_user_never_seen_is_offline(leases: Leases) -> None:
    (presence,) = await leases.presences([ADA])
    assert (presence.status, presence.seen_milliseconds) == ("offline", None)


async def test_presences_are_returned_in_request_order(leases: Leases) -> None:
    users = [User(f"acme/{number}") for number in range(2 * CHUNK + 1)]
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(users[-1], "c", "away")])
    presences = await leases.presences(users)
    assert [presence.user for presence in presences] == users
    assert presences[-1].status == "away"


@pytest.mark.parametrize(
    ("statuses", "shown"),
    [
        (["away"], "away"),
        (["away", "online"], "online"),
        (["online", "away"], "online"),
        (["online", "dnd", "away"], "dnd"),
    ],
)
async def test_of_several_devices_dnd_beats_online_beats_away(leases: Leases, statuses: list[str], shown: str) -> None:
    await leases.attach("g", "1")
    await leases.attach("h", "1")
    for number, status in enumerate(statuses):
        await leases.report("gh"[number % 2], "1", [Change(ADA, f"c{number}", status)])
    assert await _status(leases) == shown


async def test_after_a_disconnect_a_user_goes_offline_when_the_grace_period_ends(leases: Leases, clock: Clock) -> None:
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(ADA, "c", "online")])
    await leases.report("g", "1", [Change(ADA, "c", "")])
    left = clock.now
    await _later(leases, clock, 4_999)
    assert await _status(leases) == "online"
    await leases.report("g", "1", [])
    await _later(leases, clock, 1)
    (presence,) = await leases.presences([ADA])
    assert (presence.status, presence.seen_milliseconds) == ("offline", left)


async def test_a_reconnect_within_the_grace_period_changes_nothing(leases: Leases, clock: Clock) -> None:
    await leases.attach("g", "1")
    await leases.attach("h", "1")
    await leases.report("g", "1", [Change(ADA, "c1", "online")])
    (before,) = await leases.presences([ADA])
    await leases.report("g", "1", [Change(ADA, "c1", "")])
    await _later(leases, clock, 4_000)
    await leases.report("h", "1", [Change(ADA, "c2", "online")])
    await _later(leases, clock, 4_000)
    assert await leases.presences([ADA]) == [before]


async def test_a_status_kept_across_a_reconnect_does_not_flicker(leases: Leases, clock: Clock) -> None:
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(ADA, "c1", "dnd")])
    (before,) = await leases.presences([ADA])
    await leases.report("g", "1", [Change(ADA, "c1", "")])
    await leases.report("g", "1", [Change(ADA, "c2", "online")])  # every socket begins online
    await leases.report("g", "1", [Change(ADA, "c2", "dnd")])
    await _later(leases, clock, 6_000)
    assert await leases.presences([ADA]) == [before]


async def test_a_status_change_takes_effect_at_once(leases: Leases) -> None:
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(ADA, "c1", "dnd"), Change(ADA, "c1", ""), Change(ADA, "c2", "online")])
    assert await _status(leases) == "dnd"
    await leases.report("g", "1", [Change(ADA, "c2", "away")])
    assert await _status(leases) == "away"


async def test_after_one_of_two_devices_leaves_the_other_one_counts_when_the_grace_period_ends(
    leases: Leases, clock: Clock
) -> None:
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(ADA, "c1", "online"), Change(ADA, "c2", "away"), Change(ADA, "c1", "")])
    assert await _status(leases) == "online"
    await leases.report("g", "1", [])
    await _later(leases, clock, 5_000)
    assert await _status(leases) == "away"


async def test_users_of_a_killed_gateway_go_offline_within_15_seconds(leases: Leases, clock: Clock) -> None:
    await leases.attach("g", "1")
    await leases.attach("h", "1")
    users = [User(f"acme/{number}") for number in range(2 * CHUNK)]
    await leases.report("g", "1", [Change(user, f"c-{user}", "online") for user in [*users, ADA]])
    await leases.report("h", "1", [Change(ADA, "other", "away")])
    for _ in range(28):  # sweeps every half second
        clock.now += 500
        await leases.report("h", "1", [])
        await sweeper.sweep(leases)
    assert {presence.status for presence in await leases.presences(users)} == {"offline"}
    assert await _status(leases) == "away"


async def test_users_of_a_killed_gateway_who_reconnect_elsewhere_stay_online(leases: Leases, clock: Clock) -> None:
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(ADA, "c1", "online")])
    (before,) = await leases.presences([ADA])
    await _later(leases, clock, 8_000)
    await leases.attach("h", "1")
    await leases.report("h", "1", [Change(ADA, "c2", "online")])
    await _later(leases, clock, 6_000)
    assert await leases.presences([ADA]) == [before]


async def test_users_reported_before_and_after_reattaching_stay_online(leases: Leases, clock: Clock) -> None:
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(ADA, "c1", "online"), Change(BOB, "c2", "online")])
    (before,) = await leases.presences([ADA])
    await _later(leases, clock, 3_000)
    await leases.attach("g", "2")
    await sweeper.sweep(leases)
    await leases.report("g", "2", [Change(ADA, "c1", "online")])
    await _later(leases, clock, 5_000)
    assert await leases.presences([ADA]) == [before]
    assert await _status(leases, BOB) == "offline"


async def test_a_replaced_attachment_may_not_report(leases: Leases) -> None:
    await leases.attach("g", "1")
    await leases.attach("g", "2")
    with pytest.raises(LeaseLost):
        await leases.report("g", "1", [Change(ADA, "c1", "online")])
    assert await _status(leases) == "offline"


async def test_a_wiped_lease_is_detected_at_the_next_report(leases: Leases, client: redis.asyncio.Redis) -> None:
    await leases.attach("g", "1")
    await client.flushall()
    with pytest.raises(LeaseLost):
        await leases.report("g", "1", [])


async def test_an_expired_gateway_leaves_no_keys(leases: Leases, clock: Clock, client: redis.asyncio.Redis) -> None:
    await leases.attach("g", "1")
    await leases.report("g", "1", [Change(ADA, "c1", "online")])
    await _later(leases, clock, 7_000)
    await _later(leases, clock, 5_000)
    assert sorted(await client.keys("*")) == ["presence:asides", "presence:user:acme/ada"]
    assert sorted(await client.hkeys("presence:user:acme/ada")) == ["seen", "shown", "version"]
    assert await client.ttl("presence:user:acme/ada") > 0


async def test_repeated_reports_are_idempotent(leases: Leases, clock: Clock) -> None:
    await leases.attach("g", "1")
    changes = [Change(ADA, "c1", "online"), Change(BOB, "c2", "away"), Change(BOB, "c2", "")]
    assert await leases.report("g", "1", changes) == 2
    assert await leases.report("g", "1", changes) == 0
    await leases.report("g", "1", [])
    await _later(leases, clock, 5_000)
    assert (await _status(leases), await _status(leases, BOB)) == ("online", "offline")
