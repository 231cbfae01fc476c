"""Erasing a user leaves no trace of their id, and every number and seal as it was."""

from __future__ import annotations

import json
import uuid

import psycopg
import pytest

from chassis.errors import NotAllowed, NotAuthenticated, NotFound, Unavailable
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Delete, Edit, Pin, Post, React
from messages.message import Attachment, ChannelId, MessageId, TenantId, UserId
from messages.store import audit, erasure, log
from services.messages.tests.conftest import Town, refused
from stack.postgres import Postgres

_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
"""


async def request(town: Town, user: str) -> None:
    await town.people("root")
    await town.service.EraseUser(rpc.EraseUserRequest(caller=town.caller("root", admin=True), user=user), None)


async def erase(town: Town, user: str) -> str:
    """Erase a user; returns their pseudonym."""
    await request(town, user)
    (wanted,) = await erasure.waiting(town.database)
    await erasure.erase(town.database, wanted, _nothing)
    return wanted.pseudonym


async def _nothing() -> None:
    pass


async def places(town: Town, server: Postgres, user: str) -> set[str]:
    """The columns of all tables in which the id occurs, read by a role that no row security binds."""
    found = set()
    url = server.url(town.url.rpartition("/")[2], "postgres")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for table, column in await (await connection.execute(_COLUMNS)).fetchall():
            query = f'SELECT EXISTS (SELECT FROM "{table}" WHERE "{column}"::text LIKE %s)'
            if await (await connection.execute(query.encode(), [f"%{user}%"])).fetchone() == (True,):
                found.add(f"{table}.{column}")
    return found


async def lived(town: Town, user: str) -> str:
    """A channel in which the user did, and met, everything that is stored."""
    serve, me, ann, root = town.service, town.caller(user), town.caller("ann"), town.caller("root", admin=True)
    await town.people("root")
    room = await town.channel("ann", user, "cid")
    other = await town.channel(user, "ann")
    async with town.database.transaction([town.tenant]) as connection:
        await log.change_roster(connection, TenantId(town.tenant), ChannelId(other), [UserId(user)], None)
    await town.channel(user, "ann", kind="direct")
    own, reply = [await posted(town, room, user, text) for text in ("mine", "mine, too")]
    hers = await posted(town, room, "ann", "hers")
    upload = Attachment(str(uuid.uuid4()), "a.png", 5, "image/png")
    await town.do(
        town.command(room, user, Post("with a file", attachments=[upload], mentions=[UserId(user), UserId("cid")])),
        town.command(room, "ann", Post("hello", mentions=[UserId("cid"), UserId(user)])),
        town.command(room, user, Edit(own, "mine, edited")),
        town.command(room, user, React(hers, "+1")),
        town.command(room, "ann", React(own, "+1")),
        town.command(room, user, Pin(hers)),
        town.command(room, user, Delete(reply)),
    )
    await serve.ReportMessage(rpc.ReportMessageRequest(caller=me, channel=room, message=hers, reason="rude"), None)
    await serve.ReportMessage(rpc.ReportMessageRequest(caller=ann, channel=room, message=own, reason="rude"), None)
    await serve.SilenceMember(rpc.SilenceMemberRequest(caller=ann, channel=room, user=user, seconds=60, reason="loud"), None)
    await serve.BanUser(rpc.BanUserRequest(caller=me, channel=other, user="cid", reason="loud"), None)
    await serve.SilenceMember(rpc.SilenceMemberRequest(caller=me, channel=other, user="ann", seconds=60, reason="loud"), None)
    await serve.BlockPeer(rpc.BlockPeerRequest(caller=me, user="cid", blocked=True), None)
    await serve.BlockPeer(rpc.BlockPeerRequest(caller=town.caller("cid"), user=user, blocked=True), None)
    left = await town.channel("ann", user)
    await serve.RemoveMember(rpc.RemoveMemberRequest(caller=me, channel=left, user=user), None)
    await serve.AddMembers(rpc.AddMembersRequest(caller=ann, channel=left, users=[user]), None)  # becomes an invitation
    banned = await town.channel("ann", user)
    await serve.BanUser(rpc.BanUserRequest(caller=ann, channel=banned, user=user, reason="loud"), None)
    await serve.BlockUser(rpc.BlockUserRequest(caller=root, user=user, blocked=True), None)
    await serve.BlockUser(rpc.BlockUserRequest(caller=root, user=user), None)
    session = rpc.BeginBrowserSessionRequest(caller=me, user_agent="Firefox", idle_seconds=60, longest_seconds=60)
    await serve.BeginBrowserSession(session, None)
    return room


async def posted(town: Town, room: str, user: str, text: str) -> MessageId:
    return MessageId((await town.post(room, user, text)).message)


async def test_no_column_of_any_table_holds_the_id_of_an_erased_user(own_town: Town, postgres_server: Postgres) -> None:
    user = f"bob-{uuid.uuid4().hex}"
    await lived(own_town, user)
    before = await places(own_town, postgres_server, user)
    assert before >= {
        "entries.actor", "entries.details", "members.user", "reactions.user", "bans.user", "bans.moderator", "silences.user",
        "silences.moderator", "reports.sender", "reports.reporter", "blocks.user", "blocks.blocked", "channels.direct_key",
        "invitations.user", "departures.user", "additions.user", "browser_sessions.user", "pseudonyms.user", "users.id",
        "user_words.user", "mentions.user", "roster_changes.user",
    }  # fmt: skip
    await erase(own_town, user)
    assert await places(own_town, postgres_server, user) == set()
    assert await places(own_town, postgres_server, "mine") == set()


async def test_numbers_and_seals_stay_and_the_log_shows_a_deleted_user(own_town: Town) -> None:
    user = f"bob-{uuid.uuid4().hex}"
    room = await lived(own_town, user)
    before = [(event.seq, event.kind) for event in await own_town.log(room)]
    pseudonym = await erase(own_town, user)
    after = await own_town.log(room)
    assert [(event.seq, event.kind) for event in after[:-1]] == before
    assert (after[-1].kind, after[-1].subject) == (events.EVENT_KIND_MEMBER_LEFT, pseudonym)
    ann = own_town.caller("ann")
    found = (await own_town.service.ListMessages(rpc.ListMessagesRequest(caller=ann, channel=room), None)).messages
    theirs = [each for each in found if each.sender == pseudonym]
    assert len(theirs) == 3
    assert all(each.deleted and not each.text and not each.attachments and not each.mentions for each in theirs)
    assert {each.text for each in found if each.sender == "ann"} == {"hers", "hello"}
    assert [list(each.users) for message in found for each in message.reactions] == [[pseudonym]]
    data = [json.loads(event.payload)["data"] for event in after if event.kind == events.EVENT_KIND_MESSAGE_POSTED]
    assert [each["mentions"] for each in data if each["text"] == "hello"] == [["cid"]]
    async with own_town.database.connection(EVERY_TENANT) as connection:
        query = "SELECT name, blocked FROM users WHERE id = %s"
        assert await (await connection.execute(query, [pseudonym])).fetchone() == ("Deleted user", True)
    assert await audit.verify_all(own_town.database) == []


async def test_the_audit_log_records_an_erasure_without_the_person(own_town: Town) -> None:
    user = f"bob-{uuid.uuid4().hex}"
    await lived(own_town, user)
    before = await records(own_town)
    assert {each.subject for each in before} >= {user, "cid"}
    await erase(own_town, user)
    after = await records(own_town)
    assert [(each.number, each.digest) for each in after[:-1]] == [(each.number, each.digest) for each in before]
    assert (after[-1].actor, after[-1].action, after[-1].subject) == ("root", "user.erased", "")
    pseudonym = json.loads(after[-1].details)["pseudonym"]
    assert {each.subject for each in after} == {pseudonym, "ann", "cid", ""}
    assert user not in str(after)


async def records(town: Town) -> list[nouns.AuditRecord]:
    return list((await town.service.ListAudit(rpc.ListAuditRequest(caller=town.caller("root", admin=True)), None)).records)


@pytest.mark.parametrize("change", ["details = '{}'", "actor = 'erased-0'", "subject = ''", "digest = sha256('x')"])
async def test_a_changed_record_of_an_erased_user_is_detected(own_town: Town, postgres_server: Postgres, change: str) -> None:
    user = f"bob-{uuid.uuid4().hex}"
    await lived(own_town, user)
    await erase(own_town, user)
    url = postgres_server.url(own_town.url.rpartition("/")[2], "postgres")
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as superuser:
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute(f"UPDATE audit SET {change} WHERE number = 1".encode())
    (broken,) = await audit.verify_all(own_town.database)
    assert (broken.number, broken.problem) == (1, "changed")


async def test_a_request_ends_the_access_and_hides_the_name_at_once(own_town: Town) -> None:
    room = await own_town.channel("ann", "bob")
    await request(own_town, "bob")
    await refused(own_town.post(room, "bob"), NotAuthenticated)
    members = await own_town.service.ListMembers(rpc.ListMembersRequest(caller=own_town.caller("ann"), channel=room), None)
    assert [(each.user, each.name) for each in members.members][1] == ("bob", "Deleted user")


async def test_only_administrators_erase_users_that_exist(town: Town) -> None:
    await town.people("ann", "bob")
    await refused(town.service.EraseUser(rpc.EraseUserRequest(caller=town.caller("ann"), user="bob"), None), NotAllowed)
    for unknown in ("nobody", ""):
        call = town.service.EraseUser(rpc.EraseUserRequest(caller=town.caller("root", admin=True), user=unknown), None)
        await refused(call, NotFound)


async def test_an_interrupted_erasure_is_finished_by_the_next_run(own_town: Town, postgres_server: Postgres) -> None:
    user = f"bob-{uuid.uuid4().hex}"
    await lived(own_town, user)
    await request(own_town, user)
    (wanted,) = await erasure.waiting(own_town.database)
    async with own_town.database.connection(EVERY_TENANT) as connection:
        await connection.execute("ALTER TABLE reactions RENAME TO elsewhere")
    with pytest.raises(Exception, match="Temporarily unavailable"):
        await erasure.erase(own_town.database, wanted, _nothing)
    assert "entries.actor" not in await places(own_town, postgres_server, user)
    async with own_town.database.connection(EVERY_TENANT) as connection:
        await connection.execute("ALTER TABLE elsewhere RENAME TO reactions")
    await erasure.erase(own_town.database, wanted, _nothing)
    assert await places(own_town, postgres_server, user) == set()


async def test_gateways_are_told_once_the_log_is_rewritten_and_before_the_request_is_done(own_town: Town) -> None:
    room = await own_town.channel("ann", "bob")
    await own_town.post(room, "bob", "mine")
    await request(own_town, "bob")
    (wanted,) = await erasure.waiting(own_town.database)
    seen = []

    async def unreachable() -> None:
        seen.append([json.loads(event.payload)["data"].get("text") for event in await own_town.log(room)])
        raise Unavailable

    await refused(erasure.erase(own_town.database, wanted, unreachable), Unavailable)
    assert "mine" not in seen[0]
    assert await erasure.waiting(own_town.database) == [wanted]
