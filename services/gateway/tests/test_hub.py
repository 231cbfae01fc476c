"""A connection gets each event of its channels once and in order, and none after a removal."""

from __future__ import annotations

import asyncio

import pytest

from chassis.errors import RateLimited, Unavailable
from gateway.hub import catchup
from gateway.model import BUFFERED_BYTES
from gateway.protocol.close_codes import Close
from gateway.protocol.incoming import COST_BYTES
from hubbub.events.v1.events_pb2 import Event
from services.gateway.tests.world import JOINED, REMOVED, World


async def test_nothing_of_the_log_is_sent_before_the_first_sync(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.say("c", 3)
    assert await world.seen(ann) == []


async def test_the_first_sync_opens_the_flow_from_the_position_of_hello(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.say("c", 2)
    await world.sync(ann)
    world.say("c")
    assert await world.seen(ann) == ["synced", "c:2", "c:3", "c:4"]


async def test_a_position_at_the_head_needs_no_store(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=1)
    assert await world.seen(ann) == ["synced c=complete@1"]
    assert not world.store.calls


async def test_an_older_position_is_caught_up_and_joined_with_live_events(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 3)
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=1)
    world.say("c")  # after buffering began, before the store reads
    world.store.calls[0].snapshot()
    world.say("c")  # after it read, before it answers
    world.store.calls[0].arrive()
    world.say("c")
    assert await world.seen(ann) == ["synced c=complete@4", "c:2", "c:3", "c:4", "c:5", "c:6", "c:7"]


async def test_a_later_sync_is_answered_by_the_store_and_joined_with_live_events(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 3)
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    await world.sync(ann, c=1)
    world.say("c")
    world.store.calls[0].snapshot()
    world.say("c")
    world.store.calls[0].arrive()
    world.say("c")
    assert await world.seen(ann) == ["synced", "synced c=complete@5", "c:2", "c:3", "c:4", "c:5", "c:6", "c:7"]


async def test_an_event_that_the_store_returned_before_the_bus_is_sent_once(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    late = world.store.append("c")
    await world.sync(ann, c=0)
    world.hub.take(late)
    world.say("c")
    assert await world.seen(ann) == ["synced", "synced c=complete@2", "c:1", "c:2", "c:3"]


async def test_a_session_ahead_of_the_bus_starts_where_it_was_read(world: World) -> None:
    world.join("c", "ann", "bob")
    bob = world.connect("bob")
    await world.sync(bob)
    late = world.store.append("c")
    ann = world.connect("ann")
    await world.sync(ann)
    world.hub.take(late)
    world.say("c")
    assert await world.seen(ann) == ["synced", "c:4"]
    assert await world.seen(bob) == ["synced", "c:3", "c:4"]


async def test_events_that_passed_while_the_session_was_loaded_are_fetched(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann", between=lambda: world.say("c", 2))
    await world.sync(ann)
    assert await world.seen(ann) == ["synced", "c:2", "c:3"]


async def test_a_membership_that_ended_while_the_session_was_loaded_is_not_opened(world: World) -> None:
    world.join("c", "ann", "bob")
    bob = world.connect("bob")
    await world.sync(bob)

    def remove() -> None:
        world.remove("c", "ann")
        world.say("c")

    ann = world.connect("ann", between=remove)
    await world.sync(ann, c=0)
    world.say("c")
    assert await world.seen(ann) == ["synced c=gone"]


async def test_a_membership_that_began_while_the_session_was_loaded_is_announced(world: World) -> None:
    ann = world.connect("ann", between=lambda: world.join("c", "ann"))
    await world.sync(ann)
    world.say("c")
    assert sorted(await world.seen(ann)) == ["c:2", "joined:c@1", "synced"]


async def test_a_gap_is_fetched_once_and_delivered_in_order(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann)
    await world.sync(bob)
    world.store.prompt = False
    for _ in range(3):
        world.store.append("c")  # lost on the bus
    world.say("c", 2)
    await world.settle()
    assert len(world.store.calls) == 1
    world.store.calls[0].arrive()
    expected = ["synced", "c:3", "c:4", "c:5", "c:6", "c:7"]
    assert await world.seen(ann) == expected
    assert await world.seen(bob) == expected


async def test_repeats_and_reordering_on_the_bus_are_invisible(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    second, third, fourth = (world.store.append("c") for _ in range(3))
    for event in (fourth, second, second, third, fourth, third):
        world.hub.take(event)
    assert await world.seen(ann) == ["synced", "c:2", "c:3", "c:4"]


async def test_a_removed_member_gets_the_removal_then_left_and_nothing_after(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann)
    await world.sync(bob)
    world.remove("c", "ann")
    world.say("c", 2)
    assert await world.seen(ann) == ["synced", "c:3", "left:c"]
    assert await world.seen(bob) == ["synced", "c:3", "c:4", "c:5"]


async def test_a_member_removed_while_catching_up_gets_the_log_up_to_the_removal(world: World) -> None:
    world.join("c", "ann")
    world.say("c")
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=0)
    world.store.calls[0].snapshot()
    world.remove("c", "ann")
    world.say("c")
    world.store.calls[0].arrive()
    assert await world.seen(ann) == ["synced c=complete@2", "c:1", "c:2", "c:3", "left:c"]


async def test_a_member_removed_before_the_store_was_read_gets_gone(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    await world.sync(ann, c=0)
    world.remove("c", "ann")
    world.store.calls[0].arrive()
    assert await world.seen(ann) == ["synced", "synced c=gone"]


async def test_a_member_removed_before_the_first_sync_gets_left_and_no_event(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.remove("c", "ann")
    await world.sync(ann)
    assert await world.seen(ann) == ["left:c", "synced"]


async def test_a_removal_that_the_bus_has_not_delivered_yet_is_fenced_by_the_store(world: World) -> None:
    world.join("c", "ann")
    world.say("c")
    ann = world.connect("ann")
    await world.sync(ann)
    late = world.store.append("c", REMOVED, "ann")
    await world.sync(ann, c=0)
    world.hub.take(late)
    world.say("c")
    assert await world.seen(ann) == ["synced", "synced c=gone"]


async def test_a_first_sync_before_the_bus_delivers_a_removal_gets_nothing_after_it(world: World) -> None:
    world.join("c", "ann")
    world.say("c")
    ann = world.connect("ann")
    late = world.store.append("c", REMOVED, "ann")
    after = world.store.append("c")
    await world.sync(ann, c=0)
    world.hub.take(late)
    world.hub.take(after)
    assert await world.seen(ann) == ["synced c=complete@2", "c:1", "c:2", "c:3", "left:c"]


async def test_a_gained_channel_starts_at_its_joined(world: World) -> None:
    world.store.append("c")
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    world.join("c", "ann")
    world.say("c", 2)
    await world.settle()
    world.store.calls[0].arrive()
    world.say("c")
    assert await world.seen(ann) == ["synced", "joined:c@2", "c:3", "c:4", "c:5"]


async def test_a_repeated_old_joined_has_no_effect(world: World) -> None:
    old = world.store.append("c", JOINED, "ann")
    world.store.append("c", REMOVED, "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.hub.take(old)
    world.say("c")
    assert await world.seen(ann) == ["synced"]
    assert "c" not in world.hub.channels


async def test_a_member_removed_before_joined_was_verified_gets_both(world: World) -> None:
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    world.join("c", "ann")
    await world.settle()
    world.store.calls[0].snapshot()
    world.remove("c", "ann")
    world.say("c")
    world.store.calls[0].arrive()
    assert await world.seen(ann) == ["synced", "joined:c@1", "c:2", "left:c"]
    assert "c" not in world.hub.channels


async def test_every_device_of_a_user_gains_and_loses_together(world: World) -> None:
    first, second = world.connect("ann"), world.connect("ann")
    await world.sync(first)
    world.join("c", "ann")
    await world.settle()
    await world.sync(second)
    world.say("c")
    world.remove("c", "ann")
    assert await world.seen(first) == ["synced", "joined:c@1", "c:2", "c:3", "left:c"]
    assert await world.seen(second) == ["joined:c@1", "synced", "c:2", "c:3", "left:c"]


async def test_a_later_sync_starts_the_named_channels_again(world: World) -> None:
    world.join("c", "ann")
    world.join("d", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.say("c")
    world.say("d")
    await world.settle()
    await world.sync(ann, c=0)
    world.say("c")
    assert await world.seen(ann) == ["synced", "c:2", "d:2", "synced c=complete@2", "c:1", "c:2", "c:3"]


async def test_too_many_missing_events_are_reset_and_live_events_continue(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 60)
    ann = world.connect("ann")
    await world.sync(ann, c=1)
    world.say("c")
    assert await world.seen(ann) == ["synced c=reset@61", "c:62"]


async def test_a_position_beyond_the_head_is_reset(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann, c=9)
    world.say("c")
    assert await world.seen(ann) == ["synced c=reset@1", "c:2"]


async def test_unknown_channels_are_gone(world: World) -> None:
    ann = world.connect("ann")
    await world.sync(ann, nothing=4)
    assert await world.seen(ann) == ["synced nothing=gone"]


async def test_a_first_sync_that_the_store_cannot_answer_can_be_repeated(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=0)
    world.store.calls[0].arrive(Unavailable())
    world.say("c")
    assert await world.seen(ann) == ["error:UNAVAILABLE"]
    world.store.prompt = True
    await world.sync(ann, c=0)
    assert await world.seen(ann) == ["error:UNAVAILABLE", "synced c=complete@2", "c:1", "c:2"]


async def test_a_later_sync_that_the_store_cannot_answer_leaves_the_flow_complete(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    await world.sync(ann, c=0)
    world.say("c")
    world.store.calls[0].arrive(Unavailable())
    world.say("c")
    assert await world.seen(ann) == ["synced", "c:2", "c:3", "error:UNAVAILABLE"]


async def test_an_answer_older_than_the_delivered_events_is_not_used(world: World) -> None:
    world.join("c", "ann")
    world.say("c")
    ann = world.connect("ann")
    await world.sync(ann)
    stale = Event.FromString(world.store.logs["c"].pop().SerializeToString())
    await world.sync(ann, c=0)
    world.store.logs["c"].append(stale)
    assert await world.seen(ann) == ["synced", "error:UNAVAILABLE"]


async def test_a_stream_that_contradicts_its_status_closes_with_4005(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 3)
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    await world.sync(ann, c=0)
    call = world.store.calls[0]
    call.snapshot()
    assert call.seen is not None
    del call.seen[1].events[2]
    call.arrive()
    assert await world.seen(ann) == ["synced", "synced c=complete@4", "c:1", "c:2", 4005]


async def test_a_socket_that_buffers_too_much_while_catching_up_is_closed_with_4005(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, c=0)
    while not ann.closing:
        event = world.store.append("c")
        event.payload = b'"' + b"x" * (BUFFERED_BYTES // 4) + b'"'
        world.hub.take(event)
    assert ann.closing is Close.RESYNC_NEEDED


async def test_a_channel_is_dropped_with_the_last_socket_of_its_last_member(world: World) -> None:
    world.join("c", "ann")
    first, second = world.connect("ann"), world.connect("ann")
    world.registry.gone(first)
    assert "c" in world.hub.channels
    world.registry.gone(second)
    assert not world.hub.channels
    assert not world.registry.accounts


async def test_a_removal_older_than_a_session_after_the_return_is_ignored(world: World) -> None:
    world.join("c", "ann", "bob")
    ann = world.connect("ann")
    await world.sync(ann)
    late = [world.store.append("c", REMOVED, "bob"), world.store.append("c", JOINED, "bob")]
    bob = world.connect("bob")
    await world.sync(bob)
    for event in late:
        world.hub.take(event)
    world.say("c")
    assert await world.seen(bob) == ["synced", "c:5"]
    assert await world.seen(ann) == ["synced", "c:3", "c:4", "c:5"]


async def test_an_entry_about_a_message_before_the_joining_shows_nothing_of_it(world: World) -> None:
    world.store.append("joined")
    world.join("joined", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.say("joined")
    world.join("joined", "bob")
    bob = world.connect("bob")
    await world.sync(bob)
    for about in (3, 5):
        world.hub.take(world.store.append("joined", about=about))
    assert (await world.seen(ann))[-2:] == ["joined:5", "joined:6"]
    assert (await world.seen(bob))[-2:] == ["joined:5 hidden", "joined:6"]


async def test_what_is_buffered_before_the_membership_is_verified_is_hidden_by_its_floor(world: World) -> None:
    world.store.append("joined")
    world.join("joined", "ann")
    world.say("joined")
    bob = world.connect("bob")
    await world.sync(bob)
    world.store.prompt = False
    ann = world.connect("ann")
    await world.sync(ann)
    world.join("joined", "bob")
    for about in (3, 4):
        world.hub.take(world.store.append("joined", about=about))
    await world.settle()
    for call in list(world.store.calls):
        call.arrive()
    assert (await world.seen(bob))[-3:] == ["joined:joined@4", "joined:5 hidden", "joined:6"]


async def test_a_gap_is_filled_with_what_the_member_may_see(world: World) -> None:
    world.store.append("joined")
    world.say("joined")
    world.join("joined", "bob")
    bob = world.connect("bob")
    await world.sync(bob)
    world.store.append("joined", about=2)  # the bus loses it
    world.say("joined")
    assert (await world.seen(bob))[-2:] == ["joined:4 hidden", "joined:5"]


async def test_what_is_buffered_for_a_member_who_was_removed_is_hidden_by_the_former_floor(world: World) -> None:
    world.store.append("joined")
    world.say("joined")
    world.join("joined", "bob")
    world.say("joined")
    bob = world.connect("bob")
    world.store.prompt = False
    await world.sync(bob, joined=3)
    for call in world.store.calls:
        call.snapshot()
    world.hub.take(world.store.append("joined", about=2))
    world.remove("joined", "bob")
    for call in list(world.store.calls):
        call.arrive()
    assert (await world.seen(bob))[-4:] == ["joined:4", "joined:5 hidden", "joined:6", "left:joined"]


async def test_a_catch_up_is_charged_for_the_events_and_bytes_that_it_reads(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 40)
    ann = world.connect("ann")
    await world.sync(ann, c=0)
    await world.sync(ann, c=world.store.head("c"))  # at hand: nothing is read
    await world.settle()
    size = sum(len(event.payload) for event in world.store.logs["c"])
    cost = 41 / catchup.EVENTS_PER_TOKEN + size / COST_BYTES
    world.catch_up_rate.take("t", "ann", cost=1_000 - cost - 0.001)
    with pytest.raises(RateLimited):
        world.catch_up_rate.take("t", "ann", cost=0.01)


async def test_a_user_who_reads_beyond_the_rate_waits_and_misses_nothing(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    world.catch_up_rate.take("t", "ann", cost=1_000)
    await world.sync(ann, c=0)
    await world.sync(bob, c=0)
    world.say("c")
    assert await world.seen(ann) == ["synced c=complete@2", "c:1", "c:2"]
    assert await world.seen(bob) == ["synced c=complete@2", "c:1", "c:2", "c:3"]
    world.now += 1
    async with asyncio.timeout(5):
        while (await world.seen(ann))[-1] != "c:3":
            pass


async def test_a_user_reads_a_few_syncs_at_one_time_and_leaves_the_store_to_others(world: World) -> None:
    world.join("c", "ann", "bob")
    connections = [world.connect("ann") for _ in range(catchup.USER_CONCURRENT + 3)]
    bob = world.connect("bob")
    for connection in (*connections, bob):
        await world.sync(connection, c=2)  # the first sync reads what connections miss once for all of them
    world.store.prompt = False
    for connection in (*connections, bob):
        await world.sync(connection, c=0)
    assert len(world.store.calls) == catchup.USER_CONCURRENT + 1
    world.store.prompt = True
    for call in list(world.store.calls):
        call.arrive()
    for connection in (*connections, bob):
        assert (await world.seen(connection))[1:] == ["synced c=complete@2", "c:1", "c:2"]
