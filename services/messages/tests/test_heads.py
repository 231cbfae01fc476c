"""What a worker remembers of channels, and which posts it numbers itself."""

from __future__ import annotations

import uuid

import pytest

from messages import heads as heads_module
from messages.commands import Body, Command, Delete, Edit, Pin, Post, React, Read
from messages.heads import Head, Heads
from messages.message import ChannelId, CommandId, MessageId, TenantId, UserId
from services.messages.tests.numbering import (
    IN_DOUBT,
    Clock,
)

ONE, TWO, THREE = (ChannelId(f"0190a0a0-0000-7000-8000-00000000000{n}") for n in (1, 2, 3))
MESSAGE = MessageId("0190a0a0-0000-7000-8000-0000000000aa")


def head(tenant: str = "t", seq: int = 5, *, slow: bool = False) -> Head:
    return Head(TenantId(tenant), "group", slow, seq, 3)


def command(
    channel: ChannelId = ONE, body: Body | None = None, *, key: str = "", actor: str = "ann", tenant: str = "t"
) -> Command:
    key = key or uuid.uuid4().hex
    return Command(TenantId(tenant), channel, UserId(actor), key, CommandId(f"c.{key}"), "g", body or Post("hello"))


def knowing(*channels: ChannelId) -> Heads:
    heads = Heads(Clock())
    heads.keep({channel: head() for channel in channels})
    return heads


def test_plain_posts_of_known_channels_are_numbered_in_their_order() -> None:
    batch = [command(TWO), command(ONE), command(TWO), command(THREE)]
    assert knowing(ONE, TWO).run_of(batch) == batch[:3]


@pytest.mark.parametrize(
    "other",
    [
        command(body=Post("answer", thread=MESSAGE)),
        command(body=Edit(MESSAGE, "new")),
        command(body=Delete(MESSAGE)),
        command(body=React(MESSAGE, "+1")),
        command(body=Pin(MESSAGE)),
        command(key="used"),
        command(tenant="another"),
    ],
    ids=["thread", "edit", "delete", "react", "pin", "key twice", "another tenant"],
)
def test_what_cannot_be_numbered_leaves_its_whole_channel_to_be_judged_and_no_other(other: Command) -> None:
    heads = knowing(ONE, TWO)
    before, elsewhere, after = command(key="used"), command(TWO), command()
    assert heads.run_of([before, elsewhere, other, after]) == [elsewhere]
    assert heads.run_of([other, before, elsewhere, after]) == [elsewhere]


def test_a_key_is_the_same_only_for_one_author_in_one_channel() -> None:
    batch = [command(key="k"), command(key="k", actor="bob"), command(TWO, key="k")]
    assert knowing(ONE, TWO).run_of(batch) == batch


def test_a_read_position_is_no_obstacle_and_is_not_numbered() -> None:
    batch = [command(body=Read(3)), command(), command(body=Read(4))]
    assert knowing(ONE).run_of(batch) == [batch[1]]


def test_a_channel_is_learnt_the_second_time_it_is_seen() -> None:
    heads = Heads(Clock())
    assert heads.to_learn([ONE]) == []
    assert heads.to_learn([ONE, TWO]) == [ONE]
    heads.learn({ONE: head()}, [])
    assert heads[ONE] == head()
    with pytest.raises(KeyError):
        heads[TWO]
    assert heads.run_of([command(ONE), command(TWO), command(THREE)])[0].channel == ONE


@pytest.mark.parametrize(
    ("learnt", "verdict"),
    [
        (head(seq=5), "NOT_ALLOWED"),
        (head(seq=5), "duplicate"),
        (head(seq=5), "again"),
        (head(seq=6, slow=True), "fresh"),
        (head(seq=7), "fresh"),
    ],
    ids=["refused", "repeated", "delivered again", "slow", "written by others"],
)
def test_a_channel_is_in_doubt_until_its_time_is_over(learnt: Head, verdict: str) -> None:
    clock = Clock()
    heads = Heads(clock)
    heads.keep({ONE: head(seq=5), TWO: head(seq=5)})
    heads.learn({ONE: learnt, TWO: head(seq=6)}, [(command(ONE), verdict), (command(TWO), "fresh")])
    assert heads.run_of([command(ONE), command(TWO)])[0].channel == TWO
    clock.now += IN_DOUBT - 0.01
    assert heads.to_learn([ONE]) == []
    clock.now += 0.01
    assert heads.to_learn([ONE]) == [ONE]
    heads.learn({ONE: head(seq=9)}, [])
    assert heads[ONE].seq == 9


def test_a_suspected_channel_is_not_numbered_until_it_is_learnt_again() -> None:
    heads = knowing(ONE, TWO)
    heads.suspect([ONE, THREE])
    assert [each.channel for each in heads.run_of([command(ONE), command(TWO)])] == [TWO]
    assert heads.to_learn([ONE]) == [ONE]
    heads.learn({ONE: head(seq=6)}, [(command(), "fresh")])
    assert heads.run_of([command()])


def test_a_suspected_channel_that_others_wrote_to_is_in_doubt() -> None:
    heads = knowing(ONE)
    heads.suspect([ONE])
    heads.learn({ONE: head(seq=7)}, [(command(), "fresh")])
    assert heads.to_learn([ONE]) == []


def test_a_forgotten_channel_is_learnt_the_next_time() -> None:
    heads = knowing(ONE)
    heads.forget([ONE])
    assert heads.run_of([command()]) == []
    assert heads.to_learn([ONE]) == [ONE]


def test_the_channels_that_were_used_least_lately_make_room() -> None:
    heads = knowing(ONE, TWO, THREE)
    heads.keep({ONE: head(seq=6)})
    heads.keep({ChannelId(f"{n}"): head() for n in range(heads_module._MOST - 2)})  # noqa: SLF001 - so many are remembered
    assert [each.channel for each in heads.run_of([command(ONE), command(TWO), command(THREE)])] == [ONE, THREE]
