"""Query plans: with tables that are empty or large, no statement reads a whole table or sorts a channel.

The tests check the shape of a plan, not its number of nodes. Adding a read to `READS` or a command to `COMMANDS` guards it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from chassis.migrate import migrate, migrations
from chassis.pipeline import Query
from messages.commands import batch, changes, posts, reads
from messages.commands.judgement import PLANNER_SETTINGS
from messages.commands.model import Command, Delete, Edit, Pin, Post, React, Read
from messages.message import ChannelId, CommandId, MessageId, TenantId, UserId
from messages.queries import audit, channels, log, members, messages, moderation, reports, search, users
from stack.postgres import Postgres

CHANNELS, POSTS, LATER = 3_000, 20_000, 4_000
"""Each channel has 10 members and 10 posts, except for one with this many posts, and as many members as there are channels.

Its posts are followed by `LATER` reactions.
"""
ROWS = 2_000
"""More than a read of a page or of one user's channels touches in any table; less than any table has."""
CHANNEL, MESSAGE = "0190a0a0-0000-7000-8000-000000000001", "0190a0a0-0000-7000-8000-000000000101"
FIRST = "00000000-0000-0000-0000-000000000000"
SLICE = f"search_1_{FIRST.replace('-', '')}"
LARGE = {"user_words", "mentions", "entries", "keys", "members", "channels", "users", "changes", "reactions", "roster_changes"}
FILL = f"""
INSERT INTO users (tenant, id, name) SELECT 't', 'u' || n, 'User ' || n FROM generate_series(1, {CHANNELS}) n;
INSERT INTO channels (id, tenant, kind, name, history, head, posts, last_post)
SELECT ('0190a0a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 't', 'group', 'x', 'all', 10, 10, 10
FROM generate_series(1, {CHANNELS}) n;
UPDATE channels SET head = {POSTS + LATER}, posts = {POSTS}, last_post = {POSTS}, members = {CHANNELS}, roster = {CHANNELS}
WHERE id = '{CHANNEL}';
CREATE TEMP TABLE sizes AS
SELECT id, CASE id WHEN '{CHANNEL}' THEN {CHANNELS} ELSE 10 END AS members, posts, row_number() OVER () AS n FROM channels;
INSERT INTO members (channel, "user", tenant, role, joined_seq, read_seq, sort_name)
SELECT id, 'u' || 1 + (n + m) % {CHANNELS}, 't', 'member', 1, 1, 'user ' || 1 + (n + m) % {CHANNELS}
FROM sizes, generate_series(1, members) m;
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, message, thread, text)
SELECT id, seq, seq, 't', 1, 'u' || 1 + (n + seq) % 10, now(), seq::text, gen_random_uuid(),
  CASE WHEN seq % 50 = 0 THEN '{MESSAGE}'::uuid END, 'some words ' || seq FROM sizes, generate_series(1, posts) seq;
INSERT INTO keys (channel, fingerprint, seq, message) SELECT channel, gen_random_uuid(), seq, message FROM entries;
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, message)
SELECT '{CHANNEL}', seq, {POSTS}, 't', 4, 'u1', now(), '{MESSAGE}' FROM generate_series({POSTS + 1}, {POSTS + LATER}) seq;
INSERT INTO changes (channel, message, seq, tenant, pinned)
SELECT channel, message, seq, 't', seq <> 5 FROM entries WHERE kind = 1 AND (seq % 100 = 0 OR seq = 5);
INSERT INTO reactions (channel, message, emoji, "user", tenant, active, seq)
SELECT channel, message, '+1', 'u1', 't', true, seq FROM entries WHERE kind = 1 AND seq % 20 = 0;
INSERT INTO mentions (tenant, "user", message, channel, seq)
SELECT 't', 'u' || 1 + seq % 10, message, channel, seq FROM entries WHERE kind = 1 AND seq % 10 < 3;
INSERT INTO roster_changes (channel, number, tenant, "user", role, seq, at)
SELECT '{CHANNEL}', n, 't', 'u' || n, 'member', 10, now() FROM generate_series(1, {CHANNELS}) n;
INSERT INTO reader_positions SELECT 'search.1', id, 10 FROM channels;
SELECT search_add_slice(1, '{FIRST}');
INSERT INTO {SLICE} SELECT message, channel, seq, to_tsvector('simple', text) FROM entries WHERE kind = 1;
INSERT INTO blocks (tenant, blocked, "user") SELECT 't', 'u' || n, 'u' || n + 1 FROM generate_series(1, {CHANNELS - 1}) n;
"""

