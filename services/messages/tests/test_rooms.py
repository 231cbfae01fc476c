"""Beyond 100 members, readers are counted, and joining and leaving make no entry."""

from __future__ import annotations

import pytest

from bus.redis_streams import RedisBus
from chassis.errors import NotAllowed, NotFound
from chassis.rooms import NAMED_MEMBERS
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Post, Read
from messages.message import Reads
from messages.publisher import Publisher
from messages.sweeper import Sweeper
from services.messages.tests.conftest import PARTITIONS, Listener, Town, refused, results

CROWD = [f"u{number:03}" for number in range(NAMED_MEMBERS + 20)]


async def _room(town: Town, size: int, history: str = "all") -> str:
    """A public channel of ann's with `size` members."""
    await town.people(*CROWD[:size])
    return await town.channel("ann", *CROWD[: size - 1], kind="public", history=history)


async def _join(town: Town, channel: str, user: str) -> rpc.JoinChannelResponse:
    await town.people(user)
    return await town.service.JoinChannel(rpc.JoinChannelRequest(caller=town.caller(user), channel=channel), None)


async def _leave(town: Town, channel: str, user: str, by: str = "") -> None:
    request = rpc.RemoveMemberRequest(caller=town.caller(by or user), channel=channel, user=user)
    await town.service.RemoveMember(request, None)


async def _roster(town: Town, channel: str) -> list[events.Event]:
    request = rpc.FetchEventsRequest(tenant=town.tenant, channel=channel, after=1 << 40, after_roster=0)
    return list((await town.service.FetchEvents(request, None)).changes)


async def _members(town: Town, channel: str) -> int:
    return (
        await town.service.GetChannel(rpc.GetChannelRequest(caller=town.caller("ann"), channel=channel), None)
    ).channel.members


async def test_the_joining_that_exceeds_100_members_makes_no_entry(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS - 1)
    await _join(town, channel, "bob")
    before = await town.log(channel)
    assert (before[-1].subject, before[-1].seq) == ("bob", NAMED_MEMBERS + 1)
    joined = (await _join(town, channel, "cid")).channel
    assert (joined.members, joined.seq, joined.read_seq) == (NAMED_MEMBERS + 1, before[-1].seq, before[-1].seq)
    assert len(await town.log(channel)) == len(before)
    (change,) = await _roster(town, channel)
    assert (change.subject, change.kind, change.roster, change.seq) == ("cid", events.EVENT_KIND_MEMBER_JOINED, 1, before[-1].seq)


async def test_the_leaving_that_ends_with_100_members_makes_no_entry_and_the_next_one_does(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS)
    await _join(town, channel, "bob")
    before = len(await town.log(channel))
    await _leave(town, channel, "bob")
    assert len(await town.log(channel)) == before
    assert [(each.subject, each.kind) for each in await _roster(town, channel)] == [
        ("bob", events.EVENT_KIND_MEMBER_JOINED),
        ("bob", events.EVENT_KIND_MEMBER_LEFT),
    ]
    await _leave(town, channel, CROWD[0])
    assert (await town.log(channel))[-1].kind == events.EVENT_KIND_MEMBER_LEFT
    assert await _members(town, channel) == NAMED_MEMBERS - 1


async def test_a_removal_from_a_large_channel_is_an_entry(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS + 1)
    await _leave(town, channel, CROWD[0], by="ann")
    last = (await town.log(channel))[-1]
    assert (last.kind, last.subject) == (events.EVENT_KIND_MEMBER_REMOVED, CROWD[0])
    assert await _members(town, channel) == NAMED_MEMBERS


async def test_a_large_channels_log_begins_with_its_creation_and_its_creator(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS + 1)
    log = await town.log(channel)
    assert [(entry.kind, entry.subject) for entry in log] == [
        (events.EVENT_KIND_CHANNEL_CREATED, ""),
        (events.EVENT_KIND_MEMBER_JOINED, "ann"),
    ]
    assert [change.roster for change in await _roster(town, channel)] == list(range(1, NAMED_MEMBERS + 1))


