"""After a removal, ban or block the user neither writes nor reads, and queued commands are refused."""

from __future__ import annotations

import time

import msgspec

from chassis.errors import NotAllowed, NotAMember, NotAuthenticated, NotFound
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Body, Delete, Edit, Pin, Post, React, Read, Verdict
from messages.message import MessageId
from services.messages.tests.conftest import Town, refused


async def _remove(town: Town, channel: str, user: str) -> None:
    request = rpc.RemoveMemberRequest(caller=town.caller("ann"), channel=channel, user=user)
    await town.service.RemoveMember(request, None)


async def _ban(town: Town, channel: str, user: str, seconds: int = 0) -> None:
    request = rpc.BanUserRequest(caller=town.caller("ann"), channel=channel, user=user, seconds=seconds)
    await town.service.BanUser(request, None)


async def test_queued_commands_of_a_removed_member_are_refused(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    message = MessageId((await town.post(channel, "bob")).message)
    bodies: list[Body] = [Post("late"), Edit(message, "late"), Delete(message), React(message, "x"), Pin(message)]
    queued = [town.command(channel, "bob", body) for body in bodies]
    await _remove(town, channel, "bob")
    outcomes = await town.do(*queued)
    assert [type(outcome.error) for outcome in outcomes] == [NotFound] * 5
    assert (await town.log(channel))[-1].kind == events.EVENT_KIND_MEMBER_REMOVED


async def test_a_removed_member_reads_nothing_more(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    await _remove(town, channel, "bob")
    bob = town.caller("bob")
    service = town.service
    await refused(service.GetChannel(rpc.GetChannelRequest(caller=bob, channel=channel), None), NotFound)
    await refused(service.ListMessages(rpc.ListMessagesRequest(caller=bob, channel=channel), None), NotFound)
    await refused(service.ListEvents(rpc.ListEventsRequest(caller=bob, channel=channel), None), NotFound)
    await refused(service.ListMembers(rpc.ListMembersRequest(caller=bob, channel=channel), None), NotFound)
    await refused(service.SearchMessages(rpc.SearchMessagesRequest(caller=bob, channel=channel, query="x"), None), NotFound)
    assert not (await service.ListChannels(rpc.ListChannelsRequest(caller=bob), None)).channels


async def test_a_command_stored_before_the_removal_is_acknowledged_when_redelivered(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    command = town.command(channel, "bob", Post("in time"))
    (first,) = await town.do(command)
    await _remove(town, channel, "bob")
    (again,) = await town.do(command)
    assert (again.verdict, again.seq) == (Verdict.AGAIN, first.seq)


async def test_a_removed_members_read_position_does_not_move(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    await _remove(town, channel, "bob")
    await town.do(town.command(channel, "bob", Read(1)))
    assert town.stored[-1].receipts == []


async def test_a_user_who_left_a_public_channel_writes_again_only_after_joining(town: Town) -> None:
    channel = await town.channel("ann", "bob", kind="public")
    leave = rpc.RemoveMemberRequest(caller=town.caller("bob"), channel=channel, user="bob")
    await town.service.RemoveMember(leave, None)
    await refused(town.post(channel, "bob"), NotAMember)
    await town.service.JoinChannel(rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel), None)
    assert (await town.post(channel, "bob")).seq


async def test_a_banned_user_can_neither_write_nor_join_until_the_ban_is_lifted(town: Town) -> None:
    channel = await town.channel("ann", "bob", kind="public")
    await _ban(town, channel, "bob")
    join = rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel)
    add = rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["bob"])
    await refused(town.post(channel, "bob"), NotAllowed)
    await refused(town.service.JoinChannel(join, None), NotAllowed)
    await refused(town.service.AddMembers(add, None), NotAllowed)
    unban = rpc.UnbanUserRequest(caller=town.caller("ann"), channel=channel, user="bob")
    await town.service.UnbanUser(unban, None)
    assert (await town.service.JoinChannel(join, None)).channel.role == events.ROLE_MEMBER


async def test_a_ban_expires(town: Town) -> None:
    channel = await town.channel("ann", "bob", kind="public")
    await _ban(town, channel, "bob", seconds=60)
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute("UPDATE bans SET until = now() WHERE channel = %s", [channel])
    join = rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel)
    assert (await town.service.JoinChannel(join, None)).channel.role == events.ROLE_MEMBER


async def test_banning_a_user_who_is_not_a_member_makes_no_entry(town: Town) -> None:
    channel = await town.channel("ann", kind="public")
    await town.people("bob")
    await _ban(town, channel, "bob")
    assert len(await town.log(channel)) == 2
    join = rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel)
    await refused(town.service.JoinChannel(join, None), NotAllowed)


async def test_queued_commands_of_a_blocked_user_are_refused(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    queued = town.command(channel, "bob", Post("late"))
    root = town.caller("root", admin=True)
    await town.service.BlockUser(rpc.BlockUserRequest(caller=root, user="bob", blocked=True), None)
    (outcome,) = await town.do(queued)
    assert type(outcome.error) is NotAuthenticated
    await refused(town.post(channel, "bob"), NotAuthenticated)


async def test_queued_commands_with_a_revoked_token_are_refused(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    message = MessageId((await town.post(channel, "bob")).message)
    bodies: list[Body] = [Post("late"), Edit(message, "late"), Delete(message), React(message, "x"), Pin(message)]
    before = time.time() - 1
    await town.service.RevokeUser(rpc.RevokeUserRequest(caller=town.caller("root", admin=True), user="bob"), None)
    queued = [town.command(channel, "bob", body) for body in bodies]
    outcomes = await town.do(*(msgspec.structs.replace(each, token_issued_at=before) for each in queued))
    assert [type(outcome.error) for outcome in outcomes] == [NotAuthenticated] * 5
    (later,) = await town.do(msgspec.structs.replace(queued[0], token_issued_at=time.time() + 1))
    assert later.verdict is Verdict.FRESH
