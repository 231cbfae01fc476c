"""A resume is served from memory where possible, and a range of the log is read once for all who miss it."""

from __future__ import annotations

from chassis.errors import Unavailable
from gateway.hub.tails import CHANNEL_BYTES, EVENT_BYTES, Tails
from gateway.model import Account, Channel, Shown
from services.gateway.tests.world import SYNC_EVENTS, TENANT, World


async def test_what_was_delivered_here_is_resumed_without_the_store(world: World) -> None:
    world.join("c", "ann", "bob")
    world.connect("ann")
    world.say("c", 3)
    bob = world.connect("bob")
    world.store.prompt = False
    await world.sync(bob, c=2)
    world.say("c")
    assert await world.seen(bob) == ["synced c=complete@5", "c:3", "c:4", "c:5", "c:6"]
    assert not world.store.calls


async def test_a_storm_reads_each_range_once(world: World) -> None:
    users = [f"user{n}" for n in range(20)]
    world.join("c", *users)
    world.say("c", 9)
    storm = [world.connect(user) for user in users]
    world.store.prompt = False
    for connection in storm[:10]:
        await world.sync(connection, c=20)
    assert len(world.store.calls) == 1
    world.store.calls[0].arrive()
    for connection in storm[10:]:
        await world.sync(connection, c=20)
    assert not world.store.calls
    expected = ["synced c=complete@29", *(f"c:{seq}" for seq in range(21, 30))]
    assert [await world.seen(connection) for connection in storm] == [expected] * 20


async def test_ranges_of_many_channels_travel_in_one_call(world: World) -> None:
    channels = [f"c{n}" for n in range(8)]
    for channel in channels:
        world.join(channel, "ann")
        world.say(channel, 2)
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, **dict.fromkeys(channels, 1))
    (call,) = world.store.calls
    call.arrive()
    seen = await world.seen(ann)
    assert seen[1:] == [f"{channel}:{seq}" for channel in channels for seq in (2, 3)]


async def test_an_earlier_position_reads_only_what_memory_lacks(world: World) -> None:
    world.join("c", "ann", "bob")
    world.say("c", 8)
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann, c=6)
    world.store.prompt = False
    await world.sync(bob, c=3)
    (call,) = world.store.calls
    call.snapshot()
    assert call.seen is not None
    assert [event.seq for event in call.seen[0].ranges[0].events] == [4, 5, 6]
    call.arrive()
    assert await world.seen(bob) == ["synced c=complete@10", *(f"c:{seq}" for seq in range(4, 11))]


async def test_a_deletion_is_never_undone_by_memory(world: World) -> None:
    world.join("c", "ann", "bob")
    world.connect("ann")
    world.say("c", 2)
    world.hub.take(world.store.erase("c", 3))
    bob = world.connect("bob")
    await world.sync(bob, c=2)
    assert await world.seen(bob) == ["synced c=complete@5", "c:3 erased", "c:4", "c:5"]


async def test_what_was_read_before_a_deletion_is_not_kept_after_it(world: World) -> None:
    world.join("c", "ann", "bob")
    world.say("c", 2)
    ann, bob = world.connect("ann"), world.connect("bob")
    world.store.prompt = False
    await world.sync(ann, c=2)
    (call,) = world.store.calls
    call.snapshot()
    world.hub.take(world.store.erase("c", 3))
    call.arrive()
    await world.settle()
    world.store.prompt = True
    await world.sync(bob, c=2)
    assert await world.seen(bob) == ["synced c=complete@5", "c:3 erased", "c:4", "c:5"]


async def test_what_was_read_before_a_deletion_does_not_join_the_tail_after_it(world: World) -> None:
    world.join("c", "ann", "bob", "cid")
    world.say("c", 2)
    world.connect("ann")
    world.say("c")
    bob = world.connect("bob")
    world.store.prompt = False
    await world.sync(bob, c=3)
    (call,) = world.store.calls
    call.snapshot()
    world.hub.take(world.store.erase("c", 4))
    call.arrive()
    await world.settle()
    calls = list(world.store.calls)  # bob still misses 6, which the deletion has ended
    cid = world.connect("cid")
    await world.sync(cid, c=6)
    assert await world.seen(cid) == ["synced c=complete@7", "c:7"]
    assert world.store.calls == calls


async def test_memory_shows_a_new_member_nothing_from_before(world: World) -> None:
    world.join("joined", "ann")
    world.say("joined")
    world.connect("ann")
    world.join("joined", "bob")
    world.hub.take(world.store.append("joined", about=2))
    world.say("joined")
    bob = world.connect("bob")
    world.store.prompt = False
    await world.sync(bob, joined=0)
    assert await world.seen(bob) == ["synced joined=complete@5", "joined:3", "joined:4 hidden", "joined:5"]


