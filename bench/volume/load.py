"""Fills an empty, migrated database of the messages service with a volume store: COPY first, then keys and indexes, then ANALYZE.

It takes the definitions of keys and indexes from the database, so it follows the migrations by itself, except for new columns of
the tables that it fills (`log.COLUMNS` and `_people`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import tempfile
from collections.abc import Iterator
from functools import partial
from multiprocessing.queues import Queue

import psycopg

from bench.volume import log
from bench.volume.plan import Plan, plan
from bench.volume.shape import Shape
from bench.volume.words import person

_SESSION = (
    "-c search_path=public -c synchronous_commit=off -c maintenance_work_mem=512MB -c max_parallel_maintenance_workers=2"
    " -c hubbub.tenants={*} -c statement_timeout=0 -c lock_timeout=5s"
)
_WAITING = 32
"""Blocks of lines that were made and not copied yet."""
_BLOCK = 1 << 20
_INDEXES = """
SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.contype::text
FROM pg_constraint c WHERE c.conrelid = ANY(%(tables)s::regclass[]) AND c.contype IN ('p', 'u', 'f')
UNION ALL
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), 'i'
FROM pg_index i WHERE i.indrelid = ANY(%(tables)s::regclass[])
  AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.contype IN ('p', 'u'))
"""
_USER_WORDS = """
INSERT INTO user_words SELECT tenant, id, word, lower(name) FROM users, words_of_user(name, id) AS word
"""
_REFERRING = """
SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid), c.contype::text
FROM pg_constraint c WHERE c.confrelid = ANY(%(tables)s::regclass[]) AND NOT c.conrelid = ANY(%(tables)s::regclass[])
"""


def fill(url: str, shape: Shape) -> None:
    """Fill the database. `url` is its owner's. The rows become visible at once, at the end."""
    made = plan(shape)
    with psycopg.connect(url, options=_SESSION) as connection:
        tables = [*log.COLUMNS, *_people(shape, made), "user_words"]
        for table in tables:
            if connection.execute(f"SELECT EXISTS (SELECT FROM {table})".encode()).fetchone() != (False,):
                raise SystemExit(f"The table {table} is not empty")
        with _bare(connection, tables):
            for table, (columns, rows) in _people(shape, made).items():
                _copy(connection, table, columns, rows)
            connection.execute(_USER_WORDS)
            with contextlib.ExitStack() as stack:
                _copy_log(connection, shape, stack)
        _audit(connection, made)
    with psycopg.connect(url, options=_SESSION, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


@contextlib.contextmanager
def _bare(connection: psycopg.Connection, tables: list[str]) -> Iterator[None]:
    """Inside the block the tables have no keys, indexes, triggers and row security."""
    known = {"tables": tables}
    dropped = connection.execute(_INDEXES, known).fetchall() + connection.execute(_REFERRING, known).fetchall()
    forced = connection.execute(
        "SELECT relname FROM pg_class WHERE relforcerowsecurity AND oid = ANY(%(tables)s::regclass[])", known
    )
    secured = [name for (name,) in forced.fetchall()]
    for table, name, _, kind in sorted(dropped, key=lambda each: "fiup".index(each[3])):
        drop = f"DROP INDEX {name}" if kind == "i" else f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'
        connection.execute(drop.encode())
    for table in tables:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
    for table in secured:
        connection.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY".encode())
    yield
    for table, name, definition, kind in sorted(dropped, key=lambda each: "puif".index(each[3])):
        create = definition if kind == "i" else f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}'
        connection.execute(create.encode())
    for table in tables:
        connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER".encode())
    for table in secured:
        connection.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY".encode())


