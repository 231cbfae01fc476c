"""Who may not post any more is refused as ever, whatever the worker remembers of the channel."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from chassis.postgres import EVERY_TENANT
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands import Pin, Post, React, Verdict
from messages.heads import Heads
from messages.message import MessageId
from services.messages.tests.conftest import Town
from services.messages.tests.numbering import (
    IN_DOUBT,
    Clock,
    Counted,
    apart,
    counting,
    frames,
    learn,
    rows,
    standing,
    told,
)

Happens = Callable[[Town, str], Awaitable[object]]


async def remove(town: Town, channel: str) -> None:
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)


async def leave(town: Town, channel: str) -> None:
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=town.caller("bob"), channel=channel, user="bob"), None)


async def come_back(town: Town, channel: str) -> None:
    await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["bob"]), None)


async def ban(town: Town, channel: str) -> None:
    await town.service.BanUser(rpc.BanUserRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)


async def lift_ban(town: Town, channel: str) -> None:
    await town.service.UnbanUser(rpc.UnbanUserRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)
    await come_back(town, channel)


async def silence(town: Town, channel: str) -> None:
    request = rpc.SilenceMemberRequest(caller=town.caller("ann"), channel=channel, user="bob", seconds=60, reason="loud")
    await town.service.SilenceMember(request, None)


async def lift_silence(town: Town, channel: str) -> None:
    await town.service.UnsilenceMember(rpc.UnsilenceMemberRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)


async def outlast_silence(town: Town, channel: str) -> None:
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute(
            "UPDATE members SET silenced_until = now() WHERE channel = %s AND silenced_until IS NOT NULL", [channel]
        )


async def make(town: Town, channel: str, role: str) -> None:
    request = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=channel, user="bob", role=role)
    await town.service.SetMemberRole(request, None)


async def make_reader(town: Town, channel: str) -> None:
    await make(town, channel, "reader")


async def make_member(town: Town, channel: str) -> None:
    await make(town, channel, "member")


async def make_moderator(town: Town, channel: str) -> None:
    await make(town, channel, "moderator")


async def make_moderator_no_more(town: Town, channel: str) -> None:
    await make_moderator(town, channel)
    await make_member(town, channel)


async def block(town: Town, _channel: str, *, blocked: bool = True) -> None:
    root = town.caller("root", admin=True)
    await town.service.BlockUser(rpc.BlockUserRequest(caller=root, user="bob", blocked=blocked), None)


async def unblock(town: Town, channel: str) -> None:
    await block(town, channel, blocked=False)


async def block_peer(town: Town, _channel: str, *, blocked: bool = True) -> None:
    await town.service.BlockPeer(rpc.BlockPeerRequest(caller=town.caller("ann"), user="bob", blocked=blocked), None)


async def unblock_peer(town: Town, channel: str) -> None:
    await block_peer(town, channel, blocked=False)


async def nothing(_town: Town, _channel: str) -> None:
    """A group's reader was never more."""


