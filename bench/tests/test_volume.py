"""A volume store is one that the product could have written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio

from bench.volume.load import fill
from bench.volume.shape import Shape
from chassis.migrate import migrate, migrations
from chassis.postgres import open_database
from messages.store import audit
from stack.postgres import Postgres

SHAPE = Shape(seed=7, messages=20_000, channels=150, tenants=5, users=900, largest=4_000, crowd=300, busiest=60)
_COUNTS = """
SELECT (SELECT count(*) FROM entries WHERE kind = 1), (SELECT count(*) FROM channels),
  (SELECT count(DISTINCT tenant) FROM channels),
  (SELECT count(*) FROM users), (SELECT max(posts) FROM channels),
  (SELECT max(n) FROM (SELECT count(*) AS n FROM members GROUP BY channel) each),
  (SELECT count(*) FROM members WHERE tenant = 'tenant-0' AND "user" = 'u0')
"""
VIOLATIONS = {
    "a log has no gaps, and its channel knows head, posts and last_post": """
        SELECT FROM channels ch JOIN (
          SELECT channel, count(*) AS entries, max(seq) AS head, count(*) FILTER (WHERE kind = 1) AS posts,
            max(seq) FILTER (WHERE kind = 1) AS last_post FROM entries GROUP BY channel) log ON log.channel = ch.id
        WHERE (ch.head, ch.head, ch.posts, ch.last_post) <> (log.entries, log.head, log.posts, log.last_post)""",
    "every channel has a log": "SELECT FROM channels WHERE head = 0",
    "an entry counts the posts up to it": """
        SELECT FROM (
          SELECT posts, count(*) FILTER (WHERE kind = 1) OVER (PARTITION BY channel ORDER BY seq) AS counted FROM entries) each
        WHERE posts <> counted""",
    "time does not run backwards in a log": """
        SELECT FROM entries e JOIN entries f ON f.channel = e.channel AND f.seq = e.seq + 1 WHERE f.at < e.at""",
    "an author is a member who joined before": """
        SELECT FROM entries e LEFT JOIN members mb ON mb.channel = e.channel AND mb."user" = e.actor
        WHERE kind <> 12 AND (mb.joined_seq > e.seq OR mb.joined_seq IS NULL)""",
    "a member has read their own posts": """
        SELECT FROM members mb JOIN entries e ON e.channel = mb.channel AND e.actor = mb."user" AND e.kind = 1
        WHERE mb.read_seq < e.seq OR mb.last_posted_at < e.at""",
    "a member read entries that exist": """
        SELECT FROM members mb JOIN channels ch ON ch.id = mb.channel WHERE mb.read_seq NOT BETWEEN mb.joined_seq AND ch.head""",
    "joined_seq is the number of the member's entry": """
        SELECT FROM members mb JOIN entries e ON e.channel = mb.channel AND e.seq = mb.joined_seq
        WHERE e.kind <> 8 OR e.details->>'user' <> mb."user" """,
    "a reply names a message before it": """
        SELECT FROM entries e LEFT JOIN entries root ON root.channel = e.channel AND root.message = e.thread AND root.kind = 1
        WHERE e.thread IS NOT NULL AND (root.seq < e.seq AND e.details->>'thread' = e.thread::text) IS NOT TRUE""",
    "an entry is about the message that it changes": """
        SELECT FROM entries e JOIN channels ch ON ch.id = e.channel
        LEFT JOIN entries post ON post.channel = e.channel AND post.kind = 1 AND post.message = COALESCE(e.thread, e.message)
        WHERE (e.kind BETWEEN 2 AND 7 OR e.thread IS NOT NULL)
          AND e.about IS DISTINCT FROM CASE ch.history WHEN 'joined' THEN post.seq END""",
    "only a deleted message has no text": """
        SELECT FROM messages WHERE (text IS NULL) <> (deleted_seq IS NOT NULL)
          OR deleted_seq IS NOT NULL AND details ?| '{attachments,mentions}'""",
    "the state of a message is that of its last entries": """
        SELECT FROM changes c
        WHERE seq <> (SELECT seq FROM entries e WHERE e.channel = c.channel AND e.message = c.message AND kind = 1)
          OR deleted_seq IS DISTINCT FROM (
            SELECT seq FROM entries e WHERE e.channel = c.channel AND e.message = c.message AND kind = 3)
          OR text IS DISTINCT FROM (SELECT text FROM entries e
            WHERE e.channel = c.channel AND e.message = c.message AND kind = 2 ORDER BY seq DESC LIMIT 1)""",
    "a message is pinned if it was pinned last": """
        SELECT FROM changes c CROSS JOIN LATERAL (
          SELECT max(seq) AS last FROM entries e WHERE e.channel = c.channel AND e.message = c.message AND kind IN (6, 7)) pin
        WHERE pin_seq IS DISTINCT FROM last
          OR pinned <> EXISTS (SELECT FROM entries e WHERE e.channel = c.channel AND e.seq = last AND kind = 6)""",
    "an upload is carried by the message that names it": """
        SELECT FROM entries e, jsonb_array_elements(e.details->'attachments') AS attachment
        LEFT JOIN carried c ON c.upload = attachment->>'id' WHERE c.seq IS DISTINCT FROM e.seq""",
    "a channel was active when its newest entry was made": """
        SELECT FROM channels ch JOIN entries e ON e.channel = ch.id AND e.seq = ch.head WHERE e.at <> ch.active_at""",
    "every post has a key": """
        SELECT FROM entries e LEFT JOIN keys k ON k.channel = e.channel AND k.seq = e.seq
        WHERE e.kind = 1 AND (k.message = e.message AND k.digest IS NOT NULL) IS NOT TRUE""",
    "reactions are those of the last entries": """
        SELECT FROM reactions r JOIN entries e ON e.channel = r.channel AND e.seq = r.seq
        WHERE e.message <> r.message OR e.actor <> r."user" OR e.details->>'emoji' <> r.emoji OR (e.kind = 4) <> r.active""",
    "every reaction is recorded": """
        SELECT FROM entries e LEFT JOIN reactions r ON r.channel = e.channel AND r.message = e.message
          AND r."user" = e.actor AND r.emoji = e.details->>'emoji'
        WHERE e.kind IN (4, 5) AND (r.seq >= e.seq) IS NOT TRUE""",
    "a channel is of the tenant of its members": """
        SELECT FROM members mb JOIN channels ch ON ch.id = mb.channel WHERE mb.tenant <> ch.tenant""",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def store(postgres_server: Postgres) -> AsyncIterator[str]:
    url = await postgres_server.create_database("test_volume", owner="test")
    await migrate(url, migrations("messages"))
    await asyncio.to_thread(fill, url, SHAPE)
    yield url
    await postgres_server.drop_database("test_volume")


def test_it_has_the_sizes_that_were_asked_for(store: str) -> None:
    with psycopg.connect(store, options="-c hubbub.tenants={*}") as connection:
        found = connection.execute(_COUNTS).fetchone()
    shape = SHAPE
    assert found == (shape.messages, shape.channels, shape.tenants, shape.users, shape.largest, shape.crowd, shape.busiest)


@pytest.mark.parametrize("rule", VIOLATIONS)
def test_it_keeps_the_rules_of_the_log(store: str, rule: str) -> None:
    with psycopg.connect(store, options="-c hubbub.tenants={*}") as connection:
        assert connection.execute(f"SELECT count(*) FROM ({VIOLATIONS[rule]}) AS violation".encode()).fetchone() == (0,)


async def test_its_audit_log_verifies(store: str) -> None:
    async with open_database(store, sweeper_url=store, connections=2, name="tests") as database:
        assert await audit.verify_all(database) == []
        assert len(await audit.heads(database)) == SHAPE.tenants
