"""What a user, a channel and a message can hold is bounded, and so is every answer, even one that other users filled."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from chassis.errors import Conflict, InvalidArgument, NotAllowed, RateLimited, SlowMode
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import validate
from messages.commands.batch import handle
from messages.commands.model import Body, Edit, Pin, Post, React
from messages.limits import DEFAULT_LIMITS, Limits
from messages.message import MessageId
from messages.revocations import Revocations
from messages.service import MessagesService
from services.messages.tests.conftest import Listener, Town, listed, memberships, refused, result

MEGABYTE = 1024 * 1024
FEW = Limits(
    channels_per_user=4,
    unasked_channels_per_user=2,
    invitations_per_user=2,
    members_added_per_hour=6,
    blocks_per_user=2,
    reactions_per_message=3,
    reactions_per_user=2,
    pins_per_channel=2,
    reports_per_user=2,
)


def limit(town: Town, **limits: Any) -> None:
    """Serve with these limits; the others are the default ones."""
    chosen = replace(DEFAULT_LIMITS, **limits)
    town.service = MessagesService(town.database, town.publisher, Revocations(town.publisher, town.gateways), chosen)


async def channels(town: Town, user: str) -> list[Any]:
    request = rpc.ListChannelsRequest(caller=town.caller(user))
    return list((await town.service.ListChannels(request, None)).channels)


async def invitations(town: Town, user: str) -> list[str]:
    request = rpc.ListInvitationsRequest(caller=town.caller(user))
    return [each.channel for each in (await town.service.ListInvitations(request, None)).invitations]


async def add(town: Town, channel: str, by: str, *users: str) -> rpc.AddMembersResponse:
    await town.people(*users)
    return await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller(by), channel=channel, users=users), None)


async def do(town: Town, channel: str, user: str, body: Body) -> str:
    stored = await handle(town.database, [town.command(channel, user, body)], FEW)
    return result(stored.outcomes[0])[0]


# What one can hold.


async def test_a_user_has_so_many_channels_and_no_more(town: Town) -> None:
    limit(town, channels_per_user=2)
    for _ in range(2):
        await town.channel("ann")
    await refused(town.channel("ann"), Conflict)
    public = await town.channel("bob", kind="public")
    await refused(town.service.JoinChannel(rpc.JoinChannelRequest(caller=town.caller("ann"), channel=public), None), Conflict)
    await refused(add(town, public, "bob", "ann"), Conflict)
    await refused(town.channel("bob", "ann", kind="direct"), Conflict)
    assert len(await channels(town, "ann")) == 2


async def test_others_can_put_a_user_into_some_channels_and_invite_to_further_ones(town: Town) -> None:
    limit(town, unasked_channels_per_user=2, invitations_per_user=2)
    for _ in range(4):
        await town.channel("eve", "ann")
    assert len(await channels(town, "ann")) == 2
    assert len(await invitations(town, "ann")) == 2
    await refused(town.channel("eve", "ann"), Conflict)
    mine = await town.channel("ann")
    assert mine in {each.id for each in await channels(town, "ann")}
    for each in (await channels(town, "ann"))[1:]:
        await town.post(each.id, "ann")  # she takes part: these are hers now
    assert not (await add(town, await town.channel("bob"), "bob", "ann")).invited


async def test_a_user_adds_so_many_members_within_an_hour(town: Town) -> None:
    limit(town, members_added_per_hour=4)
    room = await town.channel("eve", "a", "b")
    await add(town, room, "eve", "c", "d")
    await town.people("e")
    error = await refused(add(town, room, "eve", "e"), RateLimited)
    assert 0 < error.retry_after <= 3600
    await refused(town.channel("eve", "a"), RateLimited)
    await refused(town.channel("eve", "a", kind="direct"), RateLimited)
    await town.channel("eve")


async def test_a_message_has_so_many_reactions_and_of_one_user_even_fewer(town: Town) -> None:
    room = await town.channel("ann", "bob")
    message = MessageId((await town.post(room, "ann")).message)
    assert [await do(town, room, "ann", React(message, each)) for each in "👍🎂🎉"] == ["fresh", "fresh", "CONFLICT"]
    assert [await do(town, room, "bob", React(message, each)) for each in "🎉😍👍"] == ["fresh", "CONFLICT", "fresh"]
    assert await do(town, room, "ann", React(message, "🎂", remove=True)) == "fresh"
    assert await do(town, room, "ann", React(message, "😍")) == "fresh"


async def test_adding_and_removing_reactions_does_not_go_on_for_ever(town: Town) -> None:
    room = await town.channel("ann")
    message = MessageId((await town.post(room, "ann")).message)
    answers = []
    for number in range(12):
        answers.append(await do(town, room, "ann", React(message, f":e{number}:")))
        await do(town, room, "ann", React(message, f":e{number}:", remove=True))
    assert answers == ["fresh"] * 10 + ["CONFLICT"] * 2


async def test_a_channel_has_so_many_pins(town: Town) -> None:
    room = await town.channel("ann")
    messages = [MessageId((await town.post(room, "ann")).message) for _ in range(3)]
    assert [await do(town, room, "ann", Pin(each)) for each in messages] == ["fresh", "fresh", "CONFLICT"]
    assert await do(town, room, "ann", Pin(messages[0], remove=True)) == "fresh"
    assert await do(town, room, "ann", Pin(messages[2])) == "fresh"


async def test_a_user_has_so_many_open_reports_and_blocks(town: Town) -> None:
    limit(town, reports_per_user=1, blocks_per_user=1)
    room = await town.channel("ann", "bob")
    first, second = (await town.post(room, "ann")).message, (await town.post(room, "ann")).message
    ask = rpc.ReportMessageRequest(caller=town.caller("bob"), channel=room, message=first)
    report = (await town.service.ReportMessage(ask, None)).report
    assert (await town.service.ReportMessage(ask, None)).report == report
    ask.message = second
    await refused(town.service.ReportMessage(ask, None), Conflict)
    await town.people("cid")
    block = rpc.BlockPeerRequest(caller=town.caller("bob"), user="ann", blocked=True)
    await town.service.BlockPeer(block, None)
    await town.service.BlockPeer(block, None)
    block.user = "cid"
    await refused(town.service.BlockPeer(block, None), Conflict)


# Emoji.


@pytest.mark.parametrize(
    ("given", "stored"), [("❤", "❤️"), ("❤️", "❤️"), ("👍\ufe0f", "👍"), ("+1", "👍"), (":shipit:", ":shipit:"), ("🇫🇷", "🇫🇷")]
)
async def test_an_emoji_has_one_spelling(town: Town, listener: Listener, given: str, stored: str) -> None:
    room = await town.channel("ann")
    message = (await town.post(room, "ann")).message
    async with town.working():
        await town.send(town.bus_command(room, "ann", react={"message": message, "emoji": given}))
        await listener.until(lambda heard: any(event.kind == events.EVENT_KIND_REACTION_ADDED for event in heard.events))
    listed = await town.service.ListMessages(rpc.ListMessagesRequest(caller=town.caller("ann"), channel=room), None)
    assert [each.emoji for each in listed.messages[0].reactions] == [stored]


@pytest.mark.parametrize(
    "text", ["hi", "👍👍", "👍 ", "buy at evil.example now", ":NO:", "::", ":" + "a" * 33 + ":", "\u200d", "1", "🏽", ""]
)
def test_no_other_text_is_an_emoji(text: str) -> None:
    with pytest.raises(InvalidArgument):
        validate.emoji(text)


# Answers.


async def test_the_channel_list_is_paged_by_number_and_by_bytes_and_complete(town: Town) -> None:
    rooms = [await town.channel("ann") for _ in range(5)]
    await town.post(rooms[2], "ann", "x" * 16_000)
    seen: list[str] = []
    request = rpc.ListChannelsRequest(caller=town.caller("ann"), page_size=2)
    while True:
        answer = await town.service.ListChannels(request, None)
        seen += [each.id for each in answer.channels]
        assert len(answer.channels) <= 2
        request.page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    assert seen == [rooms[2], *(each for each in reversed(rooms) if each != rooms[2])]
    (newest, *_) = await channels(town, "ann")
    assert (newest.last_message.truncated, len(newest.last_message.text)) == (True, 1024)


async def test_lists_of_large_messages_stay_below_a_megabyte_and_lose_nothing(town: Town) -> None:
    room = await town.channel("ann")
    posted = [(await town.post(room, "ann", "\x01" * 16_000)).message for _ in range(20)]
    seen: list[str] = []
    before = 0
    while True:
        request = rpc.ListMessagesRequest(caller=town.caller("ann"), channel=room, page_size=200, before=before)
        page = (await town.service.ListMessages(request, None)).messages
        if not page:
            break
        assert sum(6 * len(each.text) for each in page) < MEGABYTE
        seen += [each.id for each in page]
        before = page[-1].seq
    assert seen == posted[::-1]


async def test_reactions_of_many_users_with_long_ids_do_not_swell_a_message(town: Town) -> None:
    users = [f"{number:03}" + "😀" * 125 for number in range(60)]
    room = await town.channel("ann", *users)
    message = MessageId((await town.post(room, "ann")).message)
    for emoji in "👍🎂🎉😍":
        await town.do(*(town.command(room, user, React(message, emoji)) for user in users))
    listed = await town.service.ListMessages(rpc.ListMessagesRequest(caller=town.caller("ann"), channel=room), None)
    assert [each.count for each in listed.messages[0].reactions] == [60] * 4
    assert listed.ByteSize() < 64 * 1024


async def test_a_session_of_many_channels_stays_below_a_megabyte_and_refuses_nobody_else(town: Town) -> None:
    await town.people("victim", "bob")
    await fill(town, "victim", 2_000)
    opening = rpc.OpenSessionsRequest(
        sessions=[rpc.AdmitUserRequest(caller=town.caller(each)) for each in ("bob", *["victim"] * 9, "bob")]
    )
    done = 0
    while opening.sessions:
        answer = await town.service.OpenSessions(opening, None)
        assert len(answer.sessions) >= 1
        assert answer.ByteSize() < 8 * MEGABYTE
        for session in answer.sessions:
            assert session.ByteSize() < MEGABYTE
            victim = session.user.id == "victim"
            assert (len(memberships(session)), len(listed(session)), session.more) == (
                (2_000, 200, True) if victim else (0, 0, False)
            )
        done += len(answer.sessions)
        del opening.sessions[: len(answer.sessions)]
    assert done == 11


async def test_bombing_leaves_the_channel_list_readable(town: Town) -> None:
    await town.people("victim")
    await fill(town, "victim", 2_000)
    request = rpc.ListChannelsRequest(caller=town.caller("victim"))
    seen = set()
    while True:
        answer = await town.service.ListChannels(request, None)
        assert answer.ByteSize() < MEGABYTE
        seen |= {each.id for each in answer.channels}
        request.page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    assert len(seen) == 2_000


async def fill(town: Town, user: str, count: int) -> None:
    """Rows as the API makes them for groups with the longest name and topic, and a large message."""
    async with town.database.transaction([town.tenant]) as connection:
        await connection.execute(
            """
