"""The development overlay's databases on a real PostgreSQL: each service can connect to its own and to no other."""

import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from chassis.postgres import open_database
from stack import redis_users
from stack.postgres import Postgres, postgres
from tests.deploy.manifests import K8S, environment, named

INIT = K8S / "overlays" / "dev" / "stores" / "init.sql"


async def initialised(server: Postgres) -> None:
    """Run init.sql statement by statement, as the image's entry point does."""
    admin = await psycopg.AsyncConnection.connect(server.url("postgres", "postgres"), autocommit=True)
    async with admin:
        for statement in INIT.read_text().split(";"):
            if statement.strip():
                await admin.execute(statement.encode())


def database_url(kind: str, name: str, variable: str, server: Postgres) -> str:
    """The URL of a workload in the development overlay, with the address of the test's server."""
    value = environment("dev", named("dev", kind, name))[variable]
    assert value is not None
    parts = urlsplit(value)
    assert (parts.hostname, parts.port) == ("postgres", 5432)
    credentials = parts.netloc.rpartition("@")[0]
    return urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{server.port}"))


async def test_each_service_can_migrate_its_own_database_and_enter_no_other(server_data: Path) -> None:
    async with postgres(server_data / "development") as server:
        await initialised(server)
        for service in ("messages", "media", "integrations"):
            variable = f"HUBBUB_{service.upper()}_MIGRATION_DATABASE_URL"
            url = database_url("Job", f"{service}-migrate", variable, server)
            command = (sys.executable, "-m", service, "migrate")
            process = await asyncio.create_subprocess_exec(*command, env={"PATH": os.environ["PATH"], variable: url})
            async with asyncio.timeout(60):
                assert await process.wait() == 0
            foreign = "media" if service == "messages" else "messages"
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                await psycopg.AsyncConnection.connect(urlunsplit(urlsplit(url)._replace(path=f"/{foreign}")))
            process_name = "messages-api" if service == "messages" else service
            addresses = [
                database_url("Deployment", process_name, f"HUBBUB_{service.upper()}_{role}DATABASE_URL", server)
                for role in ("", "SWEEPER_")
            ]
            async with open_database(
                addresses[0], sweeper_url=addresses[1], connections=1, name="tests", production=True
            ) as database:
                await database.ping()


def test_the_development_servers_users_have_the_rules_of_the_local_stack() -> None:
    lines = (INIT.parent / "users.acl").read_text().splitlines()
    found = {user: rules for _, user, _, _, rules in (line.split(" ", 4) for line in lines)}
    assert found.pop("default") == "~* &* +@all"
    assert found == redis_users.RULES
