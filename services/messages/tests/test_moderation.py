"""Silences, blocks between users, and reports."""

from __future__ import annotations

import pytest

from chassis.errors import InvalidArgument, NotAllowed, NotFound
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Body, Delete, Edit, Outcome, Pin, Post, React
from messages.message import MessageId
from services.messages.tests.conftest import Town, refused


async def silence(town: Town, room: str, user: str, by: str = "ann", seconds: int = 60) -> None:
    request = rpc.SilenceMemberRequest(caller=town.caller(by), channel=room, user=user, seconds=seconds, reason="loud")
    await town.service.SilenceMember(request, None)


async def block(town: Town, user: str, blocked: str, *, lift: bool = False) -> None:
    request = rpc.BlockPeerRequest(caller=town.caller(user), user=blocked, blocked=not lift)
    await town.service.BlockPeer(request, None)


async def reason(town: Town, room: str, user: str, body: Body) -> str:
    (outcome,) = await town.do(town.command(room, user, body))
    return outcome.error.reason if outcome.error else ""


async def posted(town: Town, room: str, user: str) -> MessageId:
    outcome: Outcome
    (outcome,) = await town.do(town.command(room, user, Post("words")))
    assert outcome.message is not None
    return outcome.message


async def test_a_silenced_member_reads_and_deletes_but_writes_nothing(town: Town) -> None:
    room = await town.channel("ann", "bob")
    own, other = await posted(town, room, "bob"), await posted(town, room, "ann")
    await silence(town, room, "bob")
    for body in (Post("loud"), Edit(own, "louder"), React(other, "+1"), Pin(other)):
        assert await reason(town, room, "bob", body) == "NOT_ALLOWED"
    assert await reason(town, room, "bob", Delete(own)) == ""
    await refused(town.post(room, "bob"), NotAllowed)
    request = rpc.ListMessagesRequest(caller=town.caller("bob"), channel=room)
    assert (await town.service.ListMessages(request, None)).messages
    assert await reason(town, room, "ann", Post("I may")) == ""
    await town.service.UnsilenceMember(rpc.UnsilenceMemberRequest(caller=town.caller("ann"), channel=room, user="bob"), None)
    assert await reason(town, room, "bob", Post("again")) == ""


async def test_a_key_used_before_the_silence_still_returns_its_message(town: Town) -> None:
    room = await town.channel("ann", "bob")
    first = await town.post(room, "bob", "hello", "k1")
    await silence(town, room, "bob")
    again = await town.post(room, "bob", "hello", "k1")
    assert (again.duplicate, again.seq) == (True, first.seq)


async def test_leaving_and_rejoining_does_not_end_a_silence(town: Town) -> None:
    room, bob = await town.channel("ann", "bob", kind="public"), town.caller("bob")
    await silence(town, room, "bob")
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=bob, channel=room, user="bob"), None)
    await town.service.JoinChannel(rpc.JoinChannelRequest(caller=bob, channel=room), None)
    assert await reason(town, room, "bob", Post("back")) == "NOT_ALLOWED"


async def test_a_silence_expires(town: Town) -> None:
    room = await town.channel("ann", "bob")
    await silence(town, room, "bob")
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute(
            "UPDATE members SET silenced_until = now() WHERE channel = %s AND silenced_until IS NOT NULL", [room]
        )
    assert await reason(town, room, "bob", Post("at last")) == ""


async def test_only_moderators_silence_members_who_are_not_above_them(town: Town) -> None:
    room = await town.channel("ann", "bob", "mod")
    request = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=room, user="mod", role=events.ROLE_MODERATOR)
    await town.service.SetMemberRole(request, None)
    await silence(town, room, "bob", by="mod")
    await refused(silence(town, room, "ann", by="mod"), NotAllowed)
    await refused(silence(town, room, "mod", by="bob"), NotAllowed)
    await refused(silence(town, room, "unknown", by="mod"), NotFound)
    await silence(town, room, "mod", by="ann")
    own = rpc.UnsilenceMemberRequest(caller=town.caller("mod"), channel=room, user="mod")
    await refused(town.service.UnsilenceMember(own, None), NotAllowed)
    direct = await town.channel("ann", "bob", kind="direct")
    await refused(silence(town, direct, "bob"), NotAllowed)


@pytest.mark.parametrize("seconds", [0, 367 * 24 * 3600])
async def test_a_silence_has_an_end(town: Town, seconds: int) -> None:
    room = await town.channel("ann", "bob")
    await refused(silence(town, room, "bob", seconds=seconds), InvalidArgument)


async def test_a_block_stops_direct_messages_and_no_others(town: Town) -> None:
    room = await town.channel("ann", "bob", kind="direct")
    own, other = await posted(town, room, "bob"), await posted(town, room, "ann")
    await block(town, "ann", "bob")
    for body in (Post("hear me"), Edit(own, "hear me"), React(other, "+1"), Pin(other)):
        assert await reason(town, room, "bob", body) == "NOT_ALLOWED"
    assert await reason(town, room, "ann", Post("I may")) == ""
    shared = await town.channel("ann", "bob")
    assert await reason(town, shared, "bob", Post("in company")) == ""
    await block(town, "ann", "bob", lift=True)
    assert await reason(town, room, "bob", Post("friends again")) == ""


async def test_a_blocked_user_creates_no_direct_channel_but_finds_the_existing_one(town: Town) -> None:
    old = await town.channel("ann", "bob", kind="direct")
    await town.people("cid")
    for user in ("bob", "cid"):
        await block(town, "ann", user)
    assert await town.channel("bob", "ann", kind="direct") == old
    await refused(town.channel("cid", "ann", kind="direct"), NotAllowed)
    await block(town, "ann", "cid", lift=True)
    assert await town.channel("cid", "ann", kind="direct")