@pytest.mark.parametrize(
    ("kind", "happens", "reason", "ends"),
    [
        ("group", remove, "NOT_FOUND", come_back),
        ("group", leave, "NOT_FOUND", come_back),
        ("public", leave, "NOT_A_MEMBER", come_back),
        ("group", ban, "NOT_FOUND", lift_ban),
        ("public", ban, "NOT_ALLOWED", lift_ban),
        ("group", silence, "NOT_ALLOWED", lift_silence),
        ("group", silence, "NOT_ALLOWED", outlast_silence),
        ("group", make_reader, "NOT_ALLOWED", make_member),
        ("broadcast", nothing, "NOT_ALLOWED", make_moderator),
        ("broadcast", make_moderator_no_more, "NOT_ALLOWED", make_moderator),
        ("group", block, "NOT_AUTHENTICATED", unblock),
        ("direct", block_peer, "NOT_ALLOWED", unblock_peer),
    ],
)
async def test_who_may_not_post_any_more_is_refused_as_ever_and_heard_again_when_that_ends(
    town: Town, kind: str, happens: Happens, reason: str, ends: Happens
) -> None:
    seen = []
    clock = Clock()
    for heads in (Heads(clock), None):
        here = apart(town)
        channel, elsewhere = await here.channel("ann", "bob", kind=kind), await here.channel("zoe", "bob")
        await learn(here, heads, (channel, "ann"), (elsewhere, "zoe"))
        await happens(here, channel)
        first = len(await here.log(channel)) + 1
        batch = [
            here.command(where, user, Post(text), key=text)
            for where, user, text in [
                (channel, "ann", "before"), (channel, "bob", "late"), (elsewhere, "zoe", "aside"),
                (channel, "bob", "later"), (channel, "ann", "after"),
            ]
        ]  # fmt: skip
        with counting() as found:
            outcomes = await told(here, heads, *batch)
        assert found == Counted(0, 1 if heads else 0)
        assert outcomes == [("fresh", first), (reason, 0), ("fresh", 6), (reason, 0), ("fresh", first + 1)]
        posts = [event.command for event in (await here.log(channel))[first - 1 :]]
        assert posts == [batch[0].id, batch[4].id]
        await ends(here, channel)
        back = [here.command(channel, user, Post("back"), key="back") for user in ("bob", "ann")]
        outcomes += await told(here, heads, *back)
        clock.now += IN_DOUBT
        outcomes += await told(here, heads, here.command(channel, "ann", Post("learn it"), key="learn it"))
        with counting() as found:
            outcomes += await told(here, heads, here.command(channel, "bob", Post("again"), key="again"))
        assert found == Counted(1 if heads else 0, 0)
        assert [event.seq for event in await here.log(channel)] == list(range(1, outcomes[-1][1] + 1))
        seen.append([outcomes, await frames(here, channel)])
    assert seen[0] == seen[1]
    assert [verdict for verdict, _ in seen[0][0][5:]] == ["fresh"] * 4


@pytest.mark.parametrize(
    ("happens", "ends"),
    [(silence, lift_silence), (silence, outlast_silence), (block, unblock), (make_reader, make_member), (remove, come_back)],
)
async def test_what_is_over_before_they_post_is_as_if_it_had_not_been(town: Town, happens: Happens, ends: Happens) -> None:
    channel, heads = await town.channel("ann", "bob"), Heads(Clock())
    await learn(town, heads, (channel, "bob"))
    await happens(town, channel)
    await ends(town, channel)
    next_free = len(await town.log(channel)) + 1
    assert await told(town, heads, town.command(channel, "bob", Post("hello"))) == [("fresh", next_free)]


async def test_a_peers_block_hushes_nobody_but_whom_it_names_and_only_in_the_direct_channel(town: Town) -> None:
    direct, group, heads = await town.channel("ann", "bob", kind="direct"), await town.channel("ann", "bob"), Heads(Clock())
    await learn(town, heads, (direct, "ann"), (group, "bob"))
    await block_peer(town, direct)
    with counting() as found:
        outcomes = await told(town, heads, town.command(direct, "ann", Post("I may")), town.command(group, "bob", Post("I, too")))
    assert [verdict for verdict, _ in outcomes] == ["fresh", "fresh"]
    assert found == Counted(2, 0)


@pytest.mark.parametrize(
    ("issued", "reason"),
    [([-60.0], "NOT_AUTHENTICATED"), ([60.0], "fresh"), ([0.0], "fresh"), ([60.0, -60.0, 0.0], "NOT_AUTHENTICATED")],
    ids=["before", "after", "none", "the oldest of three"],
)
async def test_a_token_that_was_revoked_posts_nothing_more(town: Town, issued: list[float], reason: str) -> None:
    seen = []
    for heads in (Heads(Clock()), None):
        here = apart(town)
        channel = await here.channel("ann", "bob")
        await learn(here, heads, (channel, "ann"), (channel, "bob"))
        now = time.time()
        await here.service.RevokeUser(rpc.RevokeUserRequest(caller=here.caller("root", admin=True), user="bob"), None)
        batch = [here.command(channel, "bob", Post(f"{offset}"), key=f"{offset}") for offset in issued]
        batch = [
            msgspec.structs.replace(each, token_issued_at=offset and now + offset)
            for each, offset in zip(batch, issued, strict=True)
        ]
        batch.append(msgspec.structs.replace(here.command(channel, "ann", Post("good"), key="good"), token_issued_at=now - 60))
        with counting() as found:
            outcomes = await told(here, heads, *batch)
        assert found == (Counted() if heads is None else Counted(0, 1) if -60.0 in issued else Counted(len(batch), 0))
        seen.append((outcomes, await frames(here, channel)))
    assert seen[0] == seen[1]
    numbers = [seq for _, seq in seen[0][0] if seq]
    assert numbers == list(range(8, 8 + len(numbers)))
    assert [verdict for verdict, _ in seen[0][0]] == ["fresh" if offset >= 0 else reason for offset in issued] + ["fresh"]