def _copy_log(connection: psycopg.Connection, shape: Shape, stack: contextlib.ExitStack) -> None:
    """Copy what the parts make. The entries go straight into the table; other rows wait in files until the entries are copied."""
    parts = max(2, (os.cpu_count() or 2) - 1)
    context = multiprocessing.get_context("spawn")
    queue: Queue[tuple[str, bytes] | None] = context.Queue(_WAITING)
    processes = [context.Process(target=_make, args=(shape, part, parts, queue), daemon=True) for part in range(parts)]
    for process in processes:
        process.start()
    later = {table: stack.enter_context(tempfile.TemporaryFile()) for table in log.COLUMNS}  # noqa: SIM115 - the stack closes it
    with connection.cursor().copy(_copying("entries", log.COLUMNS["entries"])) as copy:
        running = parts
        while running:
            block = queue.get(timeout=60)
            if block is None:
                running -= 1
            elif block[0] == "entries":
                copy.write(block[1])
            else:
                later[block[0]].write(block[1])
    for process in processes:
        process.join()
    for table, file in later.items():
        file.seek(0)
        _copy(connection, table, log.COLUMNS[table], iter(partial(file.read, _BLOCK), b""))


def _make(shape: Shape, part: int, parts: int, queue: Queue[tuple[str, bytes] | None]) -> None:
    for block in log.blocks(shape, part, parts):
        queue.put(block)
    queue.put(None)


def _people(shape: Shape, made: Plan) -> dict[str, tuple[str, Iterator[bytes]]]:
    """Tables about users, each with its columns and lines."""
    return {
        "users": ("tenant, id, name, created_at", _users(shape, made)),
        "browser_sessions": ('tenant, "user", user_agent, idle_seconds, ends_at', _sessions(shape, made)),
        "blocks": ('tenant, blocked, "user"', _blocks(shape, made)),
        "invitations": ('channel, "user", tenant, inviter, role', _invitations(shape, made)),
    }


def _users(shape: Shape, made: Plan) -> Iterator[bytes]:
    dice = random.Random(f"users {shape.seed}")
    for tenant in made.tenants:
        yield "".join(f"{tenant.name}\tu{user}\t{person(dice)}\t2024-01-01Z\n" for user in range(tenant.users)).encode()


def _sessions(shape: Shape, made: Plan) -> Iterator[bytes]:
    dice = random.Random(f"sessions {shape.seed}")
    for tenant in made.tenants:
        signed_in = (user for user in range(tenant.users) for _ in range(dice.choice((0, 0, 0, 1, 2))))
        yield "".join(f"{tenant.name}\tu{user}\tFirefox\t604800\tinfinity\n" for user in signed_in).encode()


def _blocks(shape: Shape, made: Plan) -> Iterator[bytes]:
    dice = random.Random(f"blocks {shape.seed}")
    for tenant in made.tenants:
        pairs = {(dice.randrange(tenant.users), dice.randrange(tenant.users)) for _ in range(tenant.users // 50)}
        yield "".join(f"{tenant.name}\tu{one}\tu{other}\n" for one, other in sorted(pairs) if one != other).encode()


def _invitations(shape: Shape, made: Plan) -> Iterator[bytes]:
    dice, sizes = random.Random(f"invitations {shape.seed}"), {tenant.name: tenant.users for tenant in made.tenants}
    for channel in made.channels:
        user = dice.randrange(sizes[channel.tenant])
        if channel.kind == "group" and user not in channel.members:
            yield f"{channel.id}\tu{user}\t{channel.tenant}\tu{channel.members[0]}\tmember\n".encode()


def _audit(connection: psycopg.Connection, made: Plan) -> None:
    """Audit rows, one for each twenty users, sealed by the function that the product calls."""
    for tenant in made.tenants:
        connection.execute("SELECT set_config('hubbub.tenants', %s, true)", [f"{{{tenant.name}}}"])
        connection.execute(
            """SELECT audit_append(%s, 'u' || n %% 7, 'user.blocked', NULL, 'u' || n, '{"reason":"spam"}')
            FROM generate_series(1, %s) n""",
            [tenant.name, tenant.users // 20],
        )


def _copy(connection: psycopg.Connection, table: str, columns: str, blocks: Iterator[bytes]) -> None:
    with connection.cursor().copy(_copying(table, columns)) as copy:
        for block in blocks:
            copy.write(block)


def _copying(table: str, columns: str) -> bytes:
    return f"COPY {table} ({columns}) FROM STDIN".encode()
