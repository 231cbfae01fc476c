"""Posting: numbers, keys, slow mode, validation."""

from __future__ import annotations

import asyncio

import pytest

from chassis.errors import InvalidArgument, KeyReused, NotFound, SlowMode, TooLarge
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import convert
from messages.commands.model import Post, Read, Verdict
from messages.message import MessageId
from services.messages.tests.conftest import Town, refused

SOME_ID = "0190a0a0-0000-7000-8000-000000000000"


async def test_posts_of_a_batch_are_numbered_in_its_order_without_a_gap(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    outcomes = await town.do(*(town.command(channel, user, Post(f"{n}")) for n, user in enumerate(["ann", "bob"] * 5)))
    assert [outcome.seq for outcome in outcomes] == list(range(4, 14))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.FRESH}
    assert [event.seq for event in await town.log(channel)] == list(range(1, 14))


async def test_a_batch_is_one_transaction(town: Town) -> None:
    channel, other = await town.channel("ann"), await town.channel("ann")
    await town.do(*(town.command(each, "ann", Post("x")) for each in [channel, other] * 3))
    async with town.database.connection(EVERY_TENANT) as connection:
        query = "SELECT count(DISTINCT xmin::text), count(*) FROM entries WHERE kind = 1 AND tenant = %s"
        cursor = await connection.execute(query, [town.tenant])
        assert await cursor.fetchone() == (1, 6)


async def test_numbers_have_no_gap_under_concurrent_batches(town: Town) -> None:
    channels = [await town.channel("ann", "bob") for _ in range(3)]
    batches = [[town.command(each, "bob", Post(f"{n}")) for each in channels * 4] for n in range(12)]
    posts = [town.post(each, "ann") for each in channels for _ in range(8)]
    await asyncio.gather(*(town.do(*batch) for batch in batches), *posts)
    for channel in channels:
        log = await town.log(channel)
        assert [event.seq for event in log] == list(range(1, 3 + 48 + 8 + 1))


async def test_a_repeated_key_returns_the_first_message(town: Town) -> None:
    channel = await town.channel("ann")
    first = await town.post(channel, "ann", "once", key="k")
    again = await town.post(channel, "ann", "once", key="k")
    assert (again.seq, again.message, again.at) == (first.seq, first.message, first.at)
    assert again.duplicate
    assert not first.duplicate


async def test_a_key_repeated_inside_one_batch_makes_one_message(town: Town) -> None:
    channel = await town.channel("ann")
    batch = [town.command(channel, "ann", Post("once"), key="k") for _ in range(3)]
    batch.append(town.command(channel, "ann", Post("other"), key="k"))
    first, second, third, other = await town.do(*batch)
    assert first.verdict is Verdict.FRESH
    assert second.verdict is third.verdict is Verdict.DUPLICATE
    assert first.seq == second.seq == third.seq
    assert isinstance(other.error, KeyReused)


async def test_a_key_reused_for_other_content_is_refused(town: Town) -> None:
    channel = await town.channel("ann")
    await town.post(channel, "ann", "once", key="k")
    await refused(town.post(channel, "ann", "twice", key="k"), KeyReused)


async def test_a_key_belongs_to_its_sender_and_channel(town: Town) -> None:
    channel, other = await town.channel("ann", "bob"), await town.channel("ann", "bob")
    made = [await town.post(each, user, user, key="k") for each in (channel, other) for user in ("ann", "bob")]
    assert not any(each.duplicate for each in made)


async def test_a_key_is_remembered_beyond_the_deletion_of_its_message(town: Town) -> None:
    channel = await town.channel("ann")
    first = await town.post(channel, "ann", "once", key="k")
    request = rpc.DeleteMessageRequest(caller=town.caller("ann"), channel=channel, message=first.message)
    await town.service.DeleteMessage(request, None)
    assert (await town.post(channel, "ann", "once", key="k")).seq == first.seq