async def test_slow_mode_that_was_set_meanwhile_holds_and_a_slow_channel_is_not_learnt(town: Town) -> None:
    channel, clock = await town.channel("ann", "bob"), Clock()
    heads = Heads(clock)
    await learn(town, heads, (channel, "ann"))

    async def pace(seconds: int) -> None:
        request = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=channel, slow_mode_seconds=seconds)
        await town.service.UpdateChannel(request, None)

    await pace(60)
    with counting() as found:
        outcomes = await told(town, heads, *(town.command(channel, "bob", Post(text)) for text in ("one", "two")))
    assert (outcomes, found) == ([("fresh", 7), ("SLOW_MODE", 0)], Counted(0, 1))
    for _ in range(3):
        clock.now += IN_DOUBT
        with counting() as found:
            assert (await told(town, heads, town.command(channel, "bob", Post("three")))) == [("SLOW_MODE", 0)]
            assert (await told(town, heads, town.command(channel, "ann", Post("I may"))))[0][0] == "fresh"
        assert found == Counted(0, 0)
    await pace(0)
    clock.now += IN_DOUBT
    with counting() as found:
        for _ in range(2):
            await told(town, heads, town.command(channel, "bob", Post("at last")))
    assert found == Counted(1, 0)


async def test_a_post_by_a_call_in_between_takes_its_number_and_brings_the_channel_in_doubt(town: Town) -> None:
    channel, clock = await town.channel("ann", "bob"), Clock()
    heads = Heads(clock)
    await learn(town, heads, (channel, "bob"))
    assert (await town.post(channel, "ann")).seq == 6
    expected = iter(range(7, 20))
    for moved_on, numbered, outdated in [(0.0, 0, 1), (0.0, 0, 0), (IN_DOUBT - 1, 0, 0), (1.0, 0, 0), (0.0, 1, 0)]:
        clock.now += moved_on
        with counting() as found:
            outcomes = await told(town, heads, town.command(channel, "bob", Post("next")))
        assert (outcomes, found) == ([("fresh", next(expected))], Counted(numbered, outdated))


async def _edit(town: Town, channel: str, message: str) -> None:
    await town.service.EditMessage(
        rpc.EditMessageRequest(caller=town.caller("ann"), channel=channel, message=message, text="new"), None
    )


async def _react(town: Town, channel: str, message: str) -> None:
    (outcome,) = await town.do(town.command(channel, "ann", React(MessageId(message), "+1")))
    assert outcome.verdict is Verdict.FRESH


async def _pin(town: Town, channel: str, message: str) -> None:
    (outcome,) = await town.do(town.command(channel, "ann", Pin(MessageId(message))))
    assert outcome.verdict is Verdict.FRESH


async def _delete(town: Town, channel: str, message: str) -> None:
    await town.service.DeleteMessage(rpc.DeleteMessageRequest(caller=town.caller("ann"), channel=channel, message=message), None)


@pytest.mark.parametrize("change", [_edit, _react, _pin, _delete])
async def test_a_change_by_somebody_else_takes_its_number_and_counts_as_no_message(
    town: Town, change: Callable[[Town, str, str], Awaitable[None]]
) -> None:
    channel, clock = await town.channel("ann", "bob"), Clock()
    heads = Heads(clock)
    message = (await town.post(channel, "ann")).message
    await learn(town, heads, (channel, "bob"))
    await change(town, channel, message)
    with counting() as found:
        assert await told(town, heads, town.command(channel, "bob", Post("next"))) == [("fresh", 8)]
    assert found == Counted(0, 1)
    clock.now += IN_DOUBT
    for number in (9, 10):
        assert await told(town, heads, town.command(channel, "bob", Post("next"))) == [("fresh", number)]
    posts = [row["posts"] for row in await rows(town, "entries", channel, "seq", [])]
    assert posts == [0, 0, 0, 1, 2, 3, 3, 4, 5, 6]
    assert (await standing(town, channel, "ann"))[2] == 5
