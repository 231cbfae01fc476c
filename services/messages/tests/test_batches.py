"""Batches that mix commands, channels, tenants, repeats and refusals: every command is judged as if it were alone, in order."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import msgspec
import pytest

from chassis.postgres import EVERY_TENANT
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Edit, Post, Read
from messages.message import Attachment, CommandId, MessageId, UserId
from services.messages.tests.conftest import Town, result, results


async def entries(town: Town, channel: str) -> list[Any]:
    """The rows of a channel's entries."""
    async with town.database.connection([town.tenant]) as connection:
        query = "SELECT to_jsonb(entries) FROM entries WHERE channel = %s ORDER BY seq"
        rows: list[tuple[Any, ...]] = await (await connection.execute(query, [channel])).fetchall()
    return [row for (row,) in rows]


async def test_the_rows_of_a_batch_match_its_outcomes(town: Town) -> None:
    one, two = await town.channel("ann", "bob", "cid"), await town.channel("bob", "ann", kind="public", history="joined")
    upload = Attachment(str(uuid.uuid4()), "a.png", 1, "image/png", 3, 4)
    posts = [
        town.command(one, "ann", Post("straße 👍 \\ \" '{}")),
        town.command(two, "bob", Post("look", attachments=[upload], mentions=[UserId("ann")])),
        town.command(one, "bob", Post("", attachments=[upload])),
        msgspec.structs.replace(town.command(one, "bob", Post("through an RPC")), id=CommandId("")),
    ]
    outcomes = await town.do(*posts)
    stored = town.stored[-1]
    assert [result(outcome) for outcome in outcomes] == [("fresh", 5), ("fresh", 4), ("fresh", 6), ("fresh", 7)]
    for channel, first, last in ((one, 5, 7), (two, 4, 4)):
        own = [entry for entry in stored.entries if entry.channel == channel]
        rows = (await entries(town, channel))[first - 1 :]
        assert [(row["seq"], row["message"], row["actor"], row["text"], row["key"]) for row in rows] == [
            (entry.seq, entry.message, entry.actor, entry.text, entry.key) for entry in own
        ]
        assert [row["posts"] for row in rows] == list(range(1, len(own) + 1))
        assert [msgspec.convert(row["details"] or {}, type(entry.details)) for row, entry in zip(rows, own, strict=True)] == [
            entry.details for entry in own
        ]
        async with town.database.connection(EVERY_TENANT) as connection:
            query = "SELECT head, posts, last_post FROM channels WHERE id = %s"
            assert await (await connection.execute(query, [channel])).fetchone() == (last, len(own), last)
            query = """
                SELECT first, last FROM unpublished, unnest(channels, firsts, lasts) AS range(channel, first, last)
                WHERE id = ANY(%s) AND channel = %s
                """
            assert await (await connection.execute(query, [stored.unpublished, channel])).fetchall() == [(first, last)]
            query = """
                SELECT bool_and(m.last_posted_at = e.at AND m.read_seq = e.seq) FROM members m
                JOIN LATERAL (
                  SELECT at, seq FROM entries
                  WHERE channel = m.channel AND actor = m."user" AND kind = 1 ORDER BY seq DESC LIMIT 1
                ) e ON true WHERE m.channel = %s
                """
            assert await (await connection.execute(query, [channel])).fetchone() == (True,)


@pytest.mark.parametrize(
    ("same_command", "same_text", "expected"),
    [
        (True, True, ("again", 4)),
        (True, False, ("again", 4)),
        (False, True, ("duplicate", 4)),
        (False, False, ("KEY_REUSED", 0)),
    ],
)
async def test_a_used_key_makes_no_second_message(
    town: Town, same_command: bool, same_text: bool, expected: tuple[str, int]
) -> None:
    channel, elsewhere = await town.channel("ann", "bob"), await town.channel("zoe")
    first = town.command(channel, "bob", Post("once"), key="k")
    assert await results(town, first) == [("fresh", 4)]
    repeat = town.command(channel, "bob", Post("once" if same_text else "twice"), key="k")
    if same_command:
        repeat = msgspec.structs.replace(repeat, id=first.id)
    batch = [
        town.command(channel, "ann", Post("before")),
        repeat,
        town.command(elsewhere, "zoe", Post("aside")),
        town.command(channel, "ann", Post("after")),
    ]
    assert await results(town, *batch) == [("fresh", 5), expected, ("fresh", 3), ("fresh", 6)]
    assert [event.seq for event in await town.log(channel)] == list(range(1, 7))