_IDS = {"tenant": "t", "user": "u7", "channel": CHANNEL, "message": MESSAGE, "thread": MESSAGE, "users": ["u1", "u2"], "id": "u7"}
_PAGE = {"after": 0, "before": 1 << 62, "limit": 50, "through": 200, "floor": 0, "seq": 100, "around": 3}
_MANY = {"tenants": ["t"], "ids": ["u7"], "channels": [CHANNEL], "afters": [10], "throughs": [60], "names": ["x"]}
_OTHERS = {"upload": MESSAGE, "joinable": ["public"], "direct_key": "x", "after_name": "", "after_id": "", "pattern": None,
           "report": MESSAGE, "active": None, "actor": "u8", "consent": True, "handlers": ["owner"],
           "blocked": "u8", "seconds": 2, "listed": 200, "reader": "search.1", "messages": [MESSAGE], "sender": None,
           "query": "words", "heads": [10], "seqs": [10], "roles": ["owner", "moderator", "member", "reader"],
           "after_role": "member", "after_user": "u7", "prefix": "", "prefix_of_name": "user 12",
           "beginning": "user 12", "considered": 5_000, "older": MESSAGE, "last": "\U0010ffff"}  # fmt: skip
PARAMETERS: dict[str, Any] = {**_IDS, **_PAGE, **_MANY, **_OTHERS}
READS = {
    "audit.PAGE": audit.PAGE,
    "channels.MEMBERSHIP": channels.MEMBERSHIP,
    "channels.VIEW": channels.VIEW,
    "channels.LIST_OWN": channels.LIST_OWN.replace("%(after)s", "%(report)s"),
    "channels.OF_USERS": channels.OF_USERS,
    "channels.DIRECT": channels.DIRECT,
    "log.RANGES": log.RANGES,
    "log.HEADS": log.HEADS,
    "log.HEADS_AFTER": log.HEADS_AFTER.replace("%(after)s", "%(report)s"),
    "log.HEAD": log.HEAD,
    "log.POSITIONS": log.POSITIONS,
    "log.ROSTER_CHANGES": log.ROSTER_CHANGES,
    "members.PAGE": members.PAGE,
    "members.PAGE (found by name)": members.PAGE.replace("%(prefix)s", "%(prefix_of_name)s"),
    "members.FIND": members.FIND,
    "messages.LIST": messages.LIST,
    "messages.ONE": messages.ONE,
    "messages.THREAD": messages.THREAD,
    "messages.PINNED": messages.PINNED,
    "messages.PINNED_IN_THREAD": messages.PINNED_IN_THREAD,
    "messages.MENTIONS": messages.MENTIONS,
    "messages.IS_HIDDEN": messages.IS_HIDDEN,
    "moderation.BLOCKED": moderation.BLOCKED.replace("%(after)s", "%(user)s"),
    "moderation.COUNT_BLOCKED": moderation.COUNT_BLOCKED,
    "members.CANDIDATES": members.CANDIDATES,
    "members.INVITATIONS": members.INVITATIONS.replace("%(after)s", "%(report)s"),
    "members.SPEECH": members.SPEECH,
    "channels.COUNT_OF_USERS": channels.COUNT_OF_USERS,
    "reports.OPEN": reports.OPEN.replace("%(after)s", "%(report)s"),
    "reports.OPEN_OF_TENANT": reports.OPEN_OF_TENANT.replace("%(after)s", "%(report)s"),
    "reports.COUNT_OPEN": reports.COUNT_OPEN,
    "reports.CONTEXT": reports.CONTEXT,
    "users.FIND": users.FIND,
    "users.LIST": users.LIST,
    "users.SEARCH": users.SEARCH.replace("%(query)s", "%(beginning)s"),
    "users.NAMES": users.NAMES,
    "search.CHANNELS": search.CHANNELS.replace("%(channel)s", "NULL"),
    "search.CURRENT": search.CURRENT,
    "search.FOUND": search.FOUND,
    "search.IS_BEHIND": search.IS_BEHIND,
}


def _command(body: Any) -> Command:
    return Command(TenantId("t"), ChannelId(CHANNEL), UserId("u7"), "k", CommandId("c.1"), "g", body)