async def test_more_than_the_limit_is_reset_without_reading(world: World) -> None:
    world.join("c", "ann")
    world.say("c", SYNC_EVENTS + 1)
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=1)
    assert await world.seen(ann) == [f"synced c=reset@{SYNC_EVENTS + 2}"]


async def test_a_position_before_the_beginning_of_the_log_is_reset_without_reading(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 5)
    world.store.archived_to["c"] = 3
    early, late = world.connect("ann"), world.connect("ann")
    world.store.prompt = False
    await world.sync(early, c=2)
    assert await world.seen(early) == ["synced c=reset@6"]
    world.store.prompt = True
    await world.sync(late, c=3)
    assert await world.seen(late) == ["synced c=complete@6", "c:4", "c:5", "c:6"]


async def test_a_range_that_takes_several_answers_is_complete(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 9)
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=0)
    while world.store.calls:
        (call,) = world.store.calls
        call.snapshot()
        assert call.seen is not None
        del call.seen[0].ranges[0].events[4:]
        call.arrive()
        await world.settle()
    assert await world.seen(ann) == ["synced c=complete@10", *(f"c:{seq}" for seq in range(1, 11))]


async def test_ranges_that_did_not_fit_into_an_answer_are_asked_for_again(world: World) -> None:
    for channel in ("a", "b"):
        world.join(channel, "ann")
        world.say(channel)
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, a=1, b=1)
    call = world.store.calls[0]
    call.snapshot()
    assert call.seen is not None
    del call.seen[0].ranges[1:]
    world.store.prompt = True
    call.arrive()
    assert await world.seen(ann) == ["synced a=complete@2 b=complete@2", "a:2", "b:2"]


async def test_a_store_without_the_events_closes_with_4005(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 2)
    ann = world.connect("ann")
    del world.store.logs["c"][1:]
    await world.sync(ann, c=1)
    assert await world.seen(ann) == [4005]


async def test_a_failed_read_fails_for_everyone_who_waits_and_can_be_repeated(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    world.store.prompt = False
    await world.sync(ann, c=0)
    await world.sync(bob, c=0)
    (call,) = world.store.calls
    call.arrive(Unavailable())
    await world.settle()
    world.store.prompt = True
    await world.sync(ann, c=0)
    assert await world.seen(ann) == ["error:UNAVAILABLE", "synced c=complete@2", "c:1", "c:2"]
    assert await world.seen(bob) == ["error:UNAVAILABLE"]


async def test_what_was_read_before_all_tails_are_dropped_is_not_kept(world: World) -> None:
    world.join("c", "ann", "bob")
    world.say("c", 2)
    ann, bob = world.connect("ann"), world.connect("bob")
    world.store.prompt = False
    await world.sync(ann, c=2)
    (call,) = world.store.calls
    call.snapshot()
    world.store.rewrite("c", 3)
    world.hub.tails.clear()
    call.arrive()
    await world.settle()
    world.store.prompt = True
    await world.sync(bob, c=2)
    assert await world.seen(bob) == ["synced c=complete@4", "c:3 erased", "c:4"]


async def test_the_tail_goes_with_the_channel(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.say("c", 3)
    assert world.hub.tails.size > 0
    world.registry.gone(ann)
    assert world.hub.tails.size == 0


async def test_a_read_that_ends_after_its_channel_is_gone_leaves_nothing(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=0)
    (call,) = world.store.calls
    world.registry.gone(ann)
    call.arrive()
    await world.settle()
    assert world.hub.tails.size == 0


def test_tails_are_bounded_in_bytes() -> None:
    tails = Tails(10 * EVENT_BYTES)
    first, second = channel("first"), channel("second")
    for seq in range(1, 6):
        tails.add(first, event(seq), erases=False)
    for seq in range(1, 7):
        tails.add(second, event(seq), erases=False)
    assert tails.after(first, 4, 5) is None, "the least recently used tail goes first"
    assert tails.after(second, 0, 6) == [event(seq) for seq in range(1, 7)]
    assert tails.size == 6 * EVENT_BYTES


def test_a_tail_keeps_its_newest_events_within_its_bound() -> None:
    tails, busy = Tails(), channel("busy")
    many = CHANNEL_BYTES // EVENT_BYTES + 1
    for seq in range(1, many + 1):
        tails.add(busy, event(seq), erases=False)
    assert tails.size <= CHANNEL_BYTES
    assert tails.after(busy, 0, many) is None
    assert tails.after(busy, many - 10, many) == [event(seq) for seq in range(many - 9, many + 1)]


def channel(name: str) -> Channel:
    made = Channel(name, TENANT, 0)
    made.accounts.add(Account(TENANT, "ann"))
    return made


def event(seq: int) -> Shown:
    return Shown(seq, b"", 0, b"")
