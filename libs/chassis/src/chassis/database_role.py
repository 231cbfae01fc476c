"""Refuses, in production, a database role with more rights than its process needs, and an address without verified TLS.

docs/operations.md, Database roles, says how to create the roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict

from chassis.config import ConfigError, is_loopback

log = structlog.get_logger()
_EXCESS = """
WITH me AS (SELECT oid FROM pg_roles WHERE rolname = session_user),
mine AS (SELECT role.* FROM me, pg_roles role WHERE pg_has_role(me.oid, role.oid, 'MEMBER')),
tables AS (SELECT * FROM pg_class WHERE relnamespace = to_regnamespace('public'))
SELECT CASE
  WHEN EXISTS (SELECT FROM mine WHERE rolsuper) THEN 'is a superuser'
  WHEN EXISTS (SELECT FROM mine WHERE rolbypassrls) THEN 'bypasses row-level security'
  WHEN EXISTS (SELECT FROM mine WHERE rolcreaterole OR rolcreatedb OR rolreplication) THEN 'may create roles or databases'
  WHEN EXISTS (SELECT FROM mine JOIN pg_database ON datdba = mine.oid WHERE datname = current_database())
    THEN 'owns the database'
  WHEN EXISTS (SELECT FROM mine JOIN tables ON relowner = mine.oid) THEN 'owns tables'
  WHEN EXISTS (SELECT FROM mine WHERE starts_with(rolname, 'pg_')) THEN 'belongs to a predefined role'
  WHEN (SELECT has_schema_privilege(me.oid, to_regnamespace('public'), 'CREATE') FROM me) THEN 'may create tables'
  WHEN EXISTS (
    SELECT FROM me, tables WHERE relkind IN ('r', 'p') AND has_table_privilege(me.oid, tables.oid, 'TRUNCATE, TRIGGER'))
    THEN 'may truncate tables or add triggers'
  WHEN %s AND EXISTS (SELECT FROM mine WHERE rolname = 'hubbub_every_tenant') THEN 'may work on every tenant'
END, EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls))
"""
"""What the role may do beyond its work, if anything, and whether row-level security does not bind it."""


class ExcessivePrivilegeError(psycopg.OperationalError):
    """A role may do more than its process needs. No connection of such a role is used in production."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCheck:
    """What is expected of the role of a process."""

    production: bool
    every_tenant: bool
    """Whether the role may work across tenants."""

    async def excess(self, connection: psycopg.AsyncConnection[Any]) -> tuple[str, bool]:
        """What the role may do beyond its work (in production, else empty), and whether row-level security does not bind it."""
        row: Any = await (await connection.execute(_EXCESS, [not self.every_tenant])).fetchone()
        excess, unbound = row
        return (excess or "") if self.production else "", unbound

    async def check(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Raise `ExcessivePrivilegeError` in production for a role that may do more than its work."""
        excess, unbound = await self.excess(connection)
        if excess:
            role = connection.info.user
            log.error("database_role_refused", role=role, excess=excess)
            msg = f"The database role {role} {excess} (docs/operations.md, Database roles)"
            raise ExcessivePrivilegeError(msg)
        if unbound:
            log.error("row_security_bypassed")  # tenants are not isolated

    async def refuse(self, address: str) -> None:
        """Raise `ConfigError` where `check` fails. While the server is away, only each later connection is checked."""
        if not self.production:
            return
        try:
            async with await psycopg.AsyncConnection.connect(address, autocommit=True) as connection:
                await self.check(connection)
        except ExcessivePrivilegeError as error:
            raise ConfigError([str(error)]) from error
        except psycopg.OperationalError:
            log.warning("database_role_not_checked")


def require_tls(urls: Mapping[str, str], *, production: bool) -> None:
    """Raise `ConfigError` in production for each address, by its variable, whose server could be impersonated or overheard."""
    problems = [f"{name} needs sslmode=verify-full where HUBBUB_ENV=production" for name, url in urls.items() if _is_exposed(url)]
    if production and problems:
        raise ConfigError(problems)


def _is_exposed(url: str) -> bool:
    if not url:
        return False
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return True
    if parameters.get("sslmode") == "verify-full":
        return False
    hosts = [parameters.get("host"), parameters.get("hostaddr")]
    given = [host for each in hosts if each for host in str(each).split(",")]
    return not given or not all(host.startswith("/") or is_loopback(host) for host in given)  # without one libpq asks PGHOST
