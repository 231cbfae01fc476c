"""The oldest entries of a channel have left the log: what reads and writes say then."""

from __future__ import annotations

import json

from chassis.errors import KeyReused, NotFound
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Read
from services.messages.tests.conftest import Town, refused

POSTS, ARCHIVED = 10, 7
"""The first entries are channel.created and two of member.joined; then the posts, of which four are archived."""


async def archived(town: Town) -> tuple[str, list[str]]:
    """A channel whose first entries were archived, and the ids of all its messages."""
    channel = await town.channel("ann", "bob")
    posted = [(await town.post(channel, "ann", f"{n}", key=f"k{n}")).message for n in range(POSTS)]
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute("DELETE FROM entries WHERE channel = %s AND seq <= %s", [channel, ARCHIVED])
        query = "UPDATE channels SET archived_to = %s, archived_posts = %s WHERE id = %s"
        await connection.execute(query, [ARCHIVED, ARCHIVED - 3, channel])
    return channel, posted


async def unread(town: Town, channel: str) -> int:
    found = await town.service.GetChannel(rpc.GetChannelRequest(caller=town.caller("bob"), channel=channel), None)
    return found.channel.unread


async def test_pages_of_messages_and_of_the_log_end_where_the_log_begins(town: Town) -> None:
    channel, posted = await archived(town)
    caller = town.caller("bob")
    found = await town.service.ListMessages(rpc.ListMessagesRequest(caller=caller, channel=channel, page_size=4), None)
    older = rpc.ListMessagesRequest(caller=caller, channel=channel, before=found.messages[-1].seq)
    rest = await town.service.ListMessages(older, None)
    assert [each.id for each in [*found.messages, *rest.messages]] == posted[:3:-1]
    log = await town.service.ListEvents(rpc.ListEventsRequest(caller=caller, channel=channel), None)
    assert [event.seq for event in log.events] == list(range(ARCHIVED + 1, POSTS + 4))


async def test_a_position_before_the_beginning_of_the_log_is_reset_and_a_later_one_is_resumed(town: Town) -> None:
    channel, _ = await archived(town)
    for seq, status in ((0, "RESET"), (ARCHIVED - 1, "RESET"), (ARCHIVED, "COMPLETE"), (POSTS + 3, "COMPLETE")):
        request = rpc.CatchUpRequest(caller=town.caller("bob"), limit=1_000, positions=[rpc.Position(channel=channel, seq=seq)])
        answers = [answer async for answer in town.service.CatchUp(request, None)]
        assert rpc.ResumeStatus.Name(answers[0].statuses[0].status) == f"RESUME_STATUS_{status}"
        seen = [event.seq for answer in answers for event in answer.events]
        assert seen == (list(range(seq + 1, POSTS + 4)) if status == "COMPLETE" else [])


async def test_a_session_says_where_the_log_begins(town: Town) -> None:
    channel, _ = await archived(town)
    asked = rpc.OpenSessionsRequest(sessions=[rpc.AdmitUserRequest(caller=town.caller("bob"))])
    (session,) = (await town.service.OpenSessions(asked, None)).sessions
    assert [(place[0], place[-1]) for place in json.loads(session.memberships)] == [(channel, ARCHIVED)]


async def test_unread_counts_the_messages_that_are_in_the_log(town: Town) -> None:
    channel, _ = await archived(town)
    assert await unread(town, channel) == POSTS + 3 - ARCHIVED
    await town.do(town.command(channel, "bob", Read(ARCHIVED)))
    assert await unread(town, channel) == POSTS + 3 - ARCHIVED
    await town.do(town.command(channel, "bob", Read(ARCHIVED + 2)))
    assert await unread(town, channel) == POSTS + 3 - ARCHIVED - 2


async def test_a_key_outlives_the_entry_that_it_made(town: Town) -> None:
    channel, posted = await archived(town)
    again = await town.post(channel, "ann", "0", key="k0")
    assert (again.duplicate, again.seq, again.message) == (True, 4, posted[0])
    assert again.at.seconds > 0
    await refused(town.post(channel, "ann", "something else", key="k0"), KeyReused)
    assert (await town.post(channel, "ann", "0", key="another")).seq == POSTS + 4


async def test_an_archived_message_can_be_neither_changed_nor_replied_to(town: Town) -> None:
    channel, posted = await archived(town)
    caller = town.caller("ann")
    await refused(
        town.service.EditMessage(rpc.EditMessageRequest(caller=caller, channel=channel, message=posted[0], text="x"), None),
        NotFound,
    )
    reply = events.PostMessage(text="x", thread=posted[0])
    await refused(town.service.PostMessage(rpc.PostMessageRequest(caller=caller, channel=channel, message=reply), None), NotFound)