async def test_who_joined_without_an_entry_reads_from_the_joining_on(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS, history="joined")
    await town.post(channel, "ann", "before")
    await _join(town, channel, "bob")
    await town.post(channel, "ann", "after")
    listed = rpc.ListMessagesRequest(caller=town.caller("bob"), channel=channel)
    assert [each.text for each in (await town.service.ListMessages(listed, None)).messages] == ["after"]
    reply = await town.post(channel, "ann", "the first message that bob may see is a root for him")
    found = await results(town, town.command(channel, "bob", Post("a reply", thread=reply.message)))  # type: ignore[arg-type]
    assert found[0][0] == "fresh"


async def test_who_left_without_an_entry_reads_and_writes_nothing_more(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS + 1)
    await _leave(town, channel, CROWD[0])
    assert await results(town, town.command(channel, CROWD[0], Post("late"))) == [("NOT_A_MEMBER", 0)]
    request = rpc.AddMembersRequest(caller=town.caller(CROWD[1]), channel=channel, users=[CROWD[0]])
    await refused(town.service.AddMembers(request, None), NotAllowed)


async def test_an_entry_says_how_many_roster_changes_precede_it(town: Town, listener: Listener) -> None:
    channel = await _room(town, NAMED_MEMBERS)
    async with town.working():
        await town.send(town.bus_command(channel, "ann", "one"))
        await listener.until(lambda heard: events.EVENT_KIND_MESSAGE_POSTED in [each.kind for each in heard.events])
        await _join(town, channel, "bob")
        await town.send(town.bus_command(channel, "ann", "two"))
        await listener.until(lambda heard: [each.kind for each in heard.events].count(events.EVENT_KIND_MESSAGE_POSTED) == 2)
    one, two = (each for each in listener.events if each.kind == events.EVENT_KIND_MESSAGE_POSTED)
    (joined,) = listener.changes
    assert (one.roster, joined.roster, two.roster) == (0, 1, 1)
    assert (joined.seq, joined.members, joined.welcome.name) == (one.seq, NAMED_MEMBERS + 1, "room")


async def test_a_fetched_entry_is_never_ahead_of_the_changes_that_precede_it(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS)
    await town.post(channel, "ann")
    await _join(town, channel, "bob")
    await town.post(channel, "ann")
    request = rpc.FetchEventsRequest(tenant=town.tenant, channel=channel, after=0, after_roster=0)
    answer = await town.service.FetchEvents(request, None)
    assert answer.roster == 1
    assert max(event.roster for event in answer.events) <= answer.changes[-1].roster


async def test_changes_that_were_not_published_are_swept(own_town: Town, unused_tcp_port: int) -> None:
    town = own_town
    channel = await _room(town, NAMED_MEMBERS)
    sweeper = Sweeper(town.database, town.publisher, stale_seconds=0)
    await sweeper.delete_published()
    away = RedisBus(f"redis://127.0.0.1:{unused_tcp_port}/0")
    town.service._publisher = Publisher(away, PARTITIONS)  # noqa: SLF001 - the service's bus becomes unavailable
    await _join(town, channel, "bob")
    away.close()
    async with town.bus.follow(town.event_topics()) as feed:
        assert await sweeper.sweep() == 1
        listener = Listener(feed)
        await listener.until(lambda heard: bool(heard.changes))
    (change,) = listener.changes
    assert (change.subject, change.roster, change.welcome.kind) == ("bob", 1, "public")
    assert await sweeper.sweep() == 0


async def test_each_read_of_a_small_channel_is_a_receipt(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS)
    seq = (await town.post(channel, "ann")).seq
    await town.do(*(town.command(channel, user, Read(seq)) for user in CROWD[:2]))
    assert {each.user for each in town.stored[-1].receipts} == {CROWD[0], CROWD[1]}
    assert town.stored[-1].reads == []


