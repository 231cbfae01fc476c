"""Removal, bans and blocks: whatever is numbered after them is none of the removed one's."""

from __future__ import annotations

import asyncio
import time

import msgspec
import psycopg
import pytest

from chassis.errors import NotAllowed, NotAMember, NotAuthenticated, NotFound, Unavailable
from chassis.postgres import EVERY_TENANT, open_database
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands import Body, Delete, Edit, Pin, Post, React, Read, Verdict
from messages.handlers import handle
from messages.heads import Heads
from messages.message import ChannelId, MessageId
from messages.store import commands
from services.messages.tests.conftest import Town, refused


async def _remove(town: Town, channel: str, user: str) -> None:
    request = rpc.RemoveMemberRequest(caller=town.caller("ann"), channel=channel, user=user)
    await town.service.RemoveMember(request, None)


async def _ban(town: Town, channel: str, user: str, seconds: int = 0) -> None:
    request = rpc.BanUserRequest(caller=town.caller("ann"), channel=channel, user=user, seconds=seconds)
    await town.service.BanUser(request, None)


async def test_what_a_removed_member_had_queued_is_refused(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    message = MessageId((await town.post(channel, "bob")).message)
    bodies: list[Body] = [Post("late"), Edit(message, "late"), Delete(message), React(message, "x"), Pin(message)]
    queued = [town.command(channel, "bob", body) for body in bodies]
    await _remove(town, channel, "bob")
    outcomes = await town.do(*queued)
    assert [type(outcome.error) for outcome in outcomes] == [NotFound] * 5
    assert (await town.log(channel))[-1].kind == events.EVENT_KIND_MEMBER_REMOVED


async def test_a_post_that_waits_for_a_removal_sees_it(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    async with open_database(town.url, connections=2, name="removal") as elsewhere:
        async with elsewhere.transaction(EVERY_TENANT) as removal:
            await commands.take_channel(removal, ChannelId(channel))
            waiting = asyncio.create_task(handle(town.database, [town.command(channel, "bob", Post("late"))]))
            await _until_somebody_waits(town)
            await removal.execute('DELETE FROM members WHERE channel = %s AND "user" = %s', [channel, "bob"])
        (outcome,) = (await waiting).outcomes
    assert type(outcome.error) is NotFound


async def test_a_post_that_waits_for_another_takes_the_next_number(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    async with town.database.transaction(EVERY_TENANT) as first:
        await commands.take_channel(first, ChannelId(channel))
        waiting = asyncio.create_task(town.do(town.command(channel, "bob", Post("second"))))
        await _until_somebody_waits(town)
        taken = await first.execute("UPDATE channels SET head = head + 1 WHERE id = %s RETURNING head + 1", [channel])
        next_free = await taken.fetchone()
    (outcome,) = await waiting
    assert (outcome.seq,) == next_free


async def test_a_post_that_was_judged_before_a_removal_is_not_stored_after_it(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    late = town.command(channel, "bob", Post("late"))
    among_others = town.command(await town.channel("zoe"), "zoe", Post("elsewhere"))
    for run in ([late], [late, among_others]):
        async with open_database(town.url, connections=2, name="removal") as elsewhere:
            async with elsewhere.transaction(EVERY_TENANT) as removal:
                await commands.take_channel(removal, ChannelId(channel))
                judged = asyncio.create_task(town.database.pipeline([town.tenant], [commands.ask_posts(run).query]))
                await _until_somebody_waits(town)
                await removal.execute('DELETE FROM members WHERE channel = %s AND "user" = %s', [channel, "bob"])
            with pytest.raises(Unavailable) as refused:
                await judged
            assert isinstance(refused.value.__cause__, psycopg.errors.SerializationFailure)
            async with elsewhere.transaction(EVERY_TENANT) as return_:
                members = 'INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq)'
                await return_.execute(f"{members} VALUES (%s, 'bob', %s, 'member', 1, 1)", [channel, town.tenant])
    for untouched in (channel, among_others.channel):
        assert events.EVENT_KIND_MESSAGE_POSTED not in {entry.kind for entry in await town.log(untouched)}


async def test_a_post_whose_channel_somebody_holds_is_given_up_soon_or_waited_for(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    command = town.command(channel, "bob", Post("hello"))
    async with town.database.transaction(EVERY_TENANT) as holder:
        await commands.take_channel(holder, ChannelId(channel))
        with pytest.raises(Unavailable) as given_up:
            await handle(town.database, [command], heads=Heads())
        assert isinstance(given_up.value.__cause__, psycopg.errors.LockNotAvailable)
        waiting = asyncio.create_task(town.do(command))
        await _until_somebody_waits(town)
    (outcome,) = await waiting
    assert outcome.verdict is Verdict.FRESH


@pytest.mark.parametrize("heads", [None, Heads()])
async def test_posts_take_the_numbers_after_those_of_anybody_before_them(town: Town, heads: Heads | None) -> None:
    channel = await town.channel("ann", "bob")
    numbers = []
    for run in (["one"], ["two", "three"], ["four"]):
        posts = [town.command(channel, "bob", Post(text)) for text in run]
        numbers += [outcome.seq for outcome in (await handle(town.database, posts, heads=heads)).outcomes]
    first = numbers[0]
    assert numbers == [first, first + 1, first + 2, first + 3]


async def _until_somebody_waits(town: Town) -> None:
    """Poll the server's own word for it: nothing else says that a lock is waited for."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(3), town.database.connection(EVERY_TENANT) as connection:
        while await (await connection.execute(query)).fetchone() == (0,):
            pass


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


async def test_a_command_stored_before_the_removal_stays_stored_when_it_comes_again(town: Town) -> None:
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


async def test_who_left_a_public_channel_may_join_again_but_not_write_before(town: Town) -> None:
    channel = await town.channel("ann", "bob", kind="public")
    leave = rpc.RemoveMemberRequest(caller=town.caller("bob"), channel=channel, user="bob")
    await town.service.RemoveMember(leave, None)
    await refused(town.post(channel, "bob"), NotAMember)
    await town.service.JoinChannel(rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel), None)
    assert (await town.post(channel, "bob")).seq


async def test_a_banned_user_can_neither_write_nor_come_back_until_it_is_lifted(town: Town) -> None:
    channel = await town.channel("ann", "bob", kind="public")
    await _ban(town, channel, "bob")
    join = rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel)
    add = rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["bob"])
    await refused(town.post(channel, "bob"), NotAllowed)
    await refused(town.service.JoinChannel(join, None), NotAllowed)
    await refused(town.service.AddMembers(add, None), NotAllowed)
    unban = rpc.UnbanUserRequest(caller=town.caller("ann"), channel=channel, user="bob")
    await town.service.UnbanUser(unban, None)
    assert (await town.service.JoinChannel(join, None)).channel.role == "member"


async def test_a_ban_ends_by_itself(town: Town) -> None:
    channel = await town.channel("ann", "bob", kind="public")
    await _ban(town, channel, "bob", seconds=60)
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute("UPDATE bans SET until = now() WHERE channel = %s", [channel])
    join = rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel)
    assert (await town.service.JoinChannel(join, None)).channel.role == "member"


async def test_who_never_was_a_member_can_be_banned_without_an_entry(town: Town) -> None:
    channel = await town.channel("ann", kind="public")
    await town.people("bob")
    await _ban(town, channel, "bob")
    assert len(await town.log(channel)) == 2
    join = rpc.JoinChannelRequest(caller=town.caller("bob"), channel=channel)
    await refused(town.service.JoinChannel(join, None), NotAllowed)


async def test_what_a_blocked_user_had_queued_is_refused(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    queued = town.command(channel, "bob", Post("late"))
    root = town.caller("root", admin=True)
    await town.service.BlockUser(rpc.BlockUserRequest(caller=root, user="bob", blocked=True), None)
    (outcome,) = await town.do(queued)
    assert type(outcome.error) is NotAuthenticated
    await refused(town.post(channel, "bob"), NotAuthenticated)


async def test_what_was_queued_under_a_revoked_token_is_refused(town: Town) -> None:
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
