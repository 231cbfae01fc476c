"""Browser sessions, and revocations of users whose issuer's clock is fast."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

import pytest

from chassis.errors import NotAuthenticated, NotFound
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.store.sessions import MOST
from services.messages.tests.conftest import Listener, Town, refused


async def begin(
    town: Town, user: str, *, session: str = "", idle: int = 600, longest: int = 3_600, tenant: str = ""
) -> rpc.BeginBrowserSessionResponse:
    caller = town.caller(user, tenant=tenant)
    caller.session = session
    asked = rpc.BeginBrowserSessionRequest(
        caller=caller, name=user.title(), user_agent="Firefox", idle_seconds=idle, longest_seconds=longest
    )
    return await town.service.BeginBrowserSession(asked, None)


async def signed_in(town: Town, user: str, *, idle: int = 600, longest: int = 3_600) -> nouns.Caller:
    """A caller with a new session."""
    begun = await begin(town, user, idle=idle, longest=longest)
    caller = town.caller(user, issued=begun.issued_at)
    caller.session = begun.session.id
    return caller


async def admit(town: Town, caller: nouns.Caller) -> rpc.AdmitUserResponse:
    return await town.service.AdmitUser(rpc.AdmitUserRequest(caller=caller), None)


async def end(town: Town, caller: nouns.Caller, session: str = "") -> Sequence[str]:
    asked = rpc.EndBrowserSessionsRequest(caller=caller, session=session)
    return list((await town.service.EndBrowserSessions(asked, None)).sessions)


async def listed(town: Town, caller: nouns.Caller) -> Sequence[str]:
    answer = await town.service.ListBrowserSessions(rpc.ListBrowserSessionsRequest(caller=caller), None)
    return [each.id for each in answer.sessions]


async def age(town: Town, session: str, seconds: int) -> None:
    """Move the last use of a session into the past."""
    async with town.database.connection([town.tenant]) as connection:
        query = "UPDATE browser_sessions SET seen_at = seen_at - make_interval(secs => %s) WHERE id = %s"
        await connection.execute(query, [seconds, session])


async def test_every_call_refuses_a_session_that_has_ended_and_its_end_reaches_the_gateways(
    town: Town, listener: Listener
) -> None:
    ann = await signed_in(town, "ann")
    assert (await admit(town, ann)).user.name == "Ann"
    assert await end(town, ann, ann.session) == [ann.session]
    await refused(admit(town, ann), NotAuthenticated)
    await refused(town.service.ListChannels(rpc.ListChannelsRequest(caller=ann), None), NotAuthenticated)
    asked = rpc.OpenSessionsRequest(sessions=[rpc.AdmitUserRequest(caller=each) for each in (ann, town.caller("ann"))])
    opened = await town.service.OpenSessions(asked, None)
    assert [each.reason for each in opened.sessions] == ["NOT_AUTHENTICATED", ""]
    await listener.until(lambda heard: bool(heard.revocations))
    (revocation,) = listener.revocations
    assert (revocation.user, revocation.blocked, revocation.revoked_before, list(revocation.sessions)) == (
        "ann",
        False,
        0,
        [ann.session],
    )


async def test_signing_out_can_be_repeated_until_it_is_confirmed(town: Town) -> None:
    ann = await signed_in(town, "ann")
    for _ in range(2):
        assert await end(town, ann, ann.session) == [ann.session]


@pytest.mark.parametrize("of", ["no user", "another user", "another tenant"])
async def test_a_session_counts_for_its_own_user_only(town: Town, of: str) -> None:
    ann = await signed_in(town, "ann")
    bob = town.caller("bob")
    bob.session = {
        "no user": str(uuid.uuid4()),
        "another user": ann.session,
        "another tenant": (await begin(town, "bob", tenant=f"{town.tenant}-other")).session.id,
    }[of]
    await refused(admit(town, bob), NotAuthenticated)
    await refused(end(town, town.caller("bob"), ann.session), NotFound)
    await admit(town, ann)


async def test_a_user_lists_and_ends_the_other_sessions(town: Town) -> None:
    here, there, elsewhere = [await signed_in(town, "ann") for _ in range(3)]
    bob = await signed_in(town, "bob")
    assert set(await listed(town, here)) == {here.session, there.session, elsewhere.session}
    assert await end(town, here, there.session) == [there.session]
    assert set(await end(town, here)) == {there.session, elsewhere.session}
    assert await listed(town, here) == [here.session]
    for caller in (there, elsewhere):
        await refused(admit(town, caller), NotAuthenticated)
    await admit(town, bob)


async def test_a_session_ends_without_use_and_lives_on_by_use_within_its_longest_life(town: Town) -> None:
    ann = await signed_in(town, "ann", idle=600, longest=1_000)
    first = (await admit(town, ann)).session_ends_at
    await age(town, ann.session, 500)
    assert (await admit(town, ann)).session_ends_at >= first, "the use must put off the end"
    await age(town, ann.session, 500)
    await admit(town, ann)
    await age(town, ann.session, 601)
    await refused(admit(town, ann), NotAuthenticated)
    short = await signed_in(town, "bob", idle=600, longest=1)
    assert (await admit(town, short)).session_ends_at <= time.time() + 1


async def test_signing_in_again_in_the_same_browser_keeps_the_session_unless_it_has_ended(town: Town) -> None:
    ann = await signed_in(town, "ann")
    assert (await begin(town, "ann", session=ann.session)).session.id == ann.session
    assert (await begin(town, "bob", session=ann.session)).session.id != ann.session
    await end(town, ann, ann.session)
    assert (await begin(town, "ann", session=ann.session)).session.id != ann.session


async def test_a_user_has_a_bounded_number_of_sessions_and_the_least_used_one_gives_way(town: Town, listener: Listener) -> None:
    first, *_ = [await signed_in(town, "ann") for _ in range(MOST)]
    await age(town, first.session, 10)
    newest = await signed_in(town, "ann")
    await refused(admit(town, first), NotAuthenticated)
    assert len(await listed(town, newest)) == MOST
    await listener.until(lambda heard: bool(heard.revocations))
    assert list(listener.revocations[0].sessions) == [first.session]


@pytest.mark.parametrize("fast", [False, True])
async def test_a_revocation_ends_sessions_and_admits_a_user_who_signs_in_right_after_it(town: Town, fast: bool) -> None:
    if fast:
        await admit(town, town.caller("ann", issued=time.time() + 8))
    ann = await signed_in(town, "ann")
    await admit(town, ann)
    revoke = rpc.RevokeUserRequest(caller=town.caller("root", admin=True), user="ann")
    revocation = (await town.service.RevokeUser(revoke, None)).revocation
    assert ann.token_issued_at < revocation.revoked_before, "gateways close the sockets by this"
    await refused(admit(town, ann), NotAuthenticated)
    again = await signed_in(town, "ann")
    await admit(town, again)
    assert again.token_issued_at >= revocation.revoked_before
    assert await listed(town, again) == [again.session]
    await town.service.RevokeUser(revoke, None)
    await refused(admit(town, again), NotAuthenticated)


async def test_a_token_from_the_future_does_not_survive_a_revocation_whether_it_was_used_before_or_not(town: Town) -> None:
    for user, used in (("ann", True), ("bob", False)):
        await town.people(user)
        ahead = town.caller(user, issued=time.time() + 8)
        if used:
            await admit(town, ahead)
        await town.service.RevokeUser(rpc.RevokeUserRequest(caller=town.caller("root", admin=True), user=user), None)
        for _ in range(2):
            await refused(admit(town, ahead), NotAuthenticated)
        later = town.caller(user, issued=ahead.token_issued_at + 1)
        await refused(admit(town, later), NotAuthenticated)  # it may have been issued before, too


async def test_a_fresh_token_of_an_issuer_with_a_right_clock_is_good_right_after_a_revocation(town: Town) -> None:
    await town.people("ann")
    await town.service.RevokeUser(rpc.RevokeUserRequest(caller=town.caller("root", admin=True), user="ann"), None)
    await admit(town, town.caller("ann", issued=time.time()))
