"""Posts that are numbered while somebody else is at it, and those whose answer is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest

from chassis.errors import Unavailable
from chassis.postgres import EVERY_TENANT, open_database
from messages.commands import Post
from messages.handlers import handle
from messages.heads import Heads
from messages.message import ChannelId
from messages.store import commands as store
from services.messages.tests.conftest import Town
from services.messages.tests.numbering import (
    Clock,
    Counted,
    counting,
    frames,
    go,
    learn,
    said,
    told,
)

# While somebody else is at it.

MEMBER = "WHERE channel = %(channel)s AND \"user\" = 'bob'"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (f"DELETE FROM members {MEMBER}", "NOT_FOUND"),
        (f"UPDATE members SET silenced_until = now() + interval '1 minute' {MEMBER}", "NOT_ALLOWED"),
        (f"UPDATE members SET role = 'reader' {MEMBER}", "NOT_ALLOWED"),
        ("UPDATE channels SET head = head + 1 WHERE id = %(channel)s", "fresh"),
        ("UPDATE channels SET slow_mode_seconds = 60 WHERE id = %(channel)s", "fresh"),
    ],
    ids=["removed", "silenced", "made a reader", "numbered by another", "made slow"],
)
async def test_a_post_that_was_numbered_before_a_change_is_not_stored_after_it(town: Town, change: str, reason: str) -> None:
    channel, elsewhere, heads = await town.channel("ann", "bob"), await town.channel("zoe"), Heads(Clock())
    await learn(town, heads, (channel, "ann"), (elsewhere, "zoe"))
    batch = [town.command(elsewhere, "zoe", Post("aside")), town.command(channel, "bob", Post("late"))]
    run = heads.run_of(batch)
    assert run == batch
    before = await frames(town, channel), await frames(town, elsewhere)
    async with open_database(town.url, connections=2, name="change") as others:
        async with others.transaction(EVERY_TENANT) as other:
            await store.take_channel(other, ChannelId(channel))
            numbered = asyncio.create_task(town.database.pipeline([town.tenant], [store.ask_numbered(run, heads).query]))
            await until_somebody_waits(town)
            await other.execute(change.encode(), {"channel": channel})
        with pytest.raises(Unavailable) as failed:
            await numbered
    assert isinstance(failed.value.__cause__, psycopg.errors.SerializationFailure)
    assert (await frames(town, channel), await frames(town, elsewhere)) == before
    with counting() as found:
        ((aside, _), (late, _)) = await told(town, heads, *batch)
    assert (aside, late, found) == ("fresh", reason, Counted(0, 1))


async def test_a_post_that_waits_for_a_change_which_does_not_concern_it_is_stored_as_it_was_numbered(town: Town) -> None:
    channel, heads = await town.channel("ann", "bob"), Heads(Clock())
    await learn(town, heads, (channel, "ann"))
    asked = store.ask_numbered([town.command(channel, "bob", Post("patient"))], heads)
    async with open_database(town.url, connections=2, name="change") as others:
        async with others.transaction(EVERY_TENANT) as other:
            await store.take_channel(other, ChannelId(channel))
            numbered = asyncio.create_task(town.database.pipeline([town.tenant], [asked.query]))
            await until_somebody_waits(town)
            await other.execute(f"UPDATE members SET muted = true {MEMBER}".encode(), {"channel": channel})
        assert len((await numbered)[0]) == 1
    assert [event.seq for event in await town.log(channel)] == list(range(1, 7))


async def until_somebody_waits(town: Town) -> None:
    """Poll the server's own word for it: nothing else says that a lock is waited for."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(3), town.database.connection(EVERY_TENANT) as connection:
        while await (await connection.execute(query)).fetchone() == (0,):
            pass


