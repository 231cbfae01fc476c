"""What the passwords of one process allow: its work, and neither another tenant's rows nor another process's messages."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
import redis.asyncio

from stack import Stack
from tests.flow.world import World

_ISSUERS = '[{"issuer": "https://issuer.example", "audience": "hubbub", "tenants": ["t"], "jwks_file": "%s"}]'


async def test_the_product_runs_in_production_with_the_roles_and_users_of_the_local_stack(tmp_path: Path) -> None:
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    env = {"HUBBUB_ENV": "production", "HUBBUB_DEV_LOGIN": "0", "HUBBUB_TRUSTED_PROXIES": "none"}
    env["HUBBUB_ISSUERS"] = _ISSUERS % (tmp_path / "jwks.json")
    async with Stack(tmp_path / "data", env=env) as stack:
        assert "database_role_refused" not in stack.log
        assert "row_security_bypassed" not in stack.log
        known = stack.endpoints
        owner = {"HUBBUB_MESSAGES_DATABASE_URL": str(known["HUBBUB_MESSAGES_MIGRATION_DATABASE_URL"])}
        sweeper = {"HUBBUB_MESSAGES_DATABASE_URL": str(known["HUBBUB_MESSAGES_SWEEPER_DATABASE_URL"])}
        for given, cause in ((owner, "messages owns the database"), (sweeper, "messages_sweeper may work on every tenant")):
            code, told = await started("worker", {**worker(known), **given})
            assert code == 2
            assert told == [f"The database role {cause} (docs/operations.md, Database roles)"]


def worker(known: Mapping[str, object]) -> dict[str, str]:
    """The settings of a worker in production."""
    names = ("HUBBUB_MESSAGES_DATABASE_URL", "HUBBUB_MESSAGES_SWEEPER_DATABASE_URL", "HUBBUB_BUS_URL")
    return {**{name: str(known[name]) for name in names}, "HUBBUB_ENV": "production", "HUBBUB_DRAIN_SECONDS": "1"}


async def started(command: str, env: dict[str, str]) -> tuple[int | None, list[str]]:
    """Exit code and standard error of a messages process that must refuse to start."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "messages", command),
        env={"PATH": os.environ["PATH"], **env},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, told = await process.communicate()
    return process.returncode, told.decode().splitlines()


@pytest.mark.parametrize("service", ["MESSAGES", "MEDIA"])
async def test_a_services_password_shows_no_tenant_that_it_does_not_name(world: World, service: str) -> None:
    ann = await world.person("ann")
    await world.room(ann)
    table = "users" if service == "MESSAGES" else "uploads"
    url = str(world.stack.endpoints[f"HUBBUB_{service}_DATABASE_URL"])
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in ("SELECT 1", "SET hubbub.tenants = '{*}'", "SET hubbub.tenants = '{none}'"):
            await connection.execute(statement.encode())
            rows = await connection.execute(f"SELECT count(*) FROM {table}".encode())
            assert await rows.fetchone() == (0,)
        for statement in (
            f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY",
            f"TRUNCATE {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            "CREATE TABLE mine ()",
            "SET ROLE hubbub_every_tenant",
            "SET session_replication_role = replica",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        await psycopg.AsyncConnection.connect(url.rpartition("/")[0] + ("/media" if service == "MESSAGES" else "/messages"))


async def test_a_gateways_password_forges_no_event(world: World) -> None:
    url = str(world.stack.endpoints["HUBBUB_BUS_URL:gateway"])
    async with redis.asyncio.from_url(url) as client:
        for topic in ("events.0", "replies.gateway-1", "rejected"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                await client.xadd(f"bus:{topic}", {"p": "forged"})
