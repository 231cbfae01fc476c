"""Users, sessions, revocations and blocks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable

import pytest

from bus.redis_streams import RedisBus
from chassis.errors import InvalidArgument, NotAllowed, NotAuthenticated, NotFound, Unavailable
from chassis.postgres import EVERY_TENANT
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Read
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.service import MessagesService
from messages.store import channels as store
from services.messages.tests.conftest import Listener, Town, listed, memberships, refused


def _admit(town: Town, user: str, name: str = "", issued: float = 0) -> rpc.AdmitUserRequest:
    return rpc.AdmitUserRequest(caller=town.caller(user, issued=issued), name=name)


async def test_a_user_is_stored_on_the_first_call_and_renamed_by_later_tokens(town: Town) -> None:
    given = ("", "Ann", "", "Ann\x00 B.")
    names = [(await town.service.AdmitUser(_admit(town, "ann", name), None)).user.name for name in given]
    assert names == ["ann", "Ann", "Ann", "Ann B."]


async def test_admitting_a_stored_user_again_writes_nothing(town: Town) -> None:
    await town.service.AdmitUser(_admit(town, "ann", "Ann"), None)
    async with town.database.connection(EVERY_TENANT) as connection:
        query = "SELECT xmin::text, xmax::text FROM users WHERE tenant = %s"
        before = await (await connection.execute(query, [town.tenant])).fetchone()
        await town.service.OpenSessions(rpc.OpenSessionsRequest(sessions=[_admit(town, "ann", "Ann")]), None)
        assert await (await connection.execute(query, [town.tenant])).fetchone() == before


async def test_sessions_are_returned_in_request_order_with_channels_and_refusals(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    posted = await town.post(channel, "bob")
    block = rpc.BlockUserRequest(caller=town.caller("root", admin=True), user="bob", blocked=True)
    await town.service.BlockUser(block, None)
    asked = rpc.OpenSessionsRequest(sessions=[_admit(town, user) for user in ("new", "bob", "ann", "ann")])
    new, bob, ann, same = (await town.service.OpenSessions(asked, None)).sessions
    assert (new.reason, new.user.id, new.memberships, new.hello_channels) == ("", "new", b"", b"")
    assert (bob.reason, bob.memberships, bob.hello_channels) == ("NOT_AUTHENTICATED", b"", b"")
    assert ann == same
    assert memberships(ann) == {channel: (posted.seq, 0)}
    expected = {"id": channel, "kind": "group", "name": "room", "role": "owner", "seq": posted.seq, "read_seq": 2}
    assert (listed(ann), ann.more) == ([expected], False)


async def test_hello_has_the_unread_and_the_most_recently_active_channels_and_memberships_has_all(town: Town) -> None:
    channels = [await town.channel("ann", "bob") for _ in range(6)]
    for n in (4, 1, 3, 0):
        await town.post(channels[n], "bob")
    for n in (1, 3):
        await town.do(town.command(channels[n], "ann", Read(4)))
    (rows,) = await town.database.reading([town.tenant], [store.of_users_query([(town.tenant, "ann")], listed=3)])
    (opened,) = store.opened(rows)
    shown = [each["id"] for each in json.loads(opened.listed)]
    assert shown == sorted([channels[4], channels[0], channels[3]]), "two unread ones, and the one active after the others"
    assert opened.more
    assert {each for each, *_ in json.loads(opened.memberships)} == set(channels)


async def test_tokens_issued_before_a_revocation_are_void_and_later_ones_valid(town: Town, listener: Listener) -> None:
    await town.people("ann")
    before = time.time() - 1
    revoke = rpc.RevokeUserRequest(caller=town.caller("root", admin=True), user="ann")
    revocation = (await town.service.RevokeUser(revoke, None)).revocation
    await refused(town.service.AdmitUser(_admit(town, "ann", issued=before), None), NotAuthenticated)
    await town.service.AdmitUser(_admit(town, "ann", issued=time.time()), None)
    await town.service.AdmitUser(_admit(town, "ann"), None)
    await listener.until(lambda heard: bool(heard.revocations))
    assert listener.revocations == [revocation]
    assert (revocation.user, revocation.blocked, bool(revocation.id)) == ("ann", False, True)
    assert before < revocation.revoked_before <= time.time() + 1


async def test_a_blocked_user_is_refused_everywhere_until_unblocked(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann", "bob")
    root = town.caller("root", admin=True)
    await town.service.BlockUser(rpc.BlockUserRequest(caller=root, user="bob", blocked=True), None)
    bob = town.caller("bob")
    for call in (
        town.service.AdmitUser(_admit(town, "bob"), None),
        town.service.ListChannels(rpc.ListChannelsRequest(caller=bob), None),
        town.service.ListMessages(rpc.ListMessagesRequest(caller=bob, channel=channel), None),
        town.service.ListUsers(rpc.ListUsersRequest(caller=bob), None),
        town.post(channel, "bob"),
    ):
        await refused(call, NotAuthenticated)
    await town.service.BlockUser(rpc.BlockUserRequest(caller=root, user="bob", blocked=False), None)
    assert (await town.post(channel, "bob")).seq
    await listener.until(lambda heard: len(heard.revocations) == 2)
    assert [(each.blocked, each.revoked_before) for each in listener.revocations] == [(True, 0), (False, 0)]


async def test_only_administrators_revoke_and_only_existing_users(town: Town) -> None:
    await town.people("ann", "bob")
    for caller, user, error in (
        (town.caller("ann"), "bob", NotAllowed),
        (town.caller("root", admin=True), "unknown", NotFound),
        (town.caller("root", admin=True, tenant="elsewhere"), "bob", NotFound),
        (town.caller("root", admin=True), "", NotFound),
    ):
        await refused(town.service.RevokeUser(rpc.RevokeUserRequest(caller=caller, user=user), None), error)
        await refused(town.service.BlockUser(rpc.BlockUserRequest(caller=caller, user=user, blocked=True), None), error)


async def test_a_revocation_that_cannot_be_published_does_not_succeed(town: Town, unused_tcp_port: int) -> None:
    await town.people("ann")
    away = RedisBus(f"redis://127.0.0.1:{unused_tcp_port}/0")
    publisher = Publisher(away, 1)
    service = MessagesService(town.database, publisher, Revocations(publisher, town.gateways))
    revoke = rpc.RevokeUserRequest(caller=town.caller("root", admin=True), user="ann")
    await refused(service.RevokeUser(revoke, None), Unavailable)
    away.close()


def _revoked(town: Town, service: MessagesService, way: str) -> Awaitable[rpc.RevokeUserResponse | rpc.BlockUserResponse]:
    root = town.caller("root", admin=True)
    if way == "revoke":
        return service.RevokeUser(rpc.RevokeUserRequest(caller=root, user="ann"), None)
    return service.BlockUser(rpc.BlockUserRequest(caller=root, user="ann", blocked=way == "block"), None)


@pytest.mark.parametrize("way", ["revoke", "block", "unblock"])
async def test_a_revocation_is_repeated_until_every_gateway_with_a_lease_has_confirmed(
    town: Town, listener: Listener, way: str
) -> None:
    await town.people("ann")
    for gateway in ("one", "two"):
        await town.gateways.renew(gateway)
    deciding = asyncio.ensure_future(_revoked(town, town.service, way))
    await listener.until(lambda heard: bool(heard.revocations))
    await town.gateways.acknowledge("one", listener.revocations[0].id)
    await listener.until(lambda heard: len(heard.revocations) > 1)
    assert not deciding.done()
    await town.gateways.acknowledge("two", listener.revocations[0].id)
    stored = (await deciding).revocation
    assert all(revocation == stored for revocation in listener.revocations)


async def test_a_revocation_that_a_gateway_does_not_confirm_is_stored_but_does_not_succeed(town: Town) -> None:
    await town.people("ann")
    await town.gateways.renew("deaf")
    service = MessagesService(town.database, town.publisher, Revocations(town.publisher, town.gateways, confirm_seconds=0.1))
    await refused(_revoked(town, service, "block"), Unavailable)
    await refused(town.service.AdmitUser(_admit(town, "ann"), None), NotAuthenticated)


async def test_users_are_found_by_the_words_of_id_and_name_page_by_page(town: Town) -> None:
    named = {"u1": "Bea", "u2": "ann", "u3": "Anna Bell", "zoe-ann": "Zoë", "u5": "100%_x", "u6": "王小明"}
    for user, name in named.items():
        await town.service.AdmitUser(_admit(town, user, name), None)
    await town.people("eve", tenant="elsewhere")

    async def find(query: str, limit: int = 50, cursor: str = "") -> rpc.ListUsersResponse:
        request = rpc.ListUsersRequest(caller=town.caller("u1"), query=query, page_size=limit, page_token=cursor)
        return await town.service.ListUsers(request, None)

    async def ids(query: str) -> list[str]:
        return [user.id for user in (await find(query)).users]

    assert await ids("") == ["u5", "u2", "u3", "u1", "zoe-ann", "u6"]
    assert await ids("AnN") == ["u2", "u3", "zoe-ann"]
    assert await ids("anna b") == await ids("bell") == ["u3"]
    assert await ids("ZOË") == ["zoe-ann"]
    assert await ids("小明") == ["u6"]
    assert await ids("%_") == ["u5"]
    assert not await ids("nn")
    first = await find("ann", limit=2)
    assert [user.id for user in first.users] == ["u2", "u3"]
    second = await find("ann", limit=2, cursor=first.next_page_token)
    assert ([user.id for user in second.users], second.next_page_token) == (["zoe-ann"], "")
    await refused(find("", cursor="!"), InvalidArgument)

    await town.service.AdmitUser(_admit(town, "u2", "Carl"), None)
    root = town.caller("root", admin=True)
    await town.service.BlockUser(rpc.BlockUserRequest(caller=root, user="zoe-ann", blocked=True), None)
    assert (await ids("ann"), await ids("carl")) == (["u3"], ["u2"])
    await town.service.BlockUser(rpc.BlockUserRequest(caller=root, user="zoe-ann", blocked=False), None)
    assert await ids("ann") == ["u3", "zoe-ann"]


@pytest.mark.parametrize(("tenant", "user"), [("", "u"), ("A", "u"), ("t" * 65, "u"), ("t", ""), ("t", "u" * 129), ("t", "\x00")])
async def test_an_invalid_caller_is_refused(town: Town, tenant: str, user: str) -> None:
    caller = town.caller(user)
    caller.tenant = tenant
    await refused(town.service.AdmitUser(rpc.AdmitUserRequest(caller=caller), None), InvalidArgument)


async def test_who_signs_in_right_after_a_revocation_is_let_in(town: Town) -> None:
    await town.people("carl")
    root = town.caller("root", admin=True)
    revoked = await town.service.RevokeUser(rpc.RevokeUserRequest(caller=root, user="carl"), None)
    again = town.caller("carl", issued=revoked.revocation.revoked_before + 0.001)
    await town.service.AdmitUser(rpc.AdmitUserRequest(caller=again), None)
    socket = rpc.AdmitUserRequest(caller=again)
    (session,) = (await town.service.OpenSessions(rpc.OpenSessionsRequest(sessions=[socket]), None)).sessions
    assert session.user.id == "carl"


async def test_admission_alone_reads_no_channels(town: Town) -> None:
    channel = await town.channel("ann")
    asked = [rpc.AdmitUserRequest(caller=town.caller(user)) for user in ("ann", "new")]
    request = rpc.OpenSessionsRequest(sessions=asked, admission_only=True)
    sessions = (await town.service.OpenSessions(request, None)).sessions
    assert [(each.user.id, each.reason, each.memberships, each.hello_channels) for each in sessions] == [
        ("ann", "", b"", b""),
        ("new", "", b"", b""),
    ]
    request.admission_only = False
    assert list(memberships((await town.service.OpenSessions(request, None)).sessions[0])) == [channel]