async def test_a_channel_that_somebody_holds_is_given_up_soon_and_known_again_after(town: Town) -> None:
    channel, heads = await town.channel("ann", "bob"), Heads(Clock())
    await learn(town, heads, (channel, "bob"))
    post = town.command(channel, "bob", Post("hello"))
    async with town.database.transaction(EVERY_TENANT) as holder:
        await store.take_channel(holder, ChannelId(channel))
        with pytest.raises(Unavailable) as given_up:
            await go(town, heads, post)
        assert isinstance(given_up.value.__cause__, psycopg.errors.LockNotAvailable)
    assert await told(town, heads, post) == [("fresh", 6)]
    with counting() as found:
        assert await told(town, heads, town.command(channel, "bob", Post("next"))) == [("fresh", 7)]
    assert found == Counted(1, 0)


# When the answer is lost.

DIE = (
    """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pg_backend_pid());
    RETURN NULL;
END $$
""",
    "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION die()",
)


async def test_posts_whose_connection_ends_before_the_commit_are_stored_once_they_come_again(own_town: Town) -> None:
    town = own_town
    channel, heads = await town.channel("ann", "bob"), Heads(Clock())
    await learn(town, heads, (channel, "bob"))
    batch = [town.command(channel, user, Post("hello")) for user in ("bob", "ann")]
    async with town.database.connection(EVERY_TENANT) as connection:
        for statement in DIE:
            await connection.execute(statement.encode())
        with pytest.raises(Unavailable):
            await go(town, heads, *batch)
        await connection.execute("DROP TRIGGER die ON entries")
    assert len(await town.log(channel)) == 5
    assert await told(town, heads, *batch) == [("fresh", 6), ("fresh", 7)]
    with counting() as found:
        assert await told(town, heads, town.command(channel, "bob", Post("next"))) == [("fresh", 8)]
    assert found == Counted(1, 0)


class Line:
    """A way to PostgreSQL that can lose answers: none gets through, and the connection ends when it is told to."""

    def __init__(self, url: str) -> None:
        self._server = psycopg.conninfo.conninfo_to_dict(url)
        self.url = ""
        self.loses = False
        self.lost = asyncio.Event()
        """Set once the server has answered and nobody has heard it."""
        self.ends = asyncio.Event()
        """Set to end the connection whose answer was lost."""
        self._tasks: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[Line]:
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as server:
            host, port = server.sockets[0].getsockname()[:2]
            self.url = psycopg.conninfo.make_conninfo("", **(self._server | {"host": host, "port": port}))
            try:
                yield self
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(str(self._server["host"]), int(str(self._server["port"])))
        self._tasks += [
            asyncio.create_task(self._carry(reader, server_writer)),
            asyncio.create_task(self._carry(server_reader, writer, answers=True)),
        ]

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool = False) -> None:
        try:
            while chunk := await source.read(65_536):
                if answers and self.loses:
                    self.lost.set()
                    await self.ends.wait()
                    break
                sink.write(chunk)
        finally:
            sink.transport.abort()


@pytest.mark.parametrize("cancelled", [False, True])
async def test_posts_whose_answer_nobody_heard_after_the_commit_are_stored_once(town: Town, cancelled: bool) -> None:
    channel, heads = await town.channel("ann", "bob"), Heads(Clock())
    async with Line(town.url).listening() as line, open_database(line.url, connections=1, pipelines=1, name="worker") as database:
        for _ in range(2):
            await handle(database, [town.command(channel, "bob", Post("known"))], heads=heads)
        batch = [town.command(channel, user, Post("hello")) for user in ("bob", "ann")]
        line.loses = True
        under_way = asyncio.create_task(handle(database, batch, heads=heads))
        await line.lost.wait()
        if cancelled:
            under_way.cancel()
        else:
            line.ends.set()
        with pytest.raises(asyncio.CancelledError if cancelled else Unavailable):
            await under_way
        line.loses = False
        with pytest.raises(KeyError):
            heads[ChannelId(channel)]
        assert len(await town.log(channel)) == 7
        stored = await handle(database, [*batch, town.command(channel, "ann", Post("next"))], heads=heads)
        assert [said(outcome) for outcome in stored.outcomes] == [("again", 6), ("again", 7), ("fresh", 8)]
        (outcome,) = (await handle(database, [town.command(channel, "bob", Post("more"))], heads=heads)).outcomes
        assert said(outcome) == ("fresh", 9)
    assert [event.seq for event in await town.log(channel)] == list(range(1, 10))