_MESSAGE = MessageId(MESSAGE)
COMMANDS = {
    "locks": batch._lock([[_command(Post("x"))]]),  # noqa: SLF001 - the statement is private to the batch
    "posts": posts.query([_command(Post("x"))]),
    "edit": changes.query(_command(Edit(_MESSAGE, "x"))),
    "delete": changes.query(_command(Delete(_MESSAGE))),
    "react": changes.query(_command(React(_MESSAGE, "+1"))),
    "pin": changes.query(_command(Pin(_MESSAGE))),
    "reads": reads.query(reads.furthest([_command(Read(5))])),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["empty", "large", "analyzed"])
async def tables(request: pytest.FixtureRequest, postgres_server: Postgres) -> AsyncIterator[psycopg.AsyncConnection]:
    """Return a connection to a database whose tables are empty, large, or large and all analyzed.

    Autovacuum analyzes large tables within a minute, except for `members` and `channels` (see the migration).
    """
    name = f"test_plans_{request.param}"
    url = await postgres_server.create_database(name, owner="test")
    await migrate(url, migrations("messages"))
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("SELECT set_config('hubbub.tenants', '{t}', false)")
        await connection.execute("SET jit = off")
        if request.param != "empty":
            await connection.execute(FILL)
            await connection.execute("VACUUM")
            analyzed = "" if request.param == "analyzed" else f"users, user_words, entries, changes, reactions, blocks, {SLICE}"
            await connection.execute(f"ANALYZE {analyzed}".encode())
        yield connection
    await postgres_server.drop_database(name)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])
@pytest.mark.parametrize("read", READS)
async def test_a_read_neither_scans_a_large_table_nor_sorts_a_channel(
    tables: psycopg.AsyncConnection, read: str, generic: bool
) -> None:
    if generic:
        text = re.sub(r"%\((\w+)\)s", lambda found: f"${list(PARAMETERS).index(found[1]) + 1}", READS[read])
        cursor = await tables.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}".encode(), prepare=False)
    else:
        client = psycopg.AsyncClientCursor(tables)
        cursor = await client.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {READS[read]}".encode(), PARAMETERS)
    check(await _plan(cursor))


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_looks_up_single_rows(tables: psycopg.AsyncConnection, command: str) -> None:
    query: Query = COMMANDS[command]
    for name, value in PLANNER_SETTINGS.items():
        await tables.execute(f"SET {name} = {value}".encode())
    try:
        cursor = await tables.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + query.statement.text, prepare=False)
        plan = await _plan(cursor)
    finally:
        for name in PLANNER_SETTINGS:
            await tables.execute(f"RESET {name}".encode())
    check(plan)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("query", ["'some' & '777'", "'777':*", "'some'", "'some' <-> 'words'", "'missing'"])
async def test_a_search_reads_a_slice_by_its_index_of_words(tables: psycopg.AsyncConnection, query: str) -> None:
    if await (await tables.execute("SELECT 1 FROM search_slices")).fetchone() is None:
        return  # without messages there is no slice
    mine = [f"0190a0a0-0000-7000-8000-{n:012d}" for n in range(2, 52)]
    within = search.BY_WORDS if ":*" in query else search.BY_CHANNEL
    matches = search.MATCHES.format(slice=SLICE, within=within)
    statement = search.WINDOW.format(matches=matches)
    parameters = {"channels": mine, "query": query, "before": None, "limited": mine[:1], "floors": [3], "limit": 51}
    cursor = await psycopg.AsyncClientCursor(tables).execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), parameters)
    plan = await _plan(cursor)
    check(plan)
    (scan,) = [node for node in _nodes(plan) if node["Node Type"] == "Bitmap Index Scan"]
    assert "words" in scan["Index Cond"]  # and the channel, unless the word is rare


async def _plan(cursor: psycopg.AsyncCursor[Any]) -> Any:
    row = await cursor.fetchone()
    assert row is not None
    return (json.loads(row[0]) if isinstance(row[0], str) else row[0])[0]["Plan"]


def check(plan: Any) -> None:
    """Fail for a scan of a whole large table, an index read without a condition, and a node that touches or sorts many rows."""
    for node in _nodes(plan):
        if node.get("Relation Name") in LARGE or "Index Name" in node:
            assert node["Node Type"] != "Seq Scan", node
            assert node.keys() & {"Index Cond", "Recheck Cond"} or node["Node Type"] == "ModifyTable", node
        if node["Node Type"] == "Sort":
            assert node["Plan Rows"] < ROWS, node
        touched = node.get("Actual Rows", 0) + node.get("Rows Removed by Filter", 0)
        assert touched * node.get("Actual Loops", 1) < ROWS, node


def _nodes(plan: Any) -> Iterator[Any]:
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
