"""Applies a service's schema migrations: numbered SQL files, each once, in order, forward only.

An advisory lock serializes concurrent runs. Migrations run while the previous release is still active: a release may add what it
needs, and the next one may remove what is no longer used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources

import psycopg
import structlog

log = structlog.get_logger()
_LOCK = 0x6875_6262_7562  # any number that is locked by nothing else in this database
_TIMEOUTS = "-c lock_timeout=30s -c statement_timeout=300s"
_LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class ChangedMigrationError(Exception):
    """A file differs from the one applied under its name. Applied files must not be edited; add a new one."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration file."""

    name: str
    sql: str

    @property
    def digest(self) -> str:
        """The hash that the ledger stores."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(package: str) -> list[Migration]:
    """The files in the `migrations` folder of `package`, in order."""
    files = [file for file in resources.files(package).joinpath("migrations").iterdir() if file.name.endswith(".sql")]
    return [Migration(file.name, file.read_text("utf-8")) for file in sorted(files, key=lambda file: file.name)]


async def migrate(database_url: str, files: list[Migration]) -> list[str]:
    """Apply missing files, each in its own transaction; returns their names.

    Raises `ChangedMigrationError`, and `psycopg.Error` when a file fails; that file has no effect.
    """
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True, connect_timeout=10, options=_TIMEOUTS)
    async with connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        await connection.execute(_LEDGER)
        rows = await (await connection.execute("SELECT name, digest FROM migrations")).fetchall()
        applied: dict[str, str] = dict(rows)
        done = []
        for file in files:
            if file.name in applied:
                if applied[file.name] != file.digest:
                    raise ChangedMigrationError(file.name)
                continue
            async with connection.transaction():
                await connection.execute(file.sql.encode())
                await connection.execute("INSERT INTO migrations (name, digest) VALUES (%s, %s)", [file.name, file.digest])
            log.info("migration_applied", name=file.name)
            done.append(file.name)
        return done
