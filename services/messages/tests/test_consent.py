"""Blocks, invitations and reports: a block holds for every way to reach a user, and no user judges a report about themselves."""

from __future__ import annotations

import json

from chassis.errors import NotAllowed, NotFound
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Post
from messages.limits import Limits
from messages.message import MessageId, UserId
from messages.revocations import Revocations
from messages.service import MessagesService
from services.messages.tests.conftest import Town, refused


async def block(town: Town, user: str, blocked: str) -> None:
    await town.people(user, blocked)
    await town.service.BlockPeer(rpc.BlockPeerRequest(caller=town.caller(user), user=blocked, blocked=True), None)


async def add(town: Town, channel: str, by: str, *users: str) -> rpc.AddMembersResponse:
    await town.people(*users)
    return await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller(by), channel=channel, users=users), None)


async def leave(town: Town, channel: str, user: str) -> None:
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=town.caller(user), channel=channel, user=user), None)


async def channels(town: Town, user: str) -> list[str]:
    listed = await town.service.ListChannels(rpc.ListChannelsRequest(caller=town.caller(user)), None)
    return [each.id for each in listed.channels]


async def accept(town: Town, channel: str, user: str) -> rpc.AcceptInvitationResponse:
    return await town.service.AcceptInvitation(rpc.AcceptInvitationRequest(caller=town.caller(user), channel=channel), None)


async def decline(town: Town, channel: str, user: str) -> None:
    await town.service.DeclineInvitation(rpc.DeclineInvitationRequest(caller=town.caller(user), channel=channel), None)


async def test_a_blocked_user_puts_the_other_into_nothing(town: Town) -> None:
    await block(town, "ann", "eve")
    for kind in ("direct", "group", "public", "broadcast", "qa"):
        await refused(town.channel("eve", "ann", kind=kind), NotAllowed)
    room = await town.channel("eve", "bob")
    await refused(add(town, room, "eve", "cid", "ann"), NotAllowed)
    assert await channels(town, "ann") == []
    assert await channels(town, "cid") == []
    await add(town, room, "bob", "ann")  # bob is not blocked
    assert await channels(town, "ann") == [room]


async def test_a_blocked_users_mentions_of_the_other_are_left_out(town: Town) -> None:
    room = await town.channel("eve", "ann", "bob")
    await block(town, "ann", "eve")
    for mentions, kept in ((["ann"], []), (["ann", "bob"], ["bob"]), (["bob"], ["bob"])):
        await town.do(town.command(room, "eve", Post("x", mentions=[UserId(each) for each in mentions])))
        (entry,) = town.stored[-1].entries
        assert entry.details.mentions == kept
        assert json.loads((await town.log(room))[-1].payload)["data"]["mentions"] == kept
    first = town.command(room, "eve", Post("x", mentions=[UserId("ann")]), key="again")
    repeat = town.command(room, "eve", Post("x", mentions=[UserId("ann")]), key="again")
    assert [str(each.verdict) for each in await town.do(first, repeat)] == ["fresh", "duplicate"]


async def test_who_left_is_invited_and_not_added(town: Town) -> None:
    room = await town.channel("eve", "ann", "bob")
    await leave(town, room, "ann")
    for by in ("eve", "bob"):
        added = await add(town, room, by, "ann")
        assert (list(added.members), list(added.invited)) == ([], ["ann"])
    assert await channels(town, "ann") == []
    await refused(town.post(room, "ann"), NotFound)
    listed = await town.service.ListInvitations(rpc.ListInvitationsRequest(caller=town.caller("ann")), None)
    assert [(each.channel, each.inviter) for each in listed.invitations] == [(room, "eve")]
    assert (await accept(town, room, "ann")).channel.role == events.ROLE_MEMBER
    assert (await town.log(room))[-1].actor == "ann"
    assert await channels(town, "ann") == [room]
    await accept(town, room, "ann")
    assert not (await town.service.ListInvitations(rpc.ListInvitationsRequest(caller=town.caller("ann")), None)).invitations


async def test_an_invitation_is_declined_once_and_for_all_but_by_oneself(town: Town) -> None:
    room = await town.channel("eve", "ann")
    await leave(town, room, "ann")
    await add(town, room, "eve", "ann")
    await decline(town, room, "ann")
    await refused(add(town, room, "eve", "ann"), NotAllowed)
    assert not (await town.service.ListInvitations(rpc.ListInvitationsRequest(caller=town.caller("ann")), None)).invitations
    await accept(town, room, "ann")
    assert await channels(town, "ann") == [room]