WITH made AS (
  INSERT INTO channels (tenant, kind, name, topic, history, head, posts, last_post)
  SELECT %(tenant)s, 'group', repeat('😀', 128), repeat('😀', 1024), 'all', 2, 1, 2 FROM generate_series(1, %(count)s)
  RETURNING id
), joined AS (
  INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq)
  SELECT id, %(user)s, %(tenant)s, 'member', 1, 1 FROM made
)
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, message, text)
SELECT id, seq, seq - 1, %(tenant)s, CASE seq WHEN 2 THEN 1 ELSE 8 END, %(user)s, now(), 'k' || seq, gen_random_uuid(),
  CASE seq WHEN 2 THEN repeat('x', 16384) END FROM made, generate_series(1, 2) seq""",
            {"tenant": town.tenant, "user": user, "count": count},
        )


# Hostile input.


@pytest.mark.parametrize(
    "query", ["-" * 50, "- " * 100, "-\t-" * 80, "or " * 80, "(" * 200, '"' * 199, "!&|" * 60, "-" * 255 + "x"]
)
async def test_no_search_is_a_defect(town: Town, query: str) -> None:
    await town.channel("ann")
    await town.service.SearchMessages(rpc.SearchMessagesRequest(caller=town.caller("ann"), query=query[:256]), None)


HOSTILE = ["W10", *(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in (
    rb'["\u0000","x"]', rb'["x","\u0000"]', rb'"\u0000"', b'"' + b"x" * 5_000 + b'"', rb'"\ud800"', b'["infinity","x"]', b"1e999",
    rb'["2026-99-99 00:00:00.000+00","01a2b3c4-0000-0000-0000-000000000000"]', b'["x","y","z"]', b"null", b"{}", b"\xff",
))]  # fmt: skip


@pytest.mark.parametrize("cursor", HOSTILE)
async def test_a_cursor_is_valid_or_refused(town: Town, cursor: str) -> None:
    room = await town.channel("ann")
    caller = town.caller("ann", admin=True)
    asked: list[Any] = [
        town.service.ListChannels(rpc.ListChannelsRequest(caller=caller, page_token=cursor), None),
        town.service.ListUsers(rpc.ListUsersRequest(caller=caller, page_token=cursor), None),
        town.service.ListMembers(rpc.ListMembersRequest(caller=caller, channel=room, page_token=cursor), None),
        town.service.ListInvitations(rpc.ListInvitationsRequest(caller=caller, page_token=cursor), None),
        town.service.ListBlockedPeers(rpc.ListBlockedPeersRequest(caller=caller, page_token=cursor), None),
        town.service.ListReports(rpc.ListReportsRequest(caller=caller, channel=room, page_token=cursor), None),
        town.service.ListReports(rpc.ListReportsRequest(caller=caller, page_token=cursor), None),
        town.service.SearchMessages(rpc.SearchMessagesRequest(caller=caller, query="x", page_token=cursor), None),
    ]
    for each in asked:
        try:
            await each
        except InvalidArgument:
            continue


async def test_a_stranger_is_refused_without_waiting_for_the_channels_lock(town: Town) -> None:
    room = await town.channel("ann")
    await town.people("eve")
    async with town.database.transaction([town.tenant]) as connection:
        await connection.execute("SELECT FROM channels WHERE id = %s FOR UPDATE", [room])
        change = rpc.UpdateChannelRequest(caller=town.caller("eve"), channel=room, topic="x")
        with pytest.raises(Exception, match="Not found"):
            await town.service.UpdateChannel(change, None)


@pytest.mark.parametrize("name", ["a\u200bnn", "pay\u202eroll", "   ", "\u2800", "a\x07", "x\u2028y", "\ue000"])
async def test_a_line_that_lies_is_refused_at_every_door(town: Town, name: str) -> None:
    room = await town.channel("ann", "bob")
    message = (await town.post(room, "bob")).message
    ann = town.caller("ann")
    attachment = events.Attachment(id=message, name=name, type="image/png")
    asked: list[Any] = [
        town.service.CreateChannel(rpc.CreateChannelRequest(caller=ann, kind=2, name=name), None),  # type: ignore[arg-type]
        town.service.UpdateChannel(rpc.UpdateChannelRequest(caller=ann, channel=room, name=name), None),
        town.service.UpdateChannel(rpc.UpdateChannelRequest(caller=ann, channel=room, topic=name), None),
        town.service.BanUser(rpc.BanUserRequest(caller=ann, channel=room, user="bob", reason=name), None),
        town.service.SilenceMember(rpc.SilenceMemberRequest(caller=ann, channel=room, user="bob", seconds=1, reason=name), None),
        town.service.ReportMessage(rpc.ReportMessageRequest(caller=ann, channel=room, message=message, reason=name), None),
        town.service.PostMessage(
            rpc.PostMessageRequest(caller=ann, channel=room, message=events.PostMessage(text="x", attachments=[attachment])), None
        ),
        town.people(name),
    ]
    for each in asked:
        await refused(each, InvalidArgument)


async def test_the_silenced_and_the_paced_put_no_words_before_others(town: Town) -> None:
    room = await town.channel("ann", "bob")
    await town.people("cid")
    bob = town.caller("bob")
    message = MessageId((await town.post(room, "bob")).message)
    silence = rpc.SilenceMemberRequest(caller=town.caller("ann"), channel=room, user="bob", seconds=60)
    await town.service.SilenceMember(silence, None)
    for change in (
        rpc.UpdateChannelRequest(caller=bob, channel=room, name="x"),
        rpc.UpdateChannelRequest(caller=bob, channel=room, topic="x"),
    ):
        await refused(town.service.UpdateChannel(change, None), NotAllowed)
    await refused(add(town, room, "bob", "cid"), NotAllowed)
    words: list[Body] = [Post("x"), React(message, "👍"), Pin(message), Edit(message, "x")]
    for body in words:
        assert await do(town, room, "bob", body) == "NOT_ALLOWED"
    await town.service.UnsilenceMember(rpc.UnsilenceMemberRequest(caller=town.caller("ann"), channel=room, user="bob"), None)
    slow = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=room, slow_mode_seconds=600)
    await town.service.UpdateChannel(slow, None)
    for change in (
        rpc.UpdateChannelRequest(caller=bob, channel=room, name="x"),
        rpc.UpdateChannelRequest(caller=bob, channel=room, topic="x"),
    ):
        await refused(town.service.UpdateChannel(change, None), SlowMode)
    await refused(add(town, room, "bob", "cid"), SlowMode)
    for body in words[::3]:
        assert await do(town, room, "bob", body) == "SLOW_MODE"
    assert await do(town, room, "bob", React(message, "👍")) == "fresh"
    assert (await add(town, room, "ann", "cid")).members


async def test_an_edit_and_a_topic_count_as_words_in_slow_mode(town: Town) -> None:
    room = await town.channel("ann", "bob", "cid")
    message = MessageId((await town.post(room, "bob")).message)
    slow = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=room, slow_mode_seconds=600)
    await town.service.UpdateChannel(slow, None)
    async with town.database.connection([town.tenant]) as connection:
        await connection.execute("UPDATE members SET last_posted_at = NULL WHERE channel = %s", [room])
    assert [await do(town, room, "bob", Edit(message, each)) for each in "xy"] == ["fresh", "SLOW_MODE"]
    topic = rpc.UpdateChannelRequest(caller=town.caller("cid"), channel=room, topic="x")
    await town.service.UpdateChannel(topic, None)
    assert await do(town, room, "cid", Post("x")) == "SLOW_MODE"
