"""A user who may not post is refused, alone or among others, and accepted again when the reason ends."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from chassis.postgres import EVERY_TENANT
from chassis.proto_enums import from_word
from hubbub.events.v1.events_pb2 import Role
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Post
from services.messages.tests.conftest import Town, results

Happens = Callable[[Town, str], Awaitable[object]]


async def remove(town: Town, channel: str) -> None:
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)


async def leave(town: Town, channel: str) -> None:
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=town.caller("bob"), channel=channel, user="bob"), None)


async def add(town: Town, channel: str) -> None:
    await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["bob"]), None)


async def accept(town: Town, channel: str) -> None:
    await add(town, channel)
    await town.service.AcceptInvitation(rpc.AcceptInvitationRequest(caller=town.caller("bob"), channel=channel), None)


async def join(town: Town, channel: str) -> None:
    await town.service.JoinChannel(rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel), None)


async def ban(town: Town, channel: str) -> None:
    await town.service.BanUser(rpc.BanUserRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)


async def unban(town: Town, channel: str) -> None:
    await town.service.UnbanUser(rpc.UnbanUserRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)
    await add(town, channel)


async def silence(town: Town, channel: str) -> None:
    request = rpc.SilenceMemberRequest(caller=town.caller("ann"), channel=channel, user="bob", seconds=60, reason="loud")
    await town.service.SilenceMember(request, None)


async def unsilence(town: Town, channel: str) -> None:
    await town.service.UnsilenceMember(rpc.UnsilenceMemberRequest(caller=town.caller("ann"), channel=channel, user="bob"), None)


async def expire_silence(town: Town, channel: str) -> None:
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute(
            "UPDATE members SET silenced_until = now() WHERE channel = %s AND silenced_until IS NOT NULL", [channel]
        )


async def make(town: Town, channel: str, role: str) -> None:
    request = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=channel, user="bob", role=from_word(Role, role))
    await town.service.SetMemberRole(request, None)


async def make_reader(town: Town, channel: str) -> None:
    await make(town, channel, "reader")


async def make_member(town: Town, channel: str) -> None:
    await make(town, channel, "member")


async def make_moderator(town: Town, channel: str) -> None:
    await make(town, channel, "moderator")


async def promote_and_demote(town: Town, channel: str) -> None:
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
    """Members of a broadcast channel may never post."""


@pytest.mark.parametrize(
    ("kind", "happens", "reason", "ends"),
    [
        ("group", remove, "NOT_FOUND", add),
        ("group", leave, "NOT_FOUND", accept),
        ("public", leave, "NOT_A_MEMBER", join),
        ("group", ban, "NOT_FOUND", unban),
        ("public", ban, "NOT_ALLOWED", unban),
        ("group", silence, "NOT_ALLOWED", unsilence),
        ("group", silence, "NOT_ALLOWED", expire_silence),
        ("group", make_reader, "NOT_ALLOWED", make_member),
        ("broadcast", nothing, "NOT_ALLOWED", make_moderator),
        ("broadcast", promote_and_demote, "NOT_ALLOWED", make_moderator),
        ("group", block, "NOT_AUTHENTICATED", unblock),
        ("direct", block_peer, "NOT_ALLOWED", unblock_peer),
    ],
)
async def test_a_refusal_concerns_its_author_alone_and_ends_with_its_reason(
    town: Town, kind: str, happens: Happens, reason: str, ends: Happens
) -> None:
    channel, elsewhere = await town.channel("ann", "bob", kind=kind), await town.channel("zoe", "bob")
    await happens(town, channel)
    first = len(await town.log(channel)) + 1
    assert await results(town, town.command(channel, "bob", Post("alone"))) == [(reason, 0)]
    batch = [
        town.command(where, user, Post("hello"))
        for where, user in [(channel, "ann"), (channel, "bob"), (elsewhere, "zoe"), (channel, "bob"), (channel, "ann")]
    ]
    expected = [("fresh", first), (reason, 0), ("fresh", 4), (reason, 0), ("fresh", first + 1)]
    assert await results(town, *batch) == expected
    assert [event.command for event in (await town.log(channel))[first - 1 :]] == [batch[0].id, batch[4].id]
    await ends(town, channel)
    later = await results(town, *(town.command(channel, user, Post("back")) for user in ("bob", "ann")))
    assert [verdict for verdict, _ in later] == ["fresh", "fresh"]
    assert [event.seq for event in await town.log(channel)] == list(range(1, later[-1][1] + 1))


async def test_a_block_between_two_users_binds_the_blocked_one_in_their_direct_channel_only(town: Town) -> None:
    direct, group = await town.channel("ann", "bob", kind="direct"), await town.channel("ann", "bob")
    await block_peer(town, direct)
    batch = [(direct, "ann"), (group, "bob"), (direct, "bob")]
    found = await results(town, *(town.command(channel, user, Post("hello")) for channel, user in batch))
    assert [verdict for verdict, _ in found] == ["fresh", "fresh", "NOT_ALLOWED"]


@pytest.mark.parametrize(
    "issued", [[-60.0], [60.0], [0.0], [60.0, -60.0, 0.0]], ids=["before", "after", "no token", "the second of three"]
)
async def test_a_revoked_token_posts_nothing_more(town: Town, issued: list[float]) -> None:
    channel = await town.channel("ann", "bob")
    now = time.time()
    await town.service.RevokeUser(rpc.RevokeUserRequest(caller=town.caller("root", admin=True), user="bob"), None)
    batch = [
        msgspec.structs.replace(town.command(channel, "bob", Post("late")), token_issued_at=offset and now + offset)
        for offset in issued
    ]
    batch.append(msgspec.structs.replace(town.command(channel, "ann", Post("valid")), token_issued_at=now - 60))
    found = await results(town, *batch)
    assert [verdict for verdict, _ in found] == ["fresh" if n >= 0 else "NOT_AUTHENTICATED" for n in issued] + ["fresh"]
    numbers = [seq for _, seq in found if seq]
    assert numbers == list(range(4, 4 + len(numbers)))
