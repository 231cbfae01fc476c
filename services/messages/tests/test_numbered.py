"""Posts that are numbered from where the worker remembers their channels to stand: what is stored is what judging them stores."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any

import msgspec
import pytest

from chassis.postgres import EVERY_TENANT
from messages.commands import Edit, Post, Read, Stored
from messages.heads import Heads
from messages.message import Attachment, CommandId, MessageId, UserId
from services.messages.tests.conftest import Listener, Town
from services.messages.tests.numbering import (
    IN_DOUBT,
    Clock,
    Counted,
    apart,
    counting,
    frames,
    go,
    learn,
    rows,
    said,
    standing,
    told,
)


async def test_the_third_batch_to_a_channel_is_numbered_from_memory(town: Town) -> None:
    channel, heads = await town.channel("ann", "bob"), Heads(Clock())
    for numbered in (0, 0, 2, 2):
        with counting() as found:
            await go(town, heads, town.command(channel, "ann", Post("a")), town.command(channel, "bob", Post("b")))
        assert (found.numbered, found.outdated) == (numbered, 0)
    assert [event.seq for event in await town.log(channel)] == list(range(1, 3 + 8 + 1))


async def test_posts_that_are_numbered_are_stored_as_posts_that_are_judged(town: Town) -> None:
    seen = []
    upload = Attachment(str(uuid.uuid4()), "a.png", 1, "image/png", 3, 4)
    keys = [uuid.uuid4().hex for _ in range(6)]
    for heads in (Heads(Clock()), None):
        here = apart(town)
        one, two = await here.channel("ann", "bob", "cid"), await here.channel("bob", "ann", kind="public", history="joined")
        await learn(here, heads, (one, "ann"), (two, "bob"))
        posts = [
            here.command(one, "ann", Post("straße 👍 \\ \" '{}"), key=keys[0]),
            here.command(two, "bob", Post("look", attachments=[upload], mentions=[UserId("ann")]), key=keys[1]),
            here.command(one, "bob", Post("", attachments=[upload]), key=keys[2]),
            here.command(one, "ann", Post("@bob", mentions=[UserId("bob"), UserId("cid")]), key=keys[3]),
            msgspec.structs.replace(here.command(two, "ann", Post("of a token"), key=keys[4]), token_issued_at=time.time()),
            msgspec.structs.replace(here.command(one, "bob", Post("by a call"), key=keys[5]), id=CommandId("")),
        ]
        with counting() as found:
            stored = await go(here, heads, *posts)
        assert (found.numbered, found.outdated) == (len(posts) if heads else 0, 0)
        assert [said(outcome) for outcome in stored.outcomes] == [("fresh", n) for n in (7, 6, 8, 9, 7, 10)]
        seen.append([await everything(here, channel, stored) for channel in (one, two)])
    assert seen[0] == seen[1]


async def everything(town: Town, channel: str, stored: Stored) -> list[Any]:
    """All that a batch left of a channel; what no two channels share is compared with what the worker was told."""
    own = [(outcome.seq, str(outcome.message), outcome.at) for outcome in stored.outcomes if outcome.channel == channel]
    assert [(entry.seq, str(entry.message), entry.at) for entry in stored.entries if entry.channel == channel] == own
    async with town.database.connection([town.tenant]) as connection:
        query = "SELECT seq, message, at FROM entries WHERE channel = %s AND seq >= %s ORDER BY seq"
        assert await (await connection.execute(query, [channel, own[0][0]])).fetchall() == own
        query = """
            SELECT m."user", m.last_posted_at = max(e.at) FROM members m JOIN entries e ON e.channel = m.channel
            WHERE m.channel = %s AND e.actor = m."user" AND e.kind = 1 GROUP BY m."user", m.last_posted_at
            """
        posted = sorted(await (await connection.execute(query, [channel])).fetchall())
    assert all(as_posted for _, as_posted in posted)
    async with town.database.connection(EVERY_TENANT) as connection:
        query = """
            SELECT first, last FROM unpublished, unnest(channels, firsts, lasts) AS of(channel, first, last)
            WHERE id = ANY(%s) AND channel = %s
            """
        noted = await (await connection.execute(query, [stored.noted, channel])).fetchall()
    assert noted == [(own[0][0], own[-1][0])]
    return [
        await rows(town, "entries", channel, "seq", ["channel", "tenant", "at", "message"]),
        await rows(town, "channels", channel, "id", ["id", "tenant", "created_at"]),
        await rows(town, "members", channel, '"user"', ["channel", "tenant", "last_posted_at"]),
        await frames(town, channel),
        [await standing(town, channel, user) for user in ("ann", "bob")],
        [
            (each.seq, each.kind, each.actor, each.key, each.text, each.details)
            for each in stored.entries
            if each.channel == channel
        ],
        posted,
    ]


def _heard(number: int, listener: Listener) -> bool:
    return any(event.seq == number for event in listener.events)


async def test_the_worker_numbers_from_memory_what_comes_over_the_bus(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    with counting() as found:
        async with town.working():
            for number in range(3, 7):
                wish = town.wish(channel, "ann")
                await town.send(wish)
                await listener.until(partial(_heard, number))
                assert (listener.events[-1].command, listener.events[-1].seq) == (wish.id, number)
    assert found == Counted(2, 0)


# What comes again, or mixed.


@pytest.mark.parametrize("other_command", [True, False])
@pytest.mark.parametrize("other_text", [True, False])
async def test_a_key_that_was_used_makes_no_second_message(town: Town, other_command: bool, other_text: bool) -> None:
    expected = {(True, True): ("KEY_REUSED", 0), (True, False): ("duplicate", 6)}.get((other_command, other_text), ("again", 6))
    channel, elsewhere, heads = await town.channel("ann", "bob"), await town.channel("zoe"), Heads(Clock())
    await learn(town, heads, (channel, "ann"), (elsewhere, "zoe"))
    first = town.command(channel, "bob", Post("once"), key="k")
    with counting() as found:
        assert await told(town, heads, first) == [("fresh", 6)]
    assert found == Counted(1, 0)
    repeat = town.command(channel, "bob", Post("twice" if other_text else "once"), key="k")
    if not other_command:
        repeat = msgspec.structs.replace(repeat, id=first.id)
    batch = [
        town.command(channel, "ann", Post("before")),
        repeat,
        town.command(elsewhere, "zoe", Post("aside")),
        town.command(channel, "ann", Post("after")),
    ]
    with counting() as found:
        assert await told(town, heads, *batch) == [("fresh", 7), expected, ("fresh", 5), ("fresh", 8)]
    assert found == Counted(0, 1)
    assert [event.seq for event in await town.log(channel)] == list(range(1, 9))


async def test_a_batch_that_comes_again_publishes_what_it_stored_the_first_time(town: Town) -> None:
    channel, heads = await town.channel("ann", "bob"), Heads(Clock())
    await learn(town, heads, (channel, "ann"))
    batch = [town.command(channel, user, Post(user)) for user in ("ann", "bob", "ann")]
    first = await go(town, heads, *batch)
    again = await go(town, heads, *batch)
    assert [said(outcome) for outcome in again.outcomes] == [("again", 6), ("again", 7), ("again", 8)]
    assert again.entries == first.entries
    assert again.noted == []


async def test_a_key_that_comes_twice_in_a_batch_makes_one_message(town: Town) -> None:
    channel, heads = await town.channel("ann"), Heads(Clock())
    await learn(town, heads, (channel, "ann"))
    texts = ["once", "once", "other"]
    batch = [town.command(channel, "ann", Post(text), key="k") for text in texts] + [town.command(channel, "ann", Post("next"))]
    with counting() as found:
        outcomes = await told(town, heads, *batch)
    assert outcomes == [("fresh", 5), ("duplicate", 5), ("KEY_REUSED", 0), ("fresh", 6)]
    assert found == Counted(0, 0)


async def test_a_reply_in_a_thread_is_judged_with_its_channel_while_others_are_numbered(town: Town) -> None:
    channel, elsewhere, heads = await town.channel("ann"), await town.channel("zoe"), Heads(Clock())
    root, foreign = (await town.post(channel, "ann")).message, (await town.post(elsewhere, "zoe")).message
    await learn(town, heads, (channel, "ann"), (elsewhere, "zoe"))
    batch = [
        town.command(channel, "ann", Post("plain")),
        town.command(channel, "ann", Post("reply", thread=MessageId(root))),
        town.command(elsewhere, "zoe", Post("aside")),
        town.command(channel, "ann", Post("astray", thread=MessageId(foreign))),
        town.command(channel, "ann", Post("after")),
    ]
    with counting() as found:
        outcomes = await told(town, heads, *batch)
    assert outcomes == [("fresh", 6), ("fresh", 7), ("fresh", 6), ("NOT_FOUND", 0), ("fresh", 8)]
    assert found == Counted(1, 0)


async def test_a_change_in_the_same_batch_keeps_its_place_among_the_posts(town: Town) -> None:
    channel, elsewhere, heads = await town.channel("ann"), await town.channel("zoe"), Heads(Clock())
    message = MessageId((await town.post(channel, "ann")).message)
    await learn(town, heads, (channel, "ann"), (elsewhere, "zoe"))
    batch = [
        town.command(channel, "ann", Post("before")),
        town.command(elsewhere, "zoe", Post("aside")),
        town.command(channel, "ann", Edit(message, "new")),
        town.command(channel, "ann", Post("after")),
    ]
    with counting() as found:
        assert await told(town, heads, *batch) == [("fresh", 6), ("fresh", 5), ("fresh", 7), ("fresh", 8)]
    assert found == Counted(1, 0)
    with counting() as found:
        assert await told(town, heads, town.command(channel, "ann", Post("from memory"))) == [("fresh", 9)]
    assert found == Counted(1, 0)
    assert [row["posts"] for row in await rows(town, "entries", channel, "seq", [])] == [0, 0, 1, 2, 3, 4, 4, 5, 6]


async def test_read_positions_move_beside_posts_that_are_numbered(town: Town) -> None:
    seen = []
    for heads in (Heads(Clock()), None):
        here = apart(town)
        channel = await here.channel("ann", "bob", "cid")
        await learn(here, heads, (channel, "ann"))
        batch = [
            here.command(channel, "cid", Read(5)),
            here.command(channel, "bob", Post("hello")),
            here.command(channel, "bob", Read(1)),
            here.command(channel, "ann", Read(2**40)),
            here.command(channel, "eve", Read(3)),
        ]
        with counting() as found:
            stored = await go(here, heads, *batch)
        assert found == Counted(1 if heads else 0, 0)
        assert [said(outcome) for outcome in stored.outcomes] == [("fresh", 7)]
        assert sorted((receipt.user, receipt.read_seq) for receipt in stored.receipts) == [("ann", 7), ("cid", 5)]
        seen.append([await standing(here, channel, user) for user in ("ann", "bob", "cid")])
    assert seen[0] == seen[1] == [(7, 7, 0), (7, 7, 0), (7, 5, 2)]


async def test_who_is_no_member_is_refused_and_the_others_are_not(town: Town) -> None:
    channel, public, heads = await town.channel("ann"), await town.channel("ann", kind="public"), Heads(Clock())
    await learn(town, heads, (channel, "ann"), (public, "ann"))
    await town.people("eve")
    batch = [town.command(each, user, Post(user)) for user in ("eve", "nobody", "ann") for each in (channel, public)]
    with counting() as found:
        outcomes = await told(town, heads, *batch)
    refused = [("NOT_FOUND", 0), ("NOT_A_MEMBER", 0)] * 2
    assert (outcomes, found) == ([*refused, ("fresh", 5), ("fresh", 5)], Counted(0, 1))


async def test_posts_of_two_tenants_are_numbered_together_and_neither_reaches_the_others_channel(town: Town) -> None:
    other = apart(town)
    own, foreign, heads = await town.channel("ann"), await other.channel("ann"), Heads(Clock())
    for _ in range(2):
        await go(town, heads, town.command(own, "ann", Post("known")), other.command(foreign, "ann", Post("known")))
    batch = [town.command(own, "ann", Post("mine")), other.command(foreign, "ann", Post("mine"))]
    with counting() as found:
        assert await told(town, heads, *batch) == [("fresh", 5), ("fresh", 5)]
    assert found == Counted(2, 0)
    tenants = {row["tenant"] for row in await rows(town, "entries", own, "seq", [])}
    assert tenants == {town.tenant}
    stray = town.command(foreign, "ann", Post("not mine"))
    batch = [stray, town.command(own, "ann", Post("mine")), other.command(foreign, "ann", Post("mine"))]
    with counting() as found:
        assert await told(town, heads, *batch) == [("NOT_FOUND", 0), ("fresh", 6), ("fresh", 6)]
    assert found == Counted(1, 0)


async def test_a_channel_whose_posts_are_outdated_is_judged_again_and_the_others_stay_known(town: Town) -> None:
    channel, elsewhere, heads = await town.channel("ann", "bob"), await town.channel("zoe"), Heads(Clock())
    await learn(town, heads, (channel, "ann"), (elsewhere, "zoe"))
    await town.post(channel, "bob")
    batch = [town.command(channel, "ann", Post("a")), town.command(elsewhere, "zoe", Post("z"))]
    with counting() as found:
        assert await told(town, heads, *batch) == [("fresh", 7), ("fresh", 5)]
    assert found == Counted(0, 1)
    batch = [town.command(channel, "ann", Post("a")), town.command(elsewhere, "zoe", Post("z"))]
    with counting() as found:
        assert sorted(await told(town, heads, *batch)) == [("fresh", 6), ("fresh", 8)]
    assert found == Counted(1, 0)


async def test_a_channel_that_is_gone_costs_one_second_try_and_no_more(town: Town) -> None:
    channel, heads = await town.channel("ann"), Heads(Clock())
    await learn(town, heads, (channel, "ann"))
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute("DELETE FROM members WHERE channel = %s", [channel])
        await connection.execute("DELETE FROM channels WHERE id = %s", [channel])
    for outdated in (1, 0):
        with counting() as found:
            assert await told(town, heads, town.command(channel, "ann", Post("late"))) == [("NOT_FOUND", 0)]
        assert found == Counted(0, outdated)


async def test_a_channel_that_was_restored_to_other_posts_under_the_same_head_is_judged(town: Town) -> None:
    channel, heads = await town.channel("ann"), Heads(Clock())
    await learn(town, heads, (channel, "ann"))
    async with town.database.connection(EVERY_TENANT) as connection:  # as if the end of the log had been lost, and written anew
        await connection.execute("UPDATE entries SET kind = 13, posts = 1, key = NULL WHERE channel = %s AND seq = 4", [channel])
        await connection.execute("UPDATE channels SET posts = 1 WHERE id = %s", [channel])
    await told(town, heads, town.command(channel, "ann", Post("next")))
    assert [row["posts"] for row in await rows(town, "entries", channel, "seq", [])][-1] == 2


async def test_two_workers_that_post_in_turn_leave_no_gap(town: Town) -> None:
    channel, clock = await town.channel("ann", "bob"), Clock()
    both = [Heads(clock), Heads(clock)]
    with counting() as found:
        for n in range(18):
            clock.now += IN_DOUBT
            assert await told(town, both[n // 3 % 2], town.command(channel, "bob", Post("x"))) == [("fresh", 4 + n)]
    assert found == Counted(6, 4)
