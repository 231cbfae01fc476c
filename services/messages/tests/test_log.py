"""Reading the log: catch-up, gaps, heads, pages, search, and visible history."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chassis.errors import InvalidArgument, NotFound
from chassis.proto_enums import to_word
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Body, Delete, Edit, Pin, Post, React
from messages.message import ChannelId, MessageId, Range
from messages.store.log import pages
from services.messages.tests.conftest import Town, refused


async def _catch_up(
    town: Town, user: str, positions: dict[str, int], limit: int = 1_000
) -> tuple[list[tuple[str, int, int]], list[events.Event], list[int]]:
    request = rpc.CatchUpRequest(
        caller=town.caller(user),
        limit=limit,
        positions=[rpc.Position(channel=channel, seq=seq) for channel, seq in positions.items()],
    )
    answers = [answer async for answer in town.service.CatchUp(request, None)]
    statuses = [(to_word(rpc.ResumeStatus, each.status), each.after, each.seq) for each in answers[0].statuses]
    assert [each.channel for each in answers[0].statuses] == list(positions)
    assert not answers[0].events
    found = [event for answer in answers[1:] for event in answer.events]
    return statuses, found, [answer.ByteSize() for answer in answers[1:]]


async def test_catching_up_brings_every_entry_since_each_position(town: Town) -> None:
    one, two = await town.channel("ann", "bob"), await town.channel("ann", "bob")
    await town.do(*(town.command(channel, "ann", Post(f"{n}")) for n in range(5) for channel in (one, two)))
    statuses, found, _ = await _catch_up(town, "bob", {one: 0, two: 6})
    assert statuses == [("complete", 0, 8), ("complete", 6, 8)]
    assert [(event.channel, event.seq) for event in found] == [*((one, n) for n in range(1, 9)), (two, 7), (two, 8)]


async def test_a_position_at_the_head_misses_nothing(town: Town) -> None:
    channel = await town.channel("ann")
    assert await _catch_up(town, "ann", {channel: 2}) == ([("complete", 2, 2)], [], [])


async def test_too_many_missing_entries_or_a_position_beyond_the_head_is_a_reset(town: Town) -> None:
    channel = await town.channel("ann")
    await town.do(*(town.command(channel, "ann", Post("x")) for _ in range(10)))
    assert (await _catch_up(town, "ann", {channel: 2}, limit=10))[0] == [("complete", 2, 12)]
    for position, limit in ((2, 9), (13, 1_000), (2**64 - 1, 1_000)):
        assert await _catch_up(town, "ann", {channel: position}, limit) == ([("reset", 0, 12)], [], [])


async def test_channels_that_are_unknown_foreign_public_or_left_are_gone(town: Town) -> None:
    left, public, never = await town.channel("ann", "bob"), await town.channel("ann", kind="public"), "no-id"
    foreign = await town.channel("ann")
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=town.caller("bob"), channel=left, user="bob"), None)
    statuses, found, _ = await _catch_up(town, "bob", {left: 0, public: 0, never: 0, foreign: 0})
    assert statuses == [("gone", 0, 0)] * 4
    assert found == []


async def test_large_catch_ups_are_split_into_responses(town: Town) -> None:
    channel = await town.channel("ann")
    await town.do(*(town.command(channel, "ann", Post("x" * 16_000)) for _ in range(50)))
    _, found, sizes = await _catch_up(town, "ann", {channel: 0})
    assert [event.seq for event in found] == list(range(1, 53))
    assert len(sizes) >= 3
    assert max(sizes) < 300_000


async def test_an_entry_has_the_same_bytes_on_every_path(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    (posted,) = await town.do(town.command(channel, "ann", Post("straße 👍", mentions=[])))
    assert posted.message
    bodies: list[Body] = [Edit(posted.message, "x"), React(posted.message, "👍"), Pin(posted.message)]
    await town.do(*(town.command(channel, "ann", body) for body in bodies))
    request = rpc.ListEventsRequest(caller=town.caller("bob"), channel=channel)
    listed = list((await town.service.ListEvents(request, None)).events)
    _, caught, _ = await _catch_up(town, "bob", {channel: 0})
    assert listed == caught == await town.log(channel)
    (frame,) = (event.payload for event in listed if event.seq == posted.seq)
    sent = json.loads(frame)
    assert list(sent) == ["type", "channel", "seq", "kind", "actor", "at", "data"]
    assert sent["type"] == "event"
    assert sent["kind"] == "message.posted"
    assert sent["at"].endswith("Z")
    assert len(sent["at"]) == len("2026-11-24T08:00:00.123Z")
    assert sent["data"] == {
        "message": posted.message,
        "key": sent["data"]["key"],
        "text": "straße 👍",
        "thread": None,
        "attachments": [],
        "mentions": [],
    }


async def test_a_gap_is_fetched_within_its_bounds(town: Town) -> None:
    channel = await town.channel("ann")
    await town.do(*(town.command(channel, "ann", Post("x")) for _ in range(10)))

    async def fetch(after: int, through: int = 0, limit: int = 0) -> list[int]:
        request = rpc.FetchEventsRequest(tenant=town.tenant, channel=channel, after=after, through=through, page_size=limit)
        answer = await town.service.FetchEvents(request, None)
        assert answer.head == 12
        return [event.seq for event in answer.events]

    assert await fetch(10) == [11, 12]
    assert await fetch(3, through=5) == [4, 5]
    assert await fetch(3, limit=2) == [4, 5]
    assert await fetch(12) == []
    assert await fetch(2**64 - 1) == []
    assert await fetch(5, through=3) == []
    foreign = rpc.FetchEventsRequest(tenant="elsewhere", channel=channel)
    await refused(town.service.FetchEvents(foreign, None), NotFound)


async def test_ranges_of_several_channels_are_read_together(town: Town) -> None:
    first, second = await town.channel("ann"), await town.channel("ann")
    for channel in (first, second):
        await town.do(*(town.command(channel, "ann", Post("x")) for _ in range(5)))
    wanted = ((first, 2, 4), (first, 4, 5), (second, 5, 7), (first, 0, 1), (second, 6, 9))
    assert await fetch_ranges(town, *wanted) == [[3, 4], [5], [6, 7], [1], [7]]
    assert await fetch_ranges(town, (first, 2, 4), tenant="elsewhere") == [[]]
    with pytest.raises(InvalidArgument):
        await fetch_ranges(town, (first, 4, 4))
    with pytest.raises(InvalidArgument):
        await fetch_ranges(town, *[(first, 2, 4)] * 501)


async def test_a_range_under_another_tenant_is_empty_beside_one_of_its_own(town: Town) -> None:
    channel = await town.channel("ann")
    ranges = [rpc.EventRange(tenant=tenant, channel=channel, through=1) for tenant in ("elsewhere", town.tenant)]
    answer = await town.service.FetchRanges(rpc.FetchRangesRequest(ranges=ranges), None)
    assert [len(each.events) for each in answer.ranges] == [0, 1]


async def test_ranges_beyond_a_page_are_left_out(town: Town) -> None:
    first, second, third = [await town.channel("ann") for _ in range(3)]
    for channel in (first, second, third):
        await town.do(*(town.command(channel, "ann", Post("x" * 1_500)) for _ in range(300)))
    whole, part = await fetch_ranges(town, (first, 0, 300), (second, 0, 300), (third, 0, 300))
    assert whole == list(range(1, 301))
    assert part == list(range(1, len(part) + 1))
    assert 0 < len(part) < 300


async def fetch_ranges(town: Town, *ranges: tuple[str, int, int], tenant: str = "") -> list[list[int]]:
    wanted = [
        rpc.EventRange(tenant=tenant or town.tenant, channel=channel, after=after, through=through)
        for channel, after, through in ranges
    ]
    answer = await town.service.FetchRanges(rpc.FetchRangesRequest(ranges=wanted), None)
    return [[event.seq for event in each.events] for each in answer.ranges]


async def test_a_response_never_exceeds_the_message_limit(town: Town) -> None:
    channel = await town.channel("ann")
    for _ in range(2):
        await town.do(*(town.command(channel, "ann", Post("\x01" * 16_000)) for _ in range(50)))
    request = rpc.ListEventsRequest(caller=town.caller("ann"), channel=channel, page_size=1_000)
    answer = await town.service.ListEvents(request, None)
    assert 0 < len(answer.events) < 102
    assert answer.ByteSize() < 4 * 1024 * 1024
    assert [event.seq for event in answer.events] == list(range(1, len(answer.events) + 1))


async def test_heads_are_returned_for_channels_that_exist(town: Town) -> None:
    channel = await town.channel("ann")
    request = rpc.GetHeadsRequest(channels=[channel, "no-id", "0190a0a0-0000-7000-8000-000000000000"])
    heads = (await town.service.GetHeads(request, None)).heads
    assert [(head.channel, head.seq) for head in heads] == [(channel, 2)]
    await refused(town.service.GetHeads(rpc.GetHeadsRequest(channels=["x"] * 1_001), None), InvalidArgument)


async def test_messages_page_by_exclusive_bounds_newest_first_at_most_200(town: Town) -> None:
    channel = await town.channel("ann")
    await town.do(*(town.command(channel, "ann", Post("x")) for _ in range(210)))

    async def seqs(**bounds: Any) -> list[int]:
        request = rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel, **bounds)
        return [message.seq for message in (await town.service.ListMessages(request, None)).messages]

    assert await seqs() == list(range(212, 162, -1))
    assert len(await seqs(page_size=1_000)) == 200
    assert await seqs(before=6) == [5, 4, 3]
    assert await seqs(after=209) == [212, 211, 210]
    assert await seqs(after=3, before=6) == [5, 4]
    assert await seqs(before=2**64 - 1, page_size=1) == [212]


async def test_history_from_joining_on_hides_earlier_entries_on_every_path(town: Town) -> None:
    channel = await town.channel("ann", history="joined")
    old = MessageId((await town.post(channel, "ann", "old words")).message)
    await town.people("bob")
    add = rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["bob"])
    await town.service.AddMembers(add, None)
    joined = len(await town.log(channel))
    bob, service = town.caller("bob"), town.service
    seen = await service.GetChannel(rpc.GetChannelRequest(caller=bob, channel=channel), None)
    assert not seen.channel.HasField("last_message")
    assert seen.channel.unread == 0
    assert not (await service.ListMessages(rpc.ListMessagesRequest(caller=bob, channel=channel), None)).messages
    async with town.indexing():
        assert await town.find("ann", "words") == ["old words"]
        assert not await town.find("bob", "words")
    listed = await service.ListEvents(rpc.ListEventsRequest(caller=bob, channel=channel), None)
    assert [event.seq for event in listed.events] == [joined]
    statuses, found, _ = await _catch_up(town, "bob", {channel: 0})
    assert statuses == [("complete", joined - 1, joined)]
    assert [event.seq for event in found] == [joined]
    bodies: list[Body] = [React(old, "👍"), Pin(old), Edit(old, "x"), Delete(old), Post("x", thread=old)]
    outcomes = await town.do(*(town.command(channel, "bob", body) for body in bodies))
    assert [type(outcome.error) for outcome in outcomes] == [NotFound] * 5
    assert len((await service.ListMessages(rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel), None)).messages)


async def test_catching_up_with_hidden_history_counts_only_visible_entries(town: Town) -> None:
    channel = await town.channel("ann", history="joined")
    await town.do(*(town.command(channel, "ann", Post("x")) for _ in range(20)))
    await town.people("bob")
    await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["bob"]), None)
    assert (await _catch_up(town, "bob", {channel: 3}, limit=5))[0] == [("complete", 22, 23)]


def test_ranges_are_cut_into_pages_of_known_size() -> None:
    one, two = ChannelId("one"), ChannelId("two")
    cut = list(pages([Range(one, 0, 5), Range(two, 9, 9), Range(two, 7, 9)], size=3))
    assert cut == [[Range(one, 0, 3)], [Range(one, 3, 5), Range(two, 7, 8)], [Range(two, 8, 9)]]
    assert list(pages([Range(one, 5, 3)])) == []
