"""Memberships that the hub cannot prove are verified with the store, by an answer that is new enough."""

from __future__ import annotations

from services.gateway.tests.world import JOINED, REMOVED, World


async def test_a_joined_below_the_base_of_another_users_session_is_not_a_repeat(world: World) -> None:
    bob = world.connect("bob")
    await world.sync(bob)
    first, second = world.store.append("c", JOINED, "ann"), world.store.append("c", JOINED, "bob")
    world.connect("ann")
    world.hub.take(first)
    world.hub.take(second)
    world.say("c")
    await world.settle()
    world.say("c")
    assert await world.seen(bob) == ["synced", "joined:c@3", "c:4"]


async def test_a_session_older_than_the_base_of_another_users_session_is_verified(world: World) -> None:
    joined = [world.store.append("c", JOINED, user) for user in ("ann", "bob")]

    def outdated() -> None:
        removed = world.store.append("c", REMOVED, "bob")
        world.connect("ann")  # her session is ahead of the bus
        for late in (*joined, removed):
            world.hub.take(late)

    bob = world.connect("bob", between=outdated)
    await world.sync(bob, c=2)
    world.say("c")
    assert await world.seen(bob) == ["synced c=gone"]


async def test_a_session_older_than_the_base_is_opened_once_verified(world: World) -> None:
    for user in ("ann", "bob"):
        world.store.append("c", JOINED, user)

    def outdated() -> None:
        world.store.append("c")
        world.connect("ann")

    bob = world.connect("bob", between=outdated)
    await world.sync(bob)
    world.say("c")
    assert sorted(await world.seen(bob)) == ["c:4", "joined:c@3", "synced"]


async def test_a_negative_answer_older_than_a_new_membership_is_asked_for_again(world: World) -> None:
    old = world.store.append("c", JOINED, "ann")
    world.join("c", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann)
    await world.sync(bob)
    world.remove("c", "ann")
    world.store.prompt = False
    world.hub.take(old)
    await world.settle()
    world.store.calls[0].snapshot()
    world.say("c")  # while she is not a member
    world.join("c", "ann")
    world.store.calls[0].arrive()
    world.store.prompt = True
    await world.settle()
    for call in list(world.store.calls):
        call.arrive()
    world.say("c")
    assert (await world.seen(ann))[-2:] == ["joined:c@5", "c:6"]
