"""Creating, finding and changing channels; members; visibility."""

from __future__ import annotations

import asyncio
import json

import pytest

from chassis.errors import HubbubError, InvalidArgument, NotAllowed, NotAMember, NotFound
from chassis.proto_enums import from_word
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from services.messages.tests.conftest import Town, refused


def _create(town: Town, user: str, kind: str, *members: str, name: str = "") -> rpc.CreateChannelRequest:
    return rpc.CreateChannelRequest(caller=town.caller(user), kind=from_word(nouns.ChannelKind, kind), name=name, members=members)


async def test_a_new_channels_log_begins_with_its_creation_and_its_members(town: Town) -> None:
    channel = await town.channel("ann", "bob", "cat")
    log = await town.log(channel)
    assert [(event.seq, event.kind, event.actor, event.subject, event.role) for event in log] == [
        (1, events.EVENT_KIND_CHANNEL_CREATED, "ann", "", events.ROLE_UNSPECIFIED),
        (2, events.EVENT_KIND_MEMBER_JOINED, "ann", "ann", events.ROLE_OWNER),
        (3, events.EVENT_KIND_MEMBER_JOINED, "ann", "bob", events.ROLE_MEMBER),
        (4, events.EVENT_KIND_MEMBER_JOINED, "ann", "cat", events.ROLE_MEMBER),
    ]
    assert json.loads(log[0].payload)["data"] == {"name": "room", "topic": "", "slow_mode_seconds": 0}
    assert json.loads(log[2].payload)["data"] == {"user": "bob", "role": "member"}


async def test_two_users_who_create_their_direct_channel_concurrently_get_one(town: Town) -> None:
    await town.people("ann", "bob")
    calls = [town.service.CreateChannel(_create(town, *pair), None) for pair in [("ann", "direct", "bob")] * 5]
    calls += [town.service.CreateChannel(_create(town, "bob", "direct", "ann"), None) for _ in range(5)]
    answers = await asyncio.gather(*calls)
    assert len({answer.channel.id for answer in answers}) == 1
    assert [answer.created for answer in answers].count(True) == 1
    assert len(await town.log(answers[0].channel.id)) == 3
    peers = {answer.channel.peer.id for answer in answers}
    assert peers == {"ann", "bob"}
    assert {answer.channel.role for answer in answers} == {events.ROLE_MEMBER}


async def test_a_direct_channel_has_exactly_one_other_existing_member(town: Town) -> None:
    await town.people("ann", "bob", "cat")
    create = town.service.CreateChannel
    await refused(create(_create(town, "ann", "direct"), None), InvalidArgument)
    await refused(create(_create(town, "ann", "direct", "ann"), None), InvalidArgument)
    await refused(create(_create(town, "ann", "direct", "bob", "cat"), None), InvalidArgument)
    await refused(create(_create(town, "ann", "direct", "bob", name="x"), None), InvalidArgument)
    await refused(create(_create(town, "ann", "direct", "unknown"), None), NotFound)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (rpc.CreateChannelRequest(kind=nouns.ChannelKind.ValueType(99)), InvalidArgument),
        (rpc.CreateChannelRequest(kind=nouns.CHANNEL_KIND_UNSPECIFIED), InvalidArgument),
        (rpc.CreateChannelRequest(kind=nouns.CHANNEL_KIND_GROUP, history=nouns.History.ValueType(99)), InvalidArgument),
        (rpc.CreateChannelRequest(kind=nouns.CHANNEL_KIND_GROUP, name="x" * 129), InvalidArgument),
        (rpc.CreateChannelRequest(kind=nouns.CHANNEL_KIND_GROUP, name="a\nb"), InvalidArgument),
        (rpc.CreateChannelRequest(kind=nouns.CHANNEL_KIND_GROUP, members=["unknown"]), NotFound),
        (rpc.CreateChannelRequest(kind=nouns.CHANNEL_KIND_GROUP, members=[""]), InvalidArgument),
        (rpc.CreateChannelRequest(kind=nouns.CHANNEL_KIND_GROUP, members=[f"{n}" for n in range(201)]), InvalidArgument),
    ],
)
async def test_invalid_channels_are_refused(town: Town, request_: rpc.CreateChannelRequest, error: type[HubbubError]) -> None:
    request_.caller.CopyFrom(town.caller("ann"))
    await refused(town.service.CreateChannel(request_, None), error)


