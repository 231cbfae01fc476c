"""Migrations of tables with rows, while the service writes."""

from __future__ import annotations

import asyncio

from chassis.migrate import Migration, migrate, migrations
from chassis.postgres import EVERY_TENANT
from messages.commands.model import Delete, Edit, Post, Read, Verdict
from messages.message import MessageId
from services.messages.tests.conftest import Town

ROWS = 20_000
FILL = f"""
INSERT INTO entries (channel, seq, posts, tenant, kind, actor, at, key, message, text)
SELECT gen_random_uuid(), 1, 1, 'elsewhere', 1, 'ann', now(), n::text, gen_random_uuid(), 'some words'
FROM generate_series(1, {ROWS}) n
"""
# What a later release may need on a large table: a column, its value in every row, a constraint on it, and an index.
NEXT = Migration(
    "9999_next.sql",
    """-- hubbub: steps
-- step
ALTER TABLE entries ADD COLUMN characters int;
CREATE FUNCTION count_characters() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.characters := length(COALESCE(NEW.text, ''));
    RETURN NEW;
END $$;
CREATE TRIGGER characters BEFORE INSERT OR UPDATE OF text ON entries FOR EACH ROW EXECUTE FUNCTION count_characters();
-- step: blocks entries
UPDATE entries SET characters = length(COALESCE(text, '')) WHERE {blocks} AND characters IS NULL;
-- step
ALTER TABLE entries ADD CONSTRAINT counted CHECK (characters IS NOT NULL) NOT VALID;
-- step
ALTER TABLE entries VALIDATE CONSTRAINT counted;
-- step: concurrently
CREATE INDEX CONCURRENTLY entries_characters ON entries (channel, characters);
-- step
ALTER TABLE channels ADD COLUMN language text NOT NULL DEFAULT '';
""",
)
_STATE = """
SELECT count(*) >= %s, count(*) FILTER (WHERE characters <> length(COALESCE(text, ''))),
  (SELECT indisvalid FROM pg_index WHERE indexrelid = 'entries_characters'::regclass) FROM entries
"""


async def test_the_service_writes_without_an_error_while_a_table_is_rewritten_in_steps(own_town: Town) -> None:
    town = own_town
    channels = [await town.channel("ann", "bob") for _ in range(4)]
    async with town.database.connection(["elsewhere"]) as connection:
        await connection.execute(FILL)
    migrating = True

    async def write(channel: str) -> int:
        """Post, edit, read and delete as long as the migration runs; returns the number of the last entry."""
        head = 0
        while migrating or not head:
            (posted,) = await town.do(town.command(channel, "ann", Post("hello")))
            assert posted.message is not None
            message = MessageId(posted.message)
            changes = (town.command(channel, "ann", body) for body in (Edit(message, "hello again"), Delete(message)))
            edited, deleted = await town.do(*changes, town.command(channel, "bob", Read(posted.seq)))
            assert {posted.verdict, edited.verdict, deleted.verdict} == {Verdict.FRESH}
            head = deleted.seq
        return head

    writers = [asyncio.create_task(write(channel)) for channel in channels]
    await migrate(town.url, [*migrations("messages"), NEXT])
    migrating = False
    heads = await asyncio.gather(*writers)
    for channel, head in zip(channels, heads, strict=True):
        assert [event.seq for event in await town.log(channel)] == list(range(1, head + 1))[:1000]
    async with town.database.connection(EVERY_TENANT) as connection:
        assert await (await connection.execute(_STATE, [ROWS + sum(heads)])).fetchone() == (True, 0, True)
