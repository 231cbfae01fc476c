"""Tells whether this process can use its database, and if not, why: reachable, writable, the right schema, a bounded role.

The check has a connection of its own, so a busy pool does not make a process unready. Requires the extra
`hubbub-chassis[postgres]`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from chassis.database_role import RoleCheck
from chassis.lifecycle import Unusable
from chassis.migrate import Migration

_CONNECT_SECONDS = 2
_STATE = """
SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool,
  (SELECT coalesce(json_object_agg(name, digest), '{}') FROM migrations)
"""
_UNDEFINED_TABLE, _NO_RIGHT = "42P01", "42501"
# Parts of libpq's, psycopg's and the server's messages: libpq reports no SQLSTATE for a connection that fails.
_CAUSES = {
    "password authentication failed": "it refuses the user or the password",
    "no password supplied": "it asks for a password, and the URL has none",
    "no pg_hba.conf entry": "it does not admit this user from this host (pg_hba.conf)",
    "too many clients": "it has no connection left: raise max_connections",
    "remaining connection slots": "it has no connection left: raise max_connections",
    "too many connections": "it has no connection left for this role or database",
    "is not permitted to log in": "its role may not log in",
    "does not exist": "the database or the role does not exist",
    "starting up": "it is starting",
    "shutting down": "it is shutting down",
    "resolve host": "its host name cannot be resolved",
    "translate host name": "its host name cannot be resolved",
    "refused": "nothing listens at its address",
    "unreachable": "its address cannot be reached",
    "timeout": "it does not answer",
    "certificate": "TLS fails: check sslmode and the certificate",
    "SSL": "TLS fails: check sslmode and the certificate",
    "unsupported startup parameter": "a pooler in between refuses `options`: connect directly or in session mode",
}


class DatabaseCheck:
    """Checks one database. Called by `lifecycle.keep_ready`."""

    def __init__(self, url: str, name: str, schema: Sequence[Migration], role: RoleCheck) -> None:
        self._address = make_conninfo(
            url, application_name=f"{name}-check", connect_timeout=_CONNECT_SECONDS, options="-c statement_timeout=2s"
        )
        self._schema = schema
        """The migrations that this release needs."""
        self._role = role
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def __call__(self) -> None:
        """Raise `Unusable` unless this release can work with the database. Cancelling is safe."""
        try:
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(self._address, autocommit=True)
                await self._check_role(self._connection)
            await self._check_state(self._connection)
        except psycopg.Error as error:
            await self.disconnect()
            raise Unusable(_cause(error)) from error
        except BaseException:  # cancelled, too: the answer may still come
            await self.disconnect()
            raise

    async def disconnect(self) -> None:
        """Let the next check connect anew: a connection that is open proves nothing about new ones."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _check_role(self, connection: psycopg.AsyncConnection[Any]) -> None:
        excess, _ = await self._role.excess(connection)
        if excess:
            raise Unusable(f"its role {excess}: use one with only the rights of its work (docs/operations.md, Database roles)")

    async def _check_state(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row: Any = await (await connection.execute(_STATE)).fetchone()
        read_only, applied = row
        if read_only:
            raise Unusable("it is read-only: a standby, or a failover that has not ended")
        missing = [each.name for each in self._schema if each.name not in applied]
        if missing:
            raise Unusable(
                f"its schema is at {max(applied, default='nothing')}, this release needs {missing[-1]}: run the migrations"
            )
        changed = [each.name for each in self._schema if applied[each.name] != each.digest]
        if changed:
            raise Unusable(f"its schema was made by another version of {changed[0]}: it belongs to another build")


@asynccontextmanager
async def open_database_check(
    url: str, *, name: str, schema: Sequence[Migration], role: RoleCheck
) -> AsyncIterator[DatabaseCheck]:
    """Make a check; its connection is closed at the end of the block."""
    check = DatabaseCheck(url, name, schema, role)
    try:
        yield check
    finally:
        await check.disconnect()


def _cause(error: psycopg.Error) -> str:
    if error.sqlstate == _UNDEFINED_TABLE:
        return "it has no schema: run the migrations"
    if error.sqlstate == _NO_RIGHT:
        return "its role may not read the table migrations: grant SELECT"
    if error.sqlstate is not None:
        return f"it refuses the check (SQLSTATE {error.sqlstate})"
    text = str(error)
    return next((cause for part, cause in _CAUSES.items() if part in text), "the connection fails")
