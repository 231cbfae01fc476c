"""What a durable reader (`bus.reader`) has stored, in its service's own PostgreSQL database.

The service's migrations create the tables, which hold no content:

    CREATE TABLE reader_positions (reader text, channel uuid, seq bigint NOT NULL, PRIMARY KEY (reader, channel));
    CREATE TABLE reader_cursors (reader text, topic text, cursor text NOT NULL, read_to timestamptz, PRIMARY KEY (reader, topic));
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from chassis.postgres import EVERY_TENANT, Connection, Database

_CURSORS = "SELECT topic, cursor FROM reader_cursors WHERE reader = %(reader)s AND topic = ANY(%(topics)s)"
_POSITIONS = "SELECT channel, seq FROM reader_positions WHERE reader = %(reader)s AND channel = ANY(%(channels)s::uuid[])"
# Moves each position only from the number that the reader began with.
_MOVE = """
WITH moved AS MATERIALIZED (
  SELECT * FROM unnest(%(channels)s::uuid[], %(befores)s::bigint[], %(afters)s::bigint[]) AS m(channel, before, after)),
begun AS (
  INSERT INTO reader_positions (reader, channel, seq)
  SELECT %(reader)s, channel, after FROM moved WHERE before = 0 ORDER BY channel
  ON CONFLICT (reader, channel) DO NOTHING RETURNING 1),
continued AS (
  UPDATE reader_positions p SET seq = after FROM moved
  WHERE p.reader = %(reader)s AND p.channel = moved.channel AND p.seq = moved.before AND moved.before > 0 RETURNING 1)
SELECT (SELECT count(*) FROM begun) + (SELECT count(*) FROM continued)
"""
_STORE_CURSORS = """
INSERT INTO reader_cursors (reader, topic, cursor, read_to)
SELECT %(reader)s, topic, cursor, to_timestamp(NULLIF(read_to, 0))
FROM unnest(%(topics)s::text[], %(cursors)s::text[], %(read_to)s::float8[]) AS c(topic, cursor, read_to) ORDER BY topic
ON CONFLICT (reader, topic) DO UPDATE SET cursor = EXCLUDED.cursor, read_to = COALESCE(EXCLUDED.read_to, reader_cursors.read_to)
"""
_READ_TO = "SELECT count(read_to), min(read_to) FROM reader_cursors WHERE reader = %(reader)s"
_FORGET = ("DELETE FROM reader_positions WHERE reader = %(reader)s", "DELETE FROM reader_cursors WHERE reader = %(reader)s")


class OvertakenError(Exception):
    """Another instance of the reader has stored these events. Roll back, and continue from the store."""


class ReaderStore:
    """Implements `bus.reader.Store` for one reader, by name."""

    def __init__(self, database: Database, reader: str) -> None:
        self._database = database
        self._reader = reader

    async def cursors(self, topics: Sequence[str]) -> dict[str, str]:
        """The cursors of topics, without those that have none. Raises `Unavailable`."""
        return await self._pairs(_CURSORS, {"topics": list(topics)})

    async def positions(self, channels: Collection[str]) -> dict[str, int]:
        """The numbers up to which the reader has the channels' logs. Raises `Unavailable`."""
        return await self._pairs(_POSITIONS, {"channels": list(channels)})

    async def advance(
        self, connection: Connection, channels: Mapping[str, tuple[int, int]], cursors: Mapping[str, tuple[str, float]]
    ) -> None:
        """Store what a batch moved, in the transaction of its effects. Raises `OvertakenError`."""
        if channels:
            moved = {
                "reader": self._reader,
                "channels": list(channels),
                "befores": [before for before, _ in channels.values()],
                "afters": [after for _, after in channels.values()],
            }
            row: Any = await (await connection.execute(_MOVE, moved)).fetchone()
            if row[0] != len(channels):
                raise OvertakenError(self._reader)
        if cursors:
            stored = {
                "reader": self._reader,
                "topics": list(cursors),
                "cursors": [cursor for cursor, _ in cursors.values()],
                "read_to": [read_to for _, read_to in cursors.values()],
            }
            await connection.execute(_STORE_CURSORS, stored)

    async def _pairs(self, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
        async with self._database.connection(EVERY_TENANT) as connection:
            cursor = await connection.execute(query.encode(), {"reader": self._reader, **parameters})
            rows: Any = await cursor.fetchall()
        return dict(rows)


async def read_to(connection: Connection, reader: str, topics: int) -> datetime | None:
    """The time up to which a reader of so many topics has everything; None while it has not had everything of each topic once."""
    row: Any = await (await connection.execute(_READ_TO, {"reader": reader})).fetchone()
    return row[1] if row[0] >= topics else None


async def forget(connection: Connection, reader: str) -> None:
    """Delete everything that a reader has stored."""
    for statement in _FORGET:
        await connection.execute(statement, {"reader": reader})
