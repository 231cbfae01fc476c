"""Batches beside other transactions on the same channels, and batches whose answer is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest

from chassis.errors import Unavailable
from chassis.postgres import EVERY_TENANT, open_database
from messages.commands.batch import handle
from messages.commands.judgement import PLANNER_SETTINGS
from messages.commands.model import Edit, Post, Verdict
from messages.message import ChannelId, MessageId
from messages.store import channels
from services.messages.tests.conftest import Town, result, results, until_a_lock_is_awaited

MEMBER = "WHERE channel = %(channel)s AND \"user\" = 'bob'"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (f"DELETE FROM members {MEMBER}", ("NOT_FOUND", 0)),
        (f"UPDATE members SET silenced_until = now() + interval '1 minute' {MEMBER}", ("NOT_ALLOWED", 0)),
        (f"UPDATE members SET role = 'reader' {MEMBER}", ("NOT_ALLOWED", 0)),
        ("UPDATE channels SET head = head + 1 WHERE id = %(channel)s", ("fresh", 6)),
        (f"UPDATE members SET muted = true {MEMBER}", ("fresh", 5)),
        (
            f"""WITH slow AS (UPDATE channels SET slow_mode_seconds = 60 WHERE id = %(channel)s)
            UPDATE members SET last_posted_at = now() {MEMBER}""",
            ("SLOW_MODE", 0),
        ),
    ],
    ids=["removed", "silenced", "made a reader", "numbered by another", "muted", "made slow"],
)
@pytest.mark.parametrize("mixed", [False, True], ids=["posts", "with an edit"])
async def test_a_batch_that_waited_for_a_change_of_its_channel_is_judged_after_it(
    town: Town, change: str, expected: tuple[str, int], mixed: bool
) -> None:
    channel, elsewhere = await town.channel("ann", "bob"), await town.channel("zoe")
    message = MessageId((await town.post(channel, "ann")).message)
    batch = [town.command(elsewhere, "zoe", Post("aside")), town.command(channel, "bob", Post("late"))]
    if mixed:
        batch.append(town.command(channel, "ann", Edit(message, "new")))
    async with open_database(town.url, connections=2, name="change") as others, others.transaction(EVERY_TENANT) as other:
        await channels.lock(other, ChannelId(channel))
        waiting = asyncio.create_task(results(town, *batch))
        await until_a_lock_is_awaited(town)
        await other.execute(change.encode(), {"channel": channel})
    (_, late, *edit) = await waiting
    assert late == expected
    assert [verdict for verdict, _ in edit] == ["fresh"] * mixed


async def test_a_batch_waits_for_a_locked_channel_as_long_as_its_caller_allows(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    post = town.command(channel, "bob", Post("hello"))
    async with town.database.transaction(EVERY_TENANT) as holder:
        await channels.lock(holder, ChannelId(channel))
        with pytest.raises(Unavailable) as given_up:
            await handle(town.database, [post], lock_seconds=0.05)
        assert isinstance(given_up.value.__cause__, psycopg.errors.LockNotAvailable)
        waiting = asyncio.create_task(town.do(post))
        await until_a_lock_is_awaited(town)
    (outcome,) = await waiting
    assert outcome.verdict is Verdict.FRESH


# Lost answers.

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


async def test_posts_whose_connection_ends_before_the_commit_are_stored_once_when_repeated(own_town: Town) -> None:
    town = own_town
    channel = await town.channel("ann", "bob")
    batch = [town.command(channel, user, Post("hello")) for user in ("bob", "ann")]
    async with town.database.connection(EVERY_TENANT) as connection:
        for statement in DIE:
            await connection.execute(statement.encode())
        with pytest.raises(Unavailable):
            await town.do(*batch)
        await connection.execute("DROP TRIGGER die ON entries")
    assert len(await town.log(channel)) == 3
    assert await results(town, *batch) == [("fresh", 4), ("fresh", 5)]
    assert await results(town, town.command(channel, "bob", Post("next"))) == [("fresh", 6)]


class Line:
    """A connection to PostgreSQL that can lose answers: none is delivered, and the connection ends on request."""

    def __init__(self, url: str) -> None:
        self._server = psycopg.conninfo.conninfo_to_dict(url)
        self.url = ""
        self.loses = False
        self.lost = asyncio.Event()
        """Set once an answer of the server was lost."""
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
async def test_posts_whose_answer_is_lost_after_the_commit_are_stored_once(town: Town, cancelled: bool) -> None:
    channel = await town.channel("ann", "bob")
    async with (
        Line(town.url).listening() as line,
        open_database(line.url, connections=1, pipelines=1, pipeline_settings=PLANNER_SETTINGS, name="worker") as database,
    ):
        await handle(database, [town.command(channel, "bob", Post("first"))])
        async with database.connection([town.tenant]):
            pass  # the line must not lose the answers of a connection that is still being opened
        batch = [town.command(channel, user, Post("hello")) for user in ("bob", "ann")]
        line.loses = True
        under_way = asyncio.create_task(handle(database, batch))
        await line.lost.wait()
        if cancelled:
            under_way.cancel()
        else:
            line.ends.set()
        with pytest.raises(asyncio.CancelledError if cancelled else Unavailable):
            await under_way
        line.loses = False
        assert len(await town.log(channel)) == 6
        stored = await handle(database, [*batch, town.command(channel, "ann", Post("next"))])
        assert [result(outcome) for outcome in stored.outcomes] == [("again", 5), ("again", 6), ("fresh", 7)]
        assert [entry.seq for entry in stored.entries] == [5, 6, 7]
    assert [event.seq for event in await town.log(channel)] == list(range(1, 8))