async def test_unknown_foreign_and_invisible_channels_are_refused_alike(town: Town) -> None:
    hidden = await town.channel("ann", "bob")
    foreign = town.caller("ann", tenant="elsewhere")
    outsider = town.caller("cat")
    for caller, channel in (
        (outsider, hidden),
        (foreign, hidden),
        (outsider, "0190a0a0-0000-7000-8000-000000000000"),
        (outsider, "no-id"),
        (outsider, hidden.upper()),
        (outsider, ""),
    ):
        answers = [
            await refused(call, NotFound)
            for call in (
                town.service.GetChannel(rpc.GetChannelRequest(caller=caller, channel=channel), None),
                town.service.UpdateChannel(rpc.UpdateChannelRequest(caller=caller, channel=channel), None),
                town.service.ListMembers(rpc.ListMembersRequest(caller=caller, channel=channel), None),
                town.service.JoinChannel(rpc.JoinChannelRequest(caller=caller, channel=channel), None),
                town.service.AddMembers(rpc.AddMembersRequest(caller=caller, channel=channel, users=["cat"]), None),
                town.service.MuteChannel(rpc.MuteChannelRequest(caller=caller, channel=channel), None),
                town.service.ListMessages(rpc.ListMessagesRequest(caller=caller, channel=channel), None),
                town.service.ListEvents(rpc.ListEventsRequest(caller=caller, channel=channel), None),
                town.service.BanUser(rpc.BanUserRequest(caller=caller, channel=channel, user="bob"), None),
            )
        ]
        post = rpc.PostMessageRequest(caller=caller, channel=channel, message=events.PostMessage(text="x"))
        answers.append(await refused(town.service.PostMessage(post, None), NotFound))
        assert {answer.detail for answer in answers} == {NotFound.title}


async def test_a_public_channel_shows_its_details_to_the_tenant_and_its_messages_to_members(town: Town) -> None:
    channel = await town.channel("ann", kind="public")
    await town.post(channel, "ann", "for members")
    cat = town.caller("cat")
    seen = (await town.service.GetChannel(rpc.GetChannelRequest(caller=cat, channel=channel), None)).channel
    assert (seen.name, seen.role, seen.unread) == ("room", events.ROLE_UNSPECIFIED, 0)
    assert not seen.HasField("last_message")
    await refused(town.service.ListMessages(rpc.ListMessagesRequest(caller=cat, channel=channel), None), NotAMember)
    await refused(town.service.ListEvents(rpc.ListEventsRequest(caller=cat, channel=channel), None), NotAMember)
    await refused(town.post(channel, "cat"), NotAMember)
    foreign = rpc.GetChannelRequest(caller=town.caller("cat", tenant="elsewhere"), channel=channel)
    await refused(town.service.GetChannel(foreign, None), NotFound)


async def test_only_public_channels_can_be_joined_and_joining_again_has_no_effect(town: Town) -> None:
    public, group = await town.channel("ann", kind="public"), await town.channel("ann", "bob")
    cat = town.caller("cat")
    join = rpc.JoinChannelRequest(caller=cat, channel=public)
    joined = (await town.service.JoinChannel(join, None)).channel
    assert (joined.role, joined.seq, joined.read_seq, joined.unread) == (events.ROLE_MEMBER, 3, 3, 0)
    assert (await town.service.JoinChannel(join, None)).channel.seq == 3
    await refused(town.service.JoinChannel(rpc.JoinChannelRequest(caller=cat, channel=group), None), NotFound)
    bob = rpc.JoinChannelRequest(caller=town.caller("bob"), channel=group)
    assert (await town.service.JoinChannel(bob, None)).channel.role == events.ROLE_MEMBER


async def test_joinable_channels_are_public_not_joined_and_without_a_ban(town: Town) -> None:
    mine = await town.channel("cat", kind="public")
    free, forbidden = await town.channel("ann", kind="public"), await town.channel("ann", kind="public")
    await town.channel("ann", "bob")
    await town.service.BanUser(rpc.BanUserRequest(caller=town.caller("ann"), channel=forbidden, user="cat"), None)
    listed = await town.service.ListChannels(rpc.ListChannelsRequest(caller=town.caller("cat"), joinable=True), None)
    assert [channel.id for channel in listed.channels] == [free]
    own = await town.service.ListChannels(rpc.ListChannelsRequest(caller=town.caller("cat")), None)
    assert [channel.id for channel in own.channels] == [mine]


async def test_channels_are_listed_most_recently_active_first_with_unread_counts(town: Town) -> None:
    quiet, busy = await town.channel("ann", "bob"), await town.channel("ann", "bob")
    await town.post(busy, "ann", "one")
    newest = await town.post(quiet, "ann", "two")
    listed = (await town.service.ListChannels(rpc.ListChannelsRequest(caller=town.caller("bob")), None)).channels
    assert [channel.id for channel in listed] == [quiet, busy]
    assert (listed[0].last_message.id, listed[0].last_message.text, listed[0].unread) == (newest.message, "two", 1)


