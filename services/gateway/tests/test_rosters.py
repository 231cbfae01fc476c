"""Members of a large channel join and leave without an entry, and the fence holds as if there were one."""

from __future__ import annotations

from typing import Any

from gateway.hub.reconcile import Reconciler
from gateway.model import Connection
from gateway.state.counts import Counts
from hubbub.events.v1.events_pb2 import Reads
from services.gateway.tests.world import JOINED, LEFT, TENANT, World


async def _live(world: World, user: str) -> Connection:
    connection = world.connect(user)
    await world.sync(connection)
    return connection


async def test_a_leaving_member_gets_left_and_no_later_event(world: World) -> None:
    world.join("c", "ann", "bob")
    bob = await _live(world, "bob")
    world.say("c")
    world.withdraw("c", "bob")
    world.say("c")
    assert await world.seen(bob) == ["synced", "c:3", "left:c"]


async def test_an_event_waits_for_the_changes_that_precede_it(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = await _live(world, "ann"), await _live(world, "bob")
    world.store.prompt = False
    change = world.store.change_roster("c", LEFT, "bob")
    world.say("c")  # comes first: the process that stored the change has not published it yet
    assert await world.seen(ann) == await world.seen(bob) == ["synced"]
    world.hub.take_change(change)
    assert await world.seen(ann) == ["synced", "c:3"]
    assert await world.seen(bob) == ["synced", "left:c"]


async def test_a_change_that_does_not_come_is_fetched(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = await _live(world, "ann"), await _live(world, "bob")
    world.store.change_roster("c", LEFT, "bob")
    world.say("c")
    assert await world.seen(ann) == ["synced", "c:3"]
    assert await world.seen(bob) == ["synced", "left:c"]


async def test_a_change_waits_for_the_events_that_precede_it(world: World) -> None:
    world.join("c", "ann", "bob")
    bob = await _live(world, "bob")
    world.store.prompt = False
    late = world.store.append("c")
    world.withdraw("c", "bob")
    assert await world.seen(bob) == ["synced"]
    world.hub.take(late)
    assert await world.seen(bob) == ["synced", "c:3", "left:c"]


async def test_a_newcomer_is_welcomed_without_a_call_and_gets_every_later_event(world: World) -> None:
    world.join("c", "ann")
    await _live(world, "ann")
    bob = await _live(world, "bob")
    world.store.prompt = False
    world.say("c")
    world.enrol("c", "bob")
    world.say("c", 2)
    assert await world.seen(bob) == ["synced", "joined:c@2", "c:3", "c:4"]
    assert not world.store.calls


async def test_a_newcomer_by_an_entry_is_welcomed_without_a_call(world: World) -> None:
    world.store.welcomes = True
    world.join("c", "ann")
    await _live(world, "ann")
    bob = await _live(world, "bob")
    world.store.prompt = False
    world.join("c", "bob")
    world.say("c")
    assert await world.seen(bob) == ["synced", "joined:c@2", "c:3"]
    assert not world.store.calls


async def test_a_newcomer_of_an_unknown_channel_is_verified(world: World) -> None:
    world.join("c", "ann")
    bob = await _live(world, "bob")
    world.enrol("c", "bob")
    world.say("c")
    assert await world.seen(bob) == ["synced", "joined:c@1", "c:2"]


async def test_an_old_change_that_comes_again_opens_nothing(world: World) -> None:
    world.join("c", "ann")
    await _live(world, "ann")
    bob = await _live(world, "bob")
    joined = world.store.change_roster("c", JOINED, "bob")
    world.hub.take_change(joined)
    world.withdraw("c", "bob")
    world.hub.take_change(joined)
    world.say("c")
    assert await world.seen(bob) == ["synced", "joined:c@1", "left:c"]


async def test_a_session_read_before_a_change_does_not_open_the_channel(world: World) -> None:
    world.join("c", "ann", "bob")
    await _live(world, "ann")
    bob = world.connect("bob", between=lambda: world.withdraw("c", "bob"))
    await world.sync(bob)
    world.say("c")
    assert await world.seen(bob) == ["synced"]


async def test_a_session_that_is_newer_than_a_change_stays_a_member(world: World) -> None:
    world.join("c", "ann", "bob")
    await _live(world, "ann")
    late = [world.store.change_roster("c", LEFT, "bob"), world.store.change_roster("c", JOINED, "bob")]
    bob = await _live(world, "bob")
    for change in late:
        world.hub.take_change(change)
    world.say("c")
    assert (await world.seen(bob))[-1] == "c:3"


async def test_the_history_of_a_newcomer_begins_after_the_joining(world: World) -> None:
    world.join("joined", "ann")
    await _live(world, "ann")
    bob = await _live(world, "bob")
    world.say("joined")
    world.enrol("joined", "bob")
    world.hub.take(world.store.append("joined", about=2))
    world.hub.take(world.store.append("joined", about=3))
    assert await world.seen(bob) == ["synced", "joined:joined@2", "joined:3 hidden", "joined:4"]


async def test_comparing_heads_finds_a_change_that_the_bus_lost(world: World) -> None:
    world.join("c", "ann", "bob")
    bob = await _live(world, "bob")
    world.store.change_roster("c", LEFT, "bob")
    stub: Any = world.store
    reconciler = Reconciler(world.hub, stub, 1, 0.01)
    behind, ahead = await reconciler._compare(["c"], "trouble")  # noqa: SLF001 - one step of its loop
    assert [(channel.id, stored.roster) for channel, stored in behind] == [("c", 1)]
    assert not ahead
    world.hub.expect(behind[0][0], behind[0][1].seq, behind[0][1].roster)
    assert await world.seen(bob) == ["synced", "left:c"]


def _reads(seq: int, seen: int, author: str, **readers: Connection) -> Reads:
    return Reads(
        tenant=TENANT, channel="c", seq=seq, author=author, seen=seen, users=list(readers),
        read_seqs=[seq] * len(readers), connections=[each.id for each in readers.values()],
    )  # fmt: skip


async def test_the_author_alone_is_told_how_many_have_read_and_only_the_latest_count(world: World) -> None:
    world.join("c", "ann", "bob", "cid")
    ann, bob, cid = [await _live(world, user) for user in ("ann", "bob", "cid")]
    counts = Counts(world.hub, world.registry)
    counts.read(_reads(3, 1, "ann", bob=bob))
    counts.read(_reads(3, 2, "ann", cid=cid))
    counts.send_seen()
    counts.send_seen()
    assert await world.seen(ann) == ["synced", {"type": "seen", "channel": "c", "seq": 3, "count": 2}]
    assert await world.seen(bob) == await world.seen(cid) == ["synced"]


async def test_a_reader_of_a_large_channel_is_told_on_their_other_sockets(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, phone, desk = [await _live(world, user) for user in ("ann", "bob", "bob")]
    Counts(world.hub, world.registry).read(_reads(2, 1, "ann", bob=phone))
    assert await world.seen(desk) == ["synced", {"type": "receipt", "channel": "c", "user": "bob", "read_seq": 2}]
    assert await world.seen(phone) == await world.seen(ann) == ["synced"]


async def test_members_are_told_their_number_once_for_many_changes(world: World) -> None:
    world.join("c", "ann")
    ann = await _live(world, "ann")
    counts = Counts(world.hub, world.registry)
    for number in range(101, 104):
        change = world.store.change_roster("c", JOINED, f"u{number}")
        change.members = number
        world.hub.take_change(change)
    await counts.send_members()
    await counts.send_members()
    assert await world.seen(ann) == ["synced", {"type": "members", "channel": "c", "count": 103}]