async def test_an_invitation_is_of_one_user_and_does_not_lift_a_ban(town: Town) -> None:
    room = await town.channel("eve", "ann")
    await leave(town, room, "ann")
    await add(town, room, "eve", "ann")
    await town.people("bob")
    await refused(accept(town, room, "bob"), NotFound)
    await refused(decline(town, room, "bob"), NotFound)
    await town.service.BanUser(rpc.BanUserRequest(caller=town.caller("eve"), channel=room, user="ann"), None)
    await refused(accept(town, room, "ann"), NotAllowed)


async def test_a_member_who_was_removed_can_be_added_again(town: Town) -> None:
    room = await town.channel("eve", "ann")
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=town.caller("eve"), channel=room, user="ann"), None)
    assert [each.user for each in (await add(town, room, "eve", "ann")).members] == ["ann"]


async def test_where_the_tenant_asks_for_consent_strangers_only_invite(town: Town) -> None:
    limits = Limits(consent_tenants=frozenset({town.tenant}))
    town.service = MessagesService(town.database, town.publisher, Revocations(town.publisher, town.gateways), limits)
    room = await town.channel("eve", "ann")
    assert await channels(town, "ann") == []
    await town.channel("eve", "ann", kind="direct")
    assert list((await add(town, await town.channel("eve"), "eve", "ann")).invited) == ["ann"]  # she did not ask for that one
    await accept(town, room, "ann")
    assert not (await add(town, await town.channel("eve"), "eve", "ann")).invited


async def test_reports_about_moderators_go_to_administrators_and_nobody_judges_themselves(town: Town) -> None:
    room = await town.channel("ann", "bob", "cid")
    message = (await town.post(room, "ann", "abuse")).message
    asked = rpc.ReportMessageRequest(caller=town.caller("bob"), channel=room, message=message, reason="the owner harasses me")
    report = (await town.service.ReportMessage(asked, None)).report
    mine = rpc.ListReportsRequest(caller=town.caller("ann"), channel=room)
    assert not (await town.service.ListReports(mine, None)).reports
    resolve = rpc.ResolveReportRequest(
        caller=town.caller("ann"), channel=room, report=report, resolution=nouns.REPORT_RESOLUTION_DISMISSED
    )
    await refused(town.service.ResolveReport(resolve, None), NotFound)
    for caller in (town.caller("ann"), town.caller("bob")):
        await refused(town.service.ListReports(rpc.ListReportsRequest(caller=caller), None), NotAllowed)
    itself = town.caller("ann", admin=True)
    assert not (await town.service.ListReports(rpc.ListReportsRequest(caller=itself), None)).reports
    resolve.caller.CopyFrom(itself)
    resolve.channel = ""
    await refused(town.service.ResolveReport(resolve, None), NotFound)
    root = town.caller("root", admin=True)
    (found,) = (await town.service.ListReports(rpc.ListReportsRequest(caller=root), None)).reports
    assert (found.id, found.channel, found.sender, found.text) == (report, room, "ann", "abuse")
    assert [each.id for each in found.context] == [message]
    resolve.caller.CopyFrom(root)
    await town.service.ResolveReport(resolve, None)
    assert not (await town.service.ListReports(rpc.ListReportsRequest(caller=root), None)).reports
    audit = await town.service.ListAudit(rpc.ListAuditRequest(caller=root), None)
    assert [(each.action, each.channel, each.subject) for each in audit.records] == [("report.resolved", room, "ann")]


async def test_a_report_follows_its_author_who_becomes_a_moderator(town: Town) -> None:
    room = await town.channel("ann", "bob", "cid")
    message = MessageId((await town.post(room, "bob")).message)
    await town.service.ReportMessage(rpc.ReportMessageRequest(caller=town.caller("cid"), channel=room, message=message), None)
    mine = rpc.ListReportsRequest(caller=town.caller("ann"), channel=room)
    assert len((await town.service.ListReports(mine, None)).reports) == 1
    promote = rpc.SetMemberRoleRequest(caller=town.caller("ann"), channel=room, user="bob", role=events.ROLE_MODERATOR)
    await town.service.SetMemberRole(promote, None)
    for user in ("ann", "bob"):
        request = rpc.ListReportsRequest(caller=town.caller(user), channel=room)
        assert not (await town.service.ListReports(request, None)).reports
    root = rpc.ListReportsRequest(caller=town.caller("root", admin=True))
    assert len((await town.service.ListReports(root, None)).reports) == 1
