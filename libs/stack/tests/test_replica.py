"""Two PostgreSQL servers behind one address."""

from pathlib import Path

import psycopg

from stack.postgres import Postgres
from stack.replica import Pair


async def test_committed_rows_survive_two_fail_overs_under_one_address(server_data: Path) -> None:
    async with Pair(server_data / "pair", server_data / "pair.log").serving() as pair:
        url = await pair.primary.ensure_database("things")
        for number in range(2):
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute("CREATE TABLE IF NOT EXISTS things (n int)")
                await connection.execute("INSERT INTO things VALUES (%s)", [number])
            await pair.fail_over()
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                found = await (await connection.execute("SELECT n FROM things ORDER BY n")).fetchall()
                assert found == [(each,) for each in range(number + 1)]
            await pair.add_standby()


async def test_a_standby_that_fell_behind_loses_what_was_committed_since(server_data: Path) -> None:
    async with Pair(server_data / "behind", server_data / "behind.log").serving() as pair:
        url = await pair.primary.ensure_database("things")
        seen: list[tuple[object, ...]] = []

        async def look(server: Postgres) -> None:
            async with await psycopg.AsyncConnection.connect(server.url("things", "things")) as connection:
                seen.extend(await (await connection.execute("SELECT n FROM things ORDER BY n")).fetchall())

        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("CREATE TABLE things (n int)")
            await connection.execute("INSERT INTO things VALUES (1)")
            await pair.fall_behind()
            await connection.execute("INSERT INTO things VALUES (2)")
        await pair.fail_over(look)
        assert seen == [(1,)]
        await pair.add_standby()
