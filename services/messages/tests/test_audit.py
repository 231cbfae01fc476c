"""The audit log is complete, and tampering with it is detected."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any, LiteralString

import psycopg
import pytest

from chassis.context import request
from chassis.errors import NotAllowed
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Delete, Post
from messages.message import MessageId, TenantId
from messages.store import audit
from services.messages.tests.conftest import Town, denied, refused
from stack.postgres import Postgres


async def records(town: Town, after: int = 0, limit: int = 0) -> list[nouns.AuditRecord]:
    request = rpc.ListAuditRequest(caller=town.caller("root", admin=True), after=after, page_size=limit)
    return list((await town.service.ListAudit(request, None)).records)


async def said(town: Town, channel: str, user: str) -> MessageId:
    (posted,) = await town.do(town.command(channel, user, Post("words")))
    assert posted.message is not None
    return posted.message


async def busy(town: Town) -> str:
    """A channel in which every recorded action was done once, by ann or by root."""
    room, ann, root = await town.channel("ann", "bob", "cid", "dan"), town.caller("ann"), town.caller("root", admin=True)
    serve = town.service
    await serve.UpdateChannel(rpc.UpdateChannelRequest(caller=ann, channel=room, slow_mode_seconds=5), None)
    await serve.UpdateChannel(rpc.UpdateChannelRequest(caller=ann, channel=room, slow_mode_seconds=0), None)
    await serve.SetMemberRole(rpc.SetMemberRoleRequest(caller=ann, channel=room, user="bob", role=events.ROLE_MODERATOR), None)
    await serve.SilenceMember(rpc.SilenceMemberRequest(caller=ann, channel=room, user="cid", seconds=60, reason="loud"), None)
    await serve.UnsilenceMember(rpc.UnsilenceMemberRequest(caller=ann, channel=room, user="cid"), None)
    message = await said(town, room, "cid")
    await town.do(town.command(room, "ann", Delete(message)))
    await serve.RemoveMember(rpc.RemoveMemberRequest(caller=ann, channel=room, user="dan"), None)
    await serve.BanUser(rpc.BanUserRequest(caller=ann, channel=room, user="cid", reason="louder", seconds=60), None)
    await serve.UnbanUser(rpc.UnbanUserRequest(caller=ann, channel=room, user="cid"), None)
    await serve.BlockUser(rpc.BlockUserRequest(caller=root, user="dan", blocked=True), None)
    await serve.BlockUser(rpc.BlockUserRequest(caller=root, user="dan"), None)
    await serve.RevokeUser(rpc.RevokeUserRequest(caller=root, user="dan"), None)
    return room


async def test_every_action_of_moderators_and_administrators_is_recorded(town: Town) -> None:
    room = await busy(town)
    found = await records(town)
    assert [(each.number, each.actor, each.action, each.subject) for each in found] == [
        (1, "ann", "channel.slow_mode_changed", ""),
        (2, "ann", "channel.slow_mode_changed", ""),
        (3, "ann", "member.role_changed", "bob"),
        (4, "ann", "member.silenced", "cid"),
        (5, "ann", "member.unsilenced", "cid"),
        (6, "ann", "message.deleted", "cid"),
        (7, "ann", "member.removed", "dan"),
        (8, "ann", "member.banned", "cid"),
        (9, "ann", "member.unbanned", "cid"),
        (10, "root", "user.blocked", "dan"),
        (11, "root", "user.unblocked", "dan"),
        (12, "root", "user.revoked", "dan"),
    ]
    assert {each.channel for each in found[:9]} == {room}
    assert json.loads(found[7].details) == {"reason": "louder", "seconds": 60}
    assert [each.number for each in await records(town, after=3, limit=2)] == [4, 5]
    assert await audit.verify_one(town.database, TenantId(town.tenant)) is None


async def test_the_product_that_acts_for_a_user_is_recorded_and_sealed(town: Town) -> None:
    with request("r-1", "orders"):
        await busy(town)
    by_orders = [json.loads(each.details) for each in await records(town)]
    assert [each.get("via") for each in by_orders] == ["orders"] * 12
    assert by_orders[7] == {"reason": "louder", "seconds": 60, "via": "orders"}
    assert by_orders[5].keys() == {"message", "seq", "via"}
    with request("r-2", "gateway"):
        await busy(town)
    assert not any("via" in each.details for each in await records(town, after=12))
    assert await audit.verify_one(town.database, TenantId(town.tenant)) is None


async def test_actions_without_effect_and_on_own_messages_are_not_recorded(town: Town) -> None:
    room = await town.channel("ann", "bob")
    ann, bob = town.caller("ann"), town.caller("bob")
    message = await said(town, room, "bob")
    await town.do(town.command(room, "bob", Delete(message)), town.command(room, "ann", Delete(message)))
    await town.service.UnbanUser(rpc.UnbanUserRequest(caller=ann, channel=room, user="bob"), None)
    await town.service.UnsilenceMember(rpc.UnsilenceMemberRequest(caller=ann, channel=room, user="bob"), None)
    await town.service.SetMemberRole(
        rpc.SetMemberRoleRequest(caller=ann, channel=room, user="bob", role=events.ROLE_MEMBER), None
    )
    await town.service.UpdateChannel(rpc.UpdateChannelRequest(caller=ann, channel=room, topic="t"), None)
    await town.service.RemoveMember(rpc.RemoveMemberRequest(caller=bob, channel=room, user="bob"), None)
    assert await records(town) == []


async def test_a_refused_action_is_not_recorded(town: Town) -> None:
    room = await town.channel("ann", "bob")
    ban = rpc.BanUserRequest(caller=town.caller("bob"), channel=room, user="ann", reason="mine now")
    await refused(town.service.BanUser(ban, None), NotAllowed)
    assert await records(town) == []


async def test_only_administrators_of_its_tenant_read_the_log(town: Town) -> None:
    await busy(town)
    await refused(town.service.ListAudit(rpc.ListAuditRequest(caller=town.caller("ann")), None), NotAllowed)
    foreign = town.caller("root", tenant="another-tenant", admin=True)
    assert not (await town.service.ListAudit(rpc.ListAuditRequest(caller=foreign), None)).records


async def test_concurrent_actions_form_one_chain(town: Town) -> None:
    rooms = [await town.channel("ann", "bob") for _ in range(8)]
    bans = [rpc.BanUserRequest(caller=town.caller("ann"), channel=room, user="bob", reason="x") for room in rooms]
    await asyncio.gather(*(town.service.BanUser(ban, None) for ban in bans))
    assert [each.number for each in await records(town)] == list(range(1, 9))
    assert await audit.verify_one(town.database, TenantId(town.tenant)) is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT INTO audit SELECT * FROM audit",
        "UPDATE audit_heads SET number = 0",
        "DELETE FROM audit_heads",
        "INSERT INTO audit_heads VALUES ('t', 1, '')",
        "ALTER TABLE audit DISABLE TRIGGER insert_only",
        "DROP TRIGGER insert_only ON audit",
        "GRANT DELETE ON audit TO CURRENT_USER; DELETE FROM audit",
        "SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
        "CREATE TABLE stolen ()",
        "CREATE TEMPORARY TABLE audit_heads ()",
        "UPDATE migrations SET digest = ''",
    ],
)
async def test_the_role_of_the_service_cannot_change_a_record(town: Town, statement: LiteralString) -> None:
    await busy(town)
    with denied():
        async with town.database.connection([town.tenant]) as connection:
            await connection.execute(statement, prepare=False)
    assert await audit.verify_one(town.database, TenantId(town.tenant)) is None


async def test_a_record_of_another_tenant_cannot_be_appended(town: Town) -> None:
    with denied():
        async with town.database.connection([town.tenant]) as connection:
            await connection.execute("SELECT audit_append('another-tenant', 'eve', 'x', NULL, '', '{}')")


Tamper = Callable[[psycopg.AsyncConnection[Any]], Awaitable[object]]


def behind(statement: LiteralString) -> Tamper:
    async def tamper(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("SET session_replication_role = replica")  # disables triggers
        await connection.execute(statement)

    return tamper


@pytest.mark.parametrize(
    ("tamper", "number", "problem"),
    [
        (behind("UPDATE audit SET actor = 'eve' WHERE number = 4"), 4, "changed"),
        (behind("UPDATE audit SET details = '{}' WHERE number = 8"), 8, "changed"),
        (behind("UPDATE audit SET at = at + interval '1 microsecond' WHERE number = 1"), 1, "changed"),
        (behind("UPDATE audit SET subject = 'cidmessage', action = 'x' WHERE number = 6"), 6, "changed"),
        (behind("DELETE FROM audit WHERE number = 1"), 1, "missing"),
        (behind("DELETE FROM audit WHERE number = 5"), 5, "missing"),
        (behind("DELETE FROM audit WHERE number = 12"), 12, "missing"),
        (behind("DELETE FROM audit"), 1, "missing"),
        (behind("UPDATE audit SET number = 25 - number WHERE number IN (12)"), 12, "missing"),
        (behind("UPDATE audit SET previous = sha256('x'), digest = sha256('y') WHERE number = 3"), 3, "does not match"),
    ],
)
async def test_tampering_is_detected_at_the_first_broken_row(
    own_town: Town, postgres_server: Postgres, tamper: Tamper, number: int, problem: str
) -> None:
    await busy(own_town)
    database = own_town.url.rpartition("/")[2]
    async with await psycopg.AsyncConnection.connect(postgres_server.url(database, "postgres"), autocommit=True) as superuser:
        await tamper(superuser)
    (broken,) = await audit.verify_all(own_town.database)
    assert (broken.tenant, broken.number) == (own_town.tenant, number)
    assert broken.problem.startswith(problem)


async def verified(url: str) -> tuple[int | None, str]:
    """Exit code and output of the command."""
    environment = {**os.environ, "HUBBUB_MESSAGES_DATABASE_URL": url}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "messages", "audit", "verify", env=environment, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        out, _ = await process.communicate()
    return process.returncode, out.decode().splitlines()[0]


async def test_the_command_exits_with_1_when_the_log_was_changed(own_town: Town, postgres_server: Postgres) -> None:
    await busy(own_town)
    assert await verified(own_town.url) == (0, "The audit log is intact.")
    database = own_town.url.rpartition("/")[2]
    async with await psycopg.AsyncConnection.connect(postgres_server.url(database, "postgres"), autocommit=True) as superuser:
        await behind("UPDATE audit SET actor = 'eve' WHERE number = 4")(superuser)
    assert await verified(own_town.url) == (1, f"{own_town.tenant}: record 4: changed")