async def test_slow_mode_refuses_the_second_post_with_retry_after(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    await _pace(town, channel, 60)
    assert (await town.post(channel, "bob", "one")).seq
    error = await refused(town.post(channel, "bob", "two"), SlowMode)
    assert 50 < error.retry_after <= 60


async def test_slow_mode_holds_inside_one_batch(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    await _pace(town, channel, 60)
    first, second = await town.do(*(town.command(channel, "bob", Post(text)) for text in ("one", "two")))
    assert first.verdict is Verdict.FRESH
    assert isinstance(second.error, SlowMode)
    assert second.error.retry_after == 60


async def test_slow_mode_applies_neither_to_owners_nor_to_repeated_keys(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    await _pace(town, channel, 60)
    await town.post(channel, "ann", "one")
    await town.post(channel, "ann", "two")
    await town.post(channel, "bob", "one", key="k")
    assert (await town.post(channel, "bob", "one", key="k")).duplicate


async def _pace(town: Town, channel: str, seconds: int) -> None:
    request = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=channel, slow_mode_seconds=seconds)
    await town.service.UpdateChannel(request, None)


async def test_posting_moves_only_the_authors_read_position(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    posted = await town.post(channel, "ann")
    assert (await _seen(town, channel, "ann")).read_seq == posted.seq
    assert (await _seen(town, channel, "bob")).read_seq < posted.seq


async def test_unread_counts_messages_of_others_after_the_read_position(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    posted = [await town.post(channel, "ann") for _ in range(3)]
    assert (await _seen(town, channel, "bob")).unread == 3
    assert (await _seen(town, channel, "ann")).unread == 0
    await town.do(town.command(channel, "bob", Read(posted[0].seq)))
    assert (await _seen(town, channel, "bob")).unread == 2
    await town.post(channel, "bob")
    assert (await _seen(town, channel, "bob")).unread == 0
    assert (await _seen(town, channel, "ann")).unread == 1


async def _seen(town: Town, channel: str, user: str) -> nouns.Channel:
    request = rpc.GetChannelRequest(caller=town.caller(user), channel=channel)
    return (await town.service.GetChannel(request, None)).channel


async def test_a_read_position_never_moves_back_nor_beyond_the_head(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    posted = await town.post(channel, "ann")
    await town.do(town.command(channel, "bob", Read(2**62)))
    assert (await _seen(town, channel, "bob")).read_seq == posted.seq
    await town.do(town.command(channel, "bob", Read(1)))
    assert (await _seen(town, channel, "bob")).read_seq == posted.seq
    assert [receipt.read_seq for stored in town.stored for receipt in stored.receipts] == [posted.seq]


async def test_a_thread_needs_a_root_in_the_same_channel(town: Town) -> None:
    channel, other = await town.channel("ann"), await town.channel("ann")
    root = await town.post(channel, "ann", "root")
    inside, outside = await town.do(
        town.command(channel, "ann", Post("reply", thread=MessageId(root.message))),
        town.command(other, "ann", Post("reply", thread=MessageId(root.message))),
    )
    assert inside.verdict is Verdict.FRESH
    assert isinstance(outside.error, NotFound)


@pytest.mark.parametrize(
    ("post", "error"),
    [
        (events.PostMessage(text=""), InvalidArgument),
        (events.PostMessage(text="a\x00b"), InvalidArgument),
        (events.PostMessage(text="x" * 16_385), TooLarge),
        (events.PostMessage(text="ü" * 8_193), TooLarge),
        (events.PostMessage(text="x", thread="not-an-id"), NotFound),
        (events.PostMessage(text="x", mentions=["u"] * 101), InvalidArgument),
        (events.PostMessage(text="x", mentions=[""]), InvalidArgument),
        (events.PostMessage(text="x", attachments=[events.Attachment()] * 11), InvalidArgument),
        (events.PostMessage(attachments=[events.Attachment(id="no-id", name="x", size=1, type="a/b")]), NotFound),
        (events.PostMessage(attachments=[events.Attachment(id=SOME_ID, name="a\x00", size=1, type="a/b")]), InvalidArgument),
    ],
)
def test_invalid_posts_are_refused(post: events.PostMessage, error: type[Exception]) -> None:
    with pytest.raises(error):
        convert.post(post, "ann")


@pytest.mark.parametrize("text", ["x" * 16_384, "ü" * 8_192, "\ufeff\u202e\u0001", "😀" * 4_096])
async def test_valid_text_is_stored_unchanged(town: Town, text: str) -> None:
    channel = await town.channel("ann")
    posted = await town.post(channel, "ann", text)
    request = rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel)
    (message,) = (await town.service.ListMessages(request, None)).messages
    assert (message.id, message.text) == (posted.message, text)


@pytest.mark.parametrize("key", ["\x01mine", "k" * 129, "a\nb", "\x00"])
async def test_a_key_has_at_most_128_characters_and_no_control_characters(town: Town, key: str) -> None:
    channel = await town.channel("ann")
    await refused(town.post(channel, "ann", key=key), InvalidArgument)


async def test_refused_posts_between_others_take_no_number(town: Town) -> None:
    one, two = await town.channel("ann", "bob"), await town.channel("ann", "bob")
    speakers = [(one, "ann"), (one, "eve"), (two, "bob"), (one, "bob"), (two, "eve"), (two, "ann"), (one, "eve"), (one, "ann")]
    outcomes = await town.do(*(town.command(channel, user, Post("x")) for channel, user in speakers))
    assert [outcome.seq for outcome in outcomes if outcome.channel == one] == [4, 0, 5, 0, 6]
    assert [outcome.seq for outcome in outcomes if outcome.channel == two] == [4, 0, 5]
    assert [event.seq for event in await town.log(one)] == [1, 2, 3, 4, 5, 6]
    assert [outcome.seq for outcome in await town.do(town.command(one, "ann", Post("y")))] == [7]