async def test_an_update_logs_all_three_and_only_when_something_changes(town: Town) -> None:
    channel = await town.channel("ann")
    update = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=channel, topic="tea")
    changed = (await town.service.UpdateChannel(update, None)).channel
    assert (changed.name, changed.topic) == ("room", "tea")
    await town.service.UpdateChannel(update, None)
    log = await town.log(channel, after=2)
    assert [json.loads(event.payload)["data"] for event in log] == [{"name": "room", "topic": "tea", "slow_mode_seconds": 0}]
    fast = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=channel, slow_mode_seconds=21_601)
    await refused(town.service.UpdateChannel(fast, None), InvalidArgument)


async def test_users_are_added_all_or_none_and_once(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    await town.people("cat", "dan")
    ann = town.caller("ann")
    unknown = rpc.AddMembersRequest(caller=ann, channel=channel, users=["cat", "unknown"])
    await refused(town.service.AddMembers(unknown, None), NotFound)
    add = rpc.AddMembersRequest(caller=ann, channel=channel, users=["bob", "cat", "cat", "dan"])
    added = (await town.service.AddMembers(add, None)).members
    assert [(member.user, member.role) for member in added] == [("cat", events.ROLE_MEMBER), ("dan", events.ROLE_MEMBER)]
    assert not (await town.service.AddMembers(add, None)).members
    members = rpc.ListMembersRequest(caller=ann, channel=channel, page_size=3)
    first = await town.service.ListMembers(members, None)
    assert [member.user for member in first.members] == ["ann", "bob", "cat"]
    members.page_token = first.next_page_token
    second = await town.service.ListMembers(members, None)
    assert ([member.user for member in second.members], second.next_page_token) == (["dan"], "")


async def test_a_user_of_another_tenant_does_not_exist(town: Town) -> None:
    channel = await town.channel("ann")
    await town.people("eve", tenant="elsewhere")
    add = rpc.AddMembersRequest(caller=town.caller("ann"), channel=channel, users=["eve"])
    await refused(town.service.AddMembers(add, None), NotFound)


async def test_the_last_owner_may_leave_and_the_channel_goes_on(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    leave = rpc.RemoveMemberRequest(caller=town.caller("ann"), channel=channel, user="ann")
    await town.service.RemoveMember(leave, None)
    left = (await town.log(channel))[-1]
    assert (left.kind, left.actor, left.subject, left.role) == (
        events.EVENT_KIND_MEMBER_LEFT,
        "ann",
        "ann",
        events.ROLE_UNSPECIFIED,
    )
    assert json.loads(left.payload)["data"] == {"user": "ann", "role": None}
    assert (await town.post(channel, "bob")).seq == left.seq + 1


async def test_role_changes_are_logged_once(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    change = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=channel, user="bob", role=events.ROLE_MODERATOR)
    for _ in range(2):
        assert (await town.service.SetMemberRole(change, None)).member.role == events.ROLE_MODERATOR
    (event,) = await town.log(channel, after=3)
    assert (event.kind, event.subject, event.role) == (events.EVENT_KIND_MEMBER_ROLE_CHANGED, "bob", events.ROLE_MODERATOR)
    for wrong, error in ((events.Role.ValueType(99), InvalidArgument), (events.ROLE_UNSPECIFIED, InvalidArgument)):
        change.role = wrong
        await refused(town.service.SetMemberRole(change, None), error)
    absent = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=channel, user="unknown", role=events.ROLE_MEMBER)
    await refused(town.service.SetMemberRole(absent, None), NotFound)


async def test_muting_concerns_only_the_caller_and_makes_no_entry(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    mute = rpc.MuteChannelRequest(caller=town.caller("bob"), channel=channel, muted=True)
    assert (await town.service.MuteChannel(mute, None)).channel.muted
    seen = await town.service.GetChannel(rpc.GetChannelRequest(caller=town.caller("ann"), channel=channel), None)
    assert not seen.channel.muted
    assert len(await town.log(channel)) == 3


async def test_banning_oneself_is_refused(town: Town) -> None:
    channel = await town.channel("ann")
    ban = rpc.BanUserRequest(caller=town.caller("ann"), channel=channel, user="ann")
    await refused(town.service.BanUser(ban, None), NotAllowed)


async def test_the_channel_list_can_be_narrowed_to_a_part_of_the_name(town: Town) -> None:
    await town.people("ann", "bert")
    create = rpc.CreateChannelRequest(caller=town.caller("ann"), kind=nouns.CHANNEL_KIND_GROUP)
    for name in ("Garden 100%", "Gardeners", "Kitchen"):
        create.name = name
        await town.service.CreateChannel(create, None)
    direct = await town.channel("ann", "bert", kind="direct")

    async def found(query: str) -> list[str]:
        request = rpc.ListChannelsRequest(caller=town.caller("ann"), query=query)
        return [channel.name or channel.id for channel in (await town.service.ListChannels(request, None)).channels]

    assert await found("gARDen") == ["Gardeners", "Garden 100%"]
    assert await found("0%") == ["Garden 100%"]
    assert await found("ber") == [direct]
    assert await found("ann") == []
    assert len(await found("")) == 4
