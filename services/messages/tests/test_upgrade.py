"""What was stored by a release before is there after its successor's migrations."""

from __future__ import annotations

from chassis.migrate import migrate, migrations
from chassis.postgres import EVERY_TENANT, Connection, open_database
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands import Edit, Pin, Post
from messages.message import MessageId
from services.messages.tests.conftest import Town, opened_town

_ROOM = "0190a0a0-0000-7000-8000-00000000000a"
_TENANT = "default"
_PEOPLE = """
INSERT INTO users (tenant, id, name) VALUES ('default', 'ann', 'Ann'), ('default', 'bob', 'Bob');
INSERT INTO channels (id, tenant, kind, name, history, head, posts) VALUES
    ('0190a0a0-0000-7000-8000-00000000000a', 'default', 'group', 'room', 'all', 9, 3);
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq) VALUES
    ('0190a0a0-0000-7000-8000-00000000000a', 'ann', 'default', 'owner', 2, 9),
    ('0190a0a0-0000-7000-8000-00000000000a', 'bob', 'default', 'member', 3, 5);
"""
# Three posts: one that stands, one that was edited and pinned, one that was edited and then deleted.
_SAID = """
INSERT INTO entries (channel, seq, tenant, kind, actor, at, message, text)
SELECT '0190a0a0-0000-7000-8000-00000000000a', seq, 'default', kind, 'ann', now(), message::uuid, said FROM (VALUES
    (1, 12, NULL, NULL), (2, 8, NULL, NULL), (3, 8, NULL, NULL),
    (4, 1, '0190a0a0-0000-7000-8000-000000000001', 'stands'),
    (5, 1, '0190a0a0-0000-7000-8000-000000000002', 'first'),
    (6, 2, '0190a0a0-0000-7000-8000-000000000002', 'second'),
    (7, 1, '0190a0a0-0000-7000-8000-000000000003', NULL),
    (8, 6, '0190a0a0-0000-7000-8000-000000000002', NULL),
    (9, 3, '0190a0a0-0000-7000-8000-000000000003', NULL)) AS log(seq, kind, message, said);
INSERT INTO messages (id, channel, seq, ordinal, tenant, sender, at, text, edited_at, deleted_seq, pinned, pin_seq)
SELECT id::uuid, '0190a0a0-0000-7000-8000-00000000000a', seq, ordinal, 'default', 'ann', now(), said, edited::timestamptz,
    deleted, pinned, pin FROM (VALUES
    ('0190a0a0-0000-7000-8000-000000000001', 4, 1, 'stands', NULL, NULL::bigint, false, NULL::bigint),
    ('0190a0a0-0000-7000-8000-000000000002', 5, 2, 'second', '2026-11-01T00:00Z', NULL, true, 8),
    ('0190a0a0-0000-7000-8000-000000000003', 7, 3, NULL, '2026-11-02T00:00Z', 9, false, NULL)
) AS told(id, seq, ordinal, said, edited, deleted, pinned, pin);
"""


async def test_posts_of_before_they_were_stored_once_are_what_they_were(database: str) -> None:
    files = migrations("messages")
    await migrate(database, [file for file in files if file.name < "0008"])
    async with open_database(database, connections=1, name="before") as before, before.connection(EVERY_TENANT) as connection:
        for statements in (_PEOPLE, _SAID):
            await _carry_out(connection, statements)
    await migrate(database, files)
    async with opened_town(database) as town:
        town.tenant = _TENANT
        listed = await _messages(town)
        assert [(m.seq, m.text, m.HasField("edited_at"), m.deleted, m.pinned) for m in listed] == [
            (7, "", True, True, False), (5, "second", True, False, True), (4, "stands", False, False, False),
        ]  # fmt: skip
        assert [m.seq for m in await _messages(town, pinned=True)] == [5]
        (view,) = (await town.service.ListChannels(rpc.ListChannelsRequest(caller=town.caller("bob")), None)).channels
        assert (view.seq, view.unread, view.last_message.seq) == (9, 1, 7)
        standing = MessageId(listed[2].id)
        outcomes = await town.do(
            town.command(_ROOM, "ann", Edit(standing, "changed")), town.command(_ROOM, "ann", Pin(standing)),
            town.command(_ROOM, "ann", Post("new")),
        )  # fmt: skip
        assert [outcome.seq for outcome in outcomes] == [10, 11, 12]
        assert [m.text for m in await _messages(town)] == ["new", "", "second", "changed"]
        assert [m.seq for m in await _messages(town, pinned=True)] == [5, 4]


async def _carry_out(connection: Connection, statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            await connection.execute(statement.encode())


async def _messages(town: Town, *, pinned: bool = False) -> list[nouns.Message]:
    request = rpc.ListMessagesRequest(caller=town.caller("bob"), channel=_ROOM, pinned=pinned)
    return list((await town.service.ListMessages(request, None)).messages)