async def test_a_redelivered_batch_publishes_the_entries_of_its_first_delivery(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    batch = [town.command(channel, user, Post(user)) for user in ("ann", "bob", "ann")]
    await town.do(*batch)
    assert await results(town, *batch) == [("again", 4), ("again", 5), ("again", 6)]
    first, again = town.stored
    assert again.entries == first.entries
    assert again.unpublished == []


async def test_a_change_keeps_its_place_among_the_posts_and_is_not_counted_as_a_message(town: Town) -> None:
    channel, elsewhere = await town.channel("ann"), await town.channel("zoe")
    message = MessageId((await town.post(channel, "ann")).message)
    batch = [
        town.command(channel, "ann", Post("before")),
        town.command(elsewhere, "zoe", Post("aside")),
        town.command(channel, "ann", Edit(message, "new")),
        town.command(channel, "ann", Post("after")),
    ]
    assert await results(town, *batch) == [("fresh", 4), ("fresh", 3), ("fresh", 5), ("fresh", 6)]
    assert [row["posts"] for row in await entries(town, channel)] == [0, 0, 1, 2, 2, 3]


async def test_read_positions_move_after_the_posts_of_their_batch(town: Town) -> None:
    channel = await town.channel("ann", "bob", "cid")
    batch = [
        town.command(channel, "cid", Read(4)),
        town.command(channel, "bob", Post("hello")),
        town.command(channel, "bob", Read(1)),
        town.command(channel, "ann", Read(2**40)),
        town.command(channel, "eve", Read(3)),
    ]
    assert await results(town, *batch) == [("fresh", 5)]
    receipts = town.stored[-1].receipts
    assert sorted((receipt.user, receipt.read_seq) for receipt in receipts) == [("ann", 5)]
    await results(town, town.command(channel, "ann", Post("next")), town.command(channel, "cid", Read(5)))
    assert [(receipt.user, receipt.read_seq) for receipt in town.stored[-1].receipts] == [("cid", 5)]


async def test_posts_of_two_tenants_are_stored_together_and_reach_only_their_own_channels(town: Town) -> None:
    other = dataclasses.replace(town, tenant=f"t-{uuid.uuid4().hex}", counter=1_000)
    own, foreign = await town.channel("ann"), await other.channel("ann")
    batch = [
        town.command(own, "ann", Post("mine")),
        other.command(foreign, "ann", Post("mine")),
        town.command(foreign, "ann", Post("not mine")),
    ]
    assert await results(town, *batch) == [("fresh", 3), ("fresh", 3), ("NOT_FOUND", 0)]
    assert {row["tenant"] for row in await entries(town, own)} == {town.tenant}
    assert {row["tenant"] for row in await entries(other, foreign)} == {other.tenant}


async def test_in_slow_mode_only_the_first_accepted_post_of_an_author_in_a_batch_is_stored(town: Town) -> None:
    channel = await town.channel("ann", "bob", "cat")
    request = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=channel, slow_mode_seconds=60)
    await town.service.UpdateChannel(request, None)
    root = MessageId("0190a0a0-0000-7000-8000-000000000000")
    posts = [("bob", Post("x", thread=root)), ("bob", Post("1")), ("cat", Post("1")), ("ann", Post("1")), ("bob", Post("2")),
             ("ann", Post("2"))]  # fmt: skip
    found = await results(town, *(town.command(channel, user, post) for user, post in posts))
    assert found == [("NOT_FOUND", 0), ("fresh", 6), ("fresh", 7), ("fresh", 8), ("SLOW_MODE", 0), ("fresh", 9)]