async def test_only_the_caller_sees_their_blocks(town: Town) -> None:
    await town.people("ann", "bob", "cid", "dan")
    for user in ("cid", "bob", "bob"):
        await block(town, "ann", user)

    async def blocked(user: str, **page: object) -> rpc.ListBlockedPeersResponse:
        request = rpc.ListBlockedPeersRequest(caller=town.caller(user), **page)  # type: ignore[arg-type]
        return await town.service.ListBlockedPeers(request, None)

    assert [each.id for each in (await blocked("ann")).users] == ["bob", "cid"]
    first = await blocked("ann", page_size=1)
    assert [each.id for each in first.users] == ["bob"]
    assert [each.id for each in (await blocked("ann", page_size=1, page_token=first.next_page_token)).users] == ["cid"]
    assert not (await blocked("bob")).users
    await refused(block(town, "ann", "ann"), NotAllowed)
    await refused(block(town, "ann", "unknown"), NotFound)


async def report(town: Town, room: str, user: str, message: str) -> rpc.ReportMessageResponse:
    request = rpc.ReportMessageRequest(caller=town.caller(user), channel=room, message=message, reason="rude")
    return await town.service.ReportMessage(request, None)


async def queue(town: Town, room: str, user: str = "ann", **page: object) -> rpc.ListReportsResponse:
    request = rpc.ListReportsRequest(caller=town.caller(user), channel=room, **page)  # type: ignore[arg-type]
    return await town.service.ListReports(request, None)


async def resolve(
    town: Town,
    room: str,
    found: str,
    user: str = "ann",
    resolution: nouns.ReportResolution.ValueType = nouns.REPORT_RESOLUTION_ACTED,
) -> None:
    request = rpc.ResolveReportRequest(caller=town.caller(user), channel=room, report=found, resolution=resolution)
    await town.service.ResolveReport(request, None)


async def test_a_report_shows_the_reported_text_and_the_current_messages_around_it(town: Town) -> None:
    room = await town.channel("ann", "bob", "cid")
    said = [await posted(town, room, "bob") for _ in range(9)]
    made = await report(town, room, "cid", said[4])
    assert made.created
    assert await reason(town, room, "bob", Delete(said[4])) == ""
    (shown,) = (await queue(town, room)).reports
    assert (shown.id, shown.message, shown.sender) == (made.report, said[4], "bob")
    assert (shown.text, shown.reporter, shown.reason) == ("words", "cid", "rude")
    assert [each.id for each in shown.context] == said[1:8]
    assert shown.context[3].deleted
    again = await report(town, room, "ann", said[5]), await report(town, room, "ann", said[5])
    assert [each.created for each in again] == [True, False]
    assert again[0].report == again[1].report
    first = await queue(town, room, page_size=1)
    assert [each.id for each in first.reports] == [made.report]
    assert [each.id for each in (await queue(town, room, page_size=1, page_token=first.next_page_token)).reports] == [
        again[0].report
    ]


async def test_a_resolved_report_leaves_the_list_loses_its_text_and_is_recorded(town: Town) -> None:
    room = await town.channel("ann", "bob")
    made = await report(town, room, "bob", await posted(town, room, "ann"))
    await resolve(town, room, made.report)
    await resolve(town, room, made.report, resolution=nouns.REPORT_RESOLUTION_DISMISSED)
    assert not (await queue(town, room)).reports
    async with town.database.connection([town.tenant]) as connection:
        row = await (await connection.execute("SELECT text, resolution FROM reports")).fetchone()
    assert row == (None, "acted")
    audit = await town.service.ListAudit(rpc.ListAuditRequest(caller=town.caller("root", admin=True)), None)
    assert [(each.action, each.subject) for each in audit.records] == [("report.resolved", "ann")]


async def test_members_report_what_they_see_and_moderators_see_reports(town: Town) -> None:
    room = await town.channel("ann", "bob", "cid", history="joined")
    message = await posted(town, room, "bob")
    await town.people("eve")
    await refused(report(town, room, "eve", message), NotFound)
    request = rpc.AddMembersRequest(caller=town.caller("ann"), channel=room, users=["eve"])
    await town.service.AddMembers(request, None)
    await refused(report(town, room, "eve", message), NotFound)  # posted before eve joined
    await refused(report(town, room, "bob", room), NotFound)
    made = await report(town, room, "cid", message)
    await refused(queue(town, room, "bob"), NotAllowed)
    await refused(resolve(town, room, made.report, "bob"), NotAllowed)
    for wrong in (nouns.ReportResolution.ValueType(99), nouns.REPORT_RESOLUTION_UNSPECIFIED):
        await refused(resolve(town, room, made.report, resolution=wrong), InvalidArgument)
    elsewhere = await town.channel("ann", "bob")
    await refused(resolve(town, elsewhere, made.report), NotFound)
    await refused(report(town, elsewhere, "bob", message), NotFound)
    promote = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=room, user="eve", role=events.ROLE_MODERATOR)
    await town.service.SetMemberRole(promote, None)
    assert not (await queue(town, room, "eve")).reports
    await refused(resolve(town, room, made.report, "eve"), NotFound)
    direct = await town.channel("ann", "bob", kind="direct")
    await refused(report(town, direct, "ann", await posted(town, direct, "bob")), NotAllowed)
    gone = await posted(town, room, "bob")
    assert await reason(town, room, "bob", Delete(gone)) == ""
    await refused(report(town, room, "cid", gone), NotFound)