async def test_the_reads_of_a_large_channel_are_one_count(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS + 1)
    seq = (await town.post(channel, "ann")).seq
    first = await _read(town, channel, seq, *CROWD[:5])
    assert (first.seq, first.author, first.seen, len(first.receipts)) == (seq, "ann", 5, 5)
    assert town.stored[-1].receipts == []
    assert (await _read(town, channel, seq, *CROWD[5:8])).seen == 8
    await town.do(*(town.command(channel, user, Read(seq)) for user in CROWD[:8]))
    assert town.stored[-1].reads == [], "a repeat moves nothing"


async def test_a_new_message_is_counted_anew_and_a_late_reader_of_the_former_does_not_count(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS + 1)
    former = (await town.post(channel, "ann")).seq
    await _read(town, channel, former, *CROWD[:3])
    newest = (await town.post(channel, CROWD[0])).seq
    assert (await _read(town, channel, former, CROWD[4])).seen == 0
    counted = await _read(town, channel, newest, "ann", CROWD[1])
    assert (counted.seq, counted.author, counted.seen) == (newest, CROWD[0], 2)


async def test_readers_before_the_channel_grew_large_are_counted(town: Town) -> None:
    channel = await _room(town, NAMED_MEMBERS)
    seq = (await town.post(channel, "ann")).seq
    await town.do(*(town.command(channel, user, Read(seq)) for user in CROWD[:2]))
    await _join(town, channel, "bob")
    assert (await _read(town, channel, seq, CROWD[2])).seen == 3


async def _read(town: Town, channel: str, seq: int, *users: str) -> Reads:
    await town.do(*(town.command(channel, user, Read(seq)) for user in users))
    (reads,) = town.stored[-1].reads
    return reads


async def test_members_are_listed_by_role_and_name_page_by_page(town: Town) -> None:
    await town.people("ann")
    channel = await town.channel("ann", *CROWD[:5])
    await _name(town, u000="Zoë", u001="bea", u002="Ada", u003="Abe")
    request = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=channel, user="u000", role=events.ROLE_MODERATOR)
    await town.service.SetMemberRole(request, None)
    listed: list[str] = []
    token = ""
    while True:
        asked = rpc.ListMembersRequest(caller=town.caller("ann"), channel=channel, page_size=2, page_token=token)
        page = await town.service.ListMembers(asked, None)
        assert page.total == 6
        listed += [member.name for member in page.members]
        token = page.next_page_token
        if not token:
            break
    assert listed == ["ann", "Zoë", "Abe", "Ada", "bea", "u004"]


@pytest.mark.parametrize(
    ("query", "found"), [("a", ["Abe", "Ada", "ann"]), ("AB", ["Abe"]), ("zo", ["Zoë"]), ("%", []), ("b%", [])]
)
async def test_members_are_found_by_the_beginning_of_their_names(town: Town, query: str, found: list[str]) -> None:
    channel = await town.channel("ann", *CROWD[:4])
    await _name(town, u000="Zoë", u001="bea", u002="Ada", u003="Abe")
    asked = rpc.ListMembersRequest(caller=town.caller("ann"), channel=channel, query=query)
    page = await town.service.ListMembers(asked, None)
    assert sorted(member.name for member in page.members) == found


async def test_members_of_another_channel_are_not_found(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    await town.people("eve")
    asked = rpc.ListMembersRequest(caller=town.caller("eve"), channel=channel, query="b")
    await refused(town.service.ListMembers(asked, None), NotFound)


async def _name(town: Town, **names: str) -> None:
    sessions = [rpc.AdmitUserRequest(caller=town.caller(user), name=name) for user, name in names.items()]
    await town.service.OpenSessions(rpc.OpenSessionsRequest(sessions=sessions), None)
