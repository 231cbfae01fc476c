"""A post alone in its batch has the same outcome and leaves the same rows as among others."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

import pytest

from chassis.postgres import EVERY_TENANT
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Command, Outcome, Post, Verdict
from messages.message import MessageId, UserId
from services.messages.tests.conftest import Town

NOWHERE = "0190a0a0-0000-7000-8000-000000000000"
# The rows that a situation leaves. Of ids and times, which differ between runs, only their presence is compared.
_ROWS = """
SELECT json_build_object(
  'channel', (SELECT json_build_array(head, posts) FROM channels WHERE id = %(channel)s),
  'members', (SELECT json_agg(json_build_array("user", read_seq, last_posted_at IS NULL) ORDER BY "user")
    FROM members WHERE channel = %(channel)s),
  'entries', (SELECT json_agg(json_build_array(
      e.seq, e.kind, e.actor, e.text, e.key IS NULL, e.command IS NULL, e.details - 'thread',
      m.seq, e.posts, m.tenant = e.tenant, m.sender, m.text, m.details - 'thread', m.details ? 'thread', m.at = e.at)
      ORDER BY e.seq)
    FROM entries e LEFT JOIN messages m ON m.id = e.message WHERE e.channel = %(channel)s))::text
"""


async def fresh(town: Town) -> Command:
    return town.command(await town.channel("ann", "bob"), "bob", Post("hello", mentions=[UserId("ann")]))


async def reply(town: Town) -> Command:
    room = await town.channel("ann", "bob")
    return town.command(room, "bob", Post("hello", thread=MessageId((await town.post(room, "ann")).message)))


async def reply_to_elsewhere(town: Town) -> Command:
    root = await town.post(await town.channel("ann", "bob"), "ann")
    return town.command(await town.channel("ann", "bob"), "bob", Post("hello", thread=MessageId(root.message)))


async def reply_to_hidden_history(town: Town) -> Command:
    room = await town.channel("ann", history="joined")
    root = await town.post(room, "ann")
    await town.people("bob")
    await town.service.AddMembers(rpc.AddMembersRequest(caller=town.caller("ann"), channel=room, users=["bob"]), None)
    return town.command(room, "bob", Post("hello", thread=MessageId(root.message)))


async def nowhere(town: Town) -> Command:
    return town.command(NOWHERE, "bob", Post("hello"))


async def foreigner(town: Town) -> Command:
    return town.command(await town.channel("ann"), "bob", Post("hello"))


async def not_a_member(town: Town) -> Command:
    return town.command(await town.channel("ann", kind="public"), "bob", Post("hello"))


async def banned(town: Town) -> Command:
    room = await town.channel("ann", "bob", kind="public")
    await town.service.BanUser(rpc.BanUserRequest(caller=town.caller("ann"), channel=room, user="bob"), None)
    return town.command(room, "bob", Post("hello"))


async def listener(town: Town) -> Command:
    return town.command(await town.channel("ann", "bob", kind="broadcast"), "bob", Post("hello"))


async def silenced(town: Town) -> Command:
    room = await town.channel("ann", "bob")
    request = rpc.SilenceMemberRequest(caller=town.caller("ann"), channel=room, user="bob", seconds=60, reason="loud")
    await town.service.SilenceMember(request, None)
    return town.command(room, "bob", Post("hello"))


async def blocked_peer(town: Town) -> Command:
    room = await town.channel("ann", "bob", kind="direct")
    await town.service.BlockPeer(rpc.BlockPeerRequest(caller=town.caller("ann"), user="bob", blocked=True), None)
    return town.command(room, "bob", Post("hello"))


async def too_soon(town: Town) -> Command:
    room = await town.channel("ann", "bob")
    request = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=room, slow_mode_seconds=60)
    await town.service.UpdateChannel(request, None)
    await town.post(room, "bob")
    return town.command(room, "bob", Post("hello"))


async def repeated(town: Town) -> Command:
    room = await town.channel("ann", "bob")
    await town.post(room, "bob", "hello", key="k")
    return town.command(room, "bob", Post("hello"), key="k")


async def key_reused(town: Town) -> Command:
    room = await town.channel("ann", "bob")
    await town.post(room, "bob", "something else", key="k")
    return town.command(room, "bob", Post("hello"), key="k")


async def redelivered(town: Town) -> Command:
    command = town.command(await town.channel("ann", "bob"), "bob", Post("hello"))
    await town.do(command)
    return command


async def revoked(town: Town) -> Command:
    room = await town.channel("ann", "bob")
    await town.service.BlockUser(rpc.BlockUserRequest(caller=town.caller("ann", admin=True), user="bob", blocked=True), None)
    return town.command(room, "bob", Post("hello"))


SITUATIONS: dict[Callable[[Town], Awaitable[Command]], str] = {
    fresh: "fresh",
    reply: "fresh",
    reply_to_elsewhere: "NOT_FOUND",
    reply_to_hidden_history: "NOT_FOUND",
    nowhere: "NOT_FOUND",
    foreigner: "NOT_FOUND",
    not_a_member: "NOT_A_MEMBER",
    banned: "NOT_ALLOWED",
    listener: "NOT_ALLOWED",
    silenced: "NOT_ALLOWED",
    blocked_peer: "NOT_ALLOWED",
    too_soon: "SLOW_MODE",
    repeated: "duplicate",
    key_reused: "KEY_REUSED",
    redelivered: "again",
    revoked: "NOT_AUTHENTICATED",
}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
async def test_a_post_has_the_same_result_alone_or_among_others(
    town: Town, situation: Callable[[Town], Awaitable[Command]]
) -> None:
    found = []
    for among_others in (False, True):
        town.tenant = f"t-{uuid.uuid4().hex}"
        command = await situation(town)
        others = [town.command(await town.channel("zoe"), "zoe", Post("elsewhere"))] if among_others else []
        outcome, *_ = await town.do(command, *others)
        found.append((_comparable(outcome), await _rows(town, command.channel)))
        made = any(each.verdict is Verdict.FRESH for each in town.stored[-1].outcomes)
        assert len(town.stored[-1].unpublished) == made
    alone, among = found
    assert alone[0][0] == SITUATIONS[situation]
    assert alone == among


def _comparable(outcome: Outcome) -> tuple[object, ...]:
    if outcome.error:
        return outcome.error.reason, round((outcome.error.retry_after or 0) / 10), outcome.seq, outcome.message
    assert outcome.verdict is not None
    return outcome.verdict.value, 0, outcome.seq, outcome.message is None


async def _rows(town: Town, channel: str) -> object:
    async with town.database.connection(EVERY_TENANT) as connection:
        return await (await connection.execute(_ROWS, {"channel": channel})).fetchone()
