"""The whole product in one block, for tests: the same `python -m stack` as `make run`, on free ports.

Leaves everything inside it to `python -m stack`; a test talks to it as any client or operator would.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from chassis.grpc_client import open_channel
from chassis.identity import Identity, private_key
from stack import probes
from stack.callers import PRODUCT, key_file
from stack.errors import NotReadyError
from stack.process import Command, spawn, stop, tail, until_ready

_LOOK_SECONDS = 0.01
_STOP_SECONDS = 40


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway of a running stack."""

    name: str
    """In pids.json: gateway-0, gateway-1, …"""
    url: str
    """http://host:port"""


class Stack:
    """A running product: `async with Stack(tmp_path, gateways=2) as stack`.

    Ready when the block begins: every process answers /readyz. Its data is kept under `data`, so a second Stack on the
    same folder finds what the first one left. Raises NotReadyError, quoting the log, when it does not come up.
    """

    def __init__(self, data: Path, *, gateways: int = 1, workers: int = 1, env: Mapping[str, str] | None = None) -> None:
        self.data = data
        """HUBBUB_DATA."""
        self.log_file = data / "stack.log"
        """Everything that `make run` would show."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")}
        counts = {"GATEWAYS": str(gateways), "WORKERS": str(workers)}
        place = {"HUBBUB_DATA": str(data), "HUBBUB_PORT": "0", "HUBBUB_WEB_ROOT": str(Path("web/dist").absolute())}
        self._command = Command(
            name="stack",
            argv=(sys.executable, "-m", "stack"),
            ready=self._is_up,
            env={**inherited, **counts, **place, **(env or {})},
            grace_seconds=_STOP_SECONDS,
        )
        """What is run."""
        self._process: asyncio.subprocess.Process | None = None
        """The supervisor, while it runs."""

    async def __aenter__(self) -> Self:
        """Start everything."""
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End everything in order."""
        await self.stop()

    async def start(self, timeout_seconds: float = 120.0) -> None:
        """Start, or start again after `stop` or after the supervisor was killed."""
        self.data.mkdir(mode=0o711, parents=True, exist_ok=True)
        (self.data / "endpoints.json").unlink(missing_ok=True)
        with self.log_file.open("ab") as log:
            self._process = process = await spawn(self._command, log)
        try:
            await until_ready(self._command, process, timeout_seconds)
        except NotReadyError as error:
            await self.stop()
            raise NotReadyError(error.name, error.problem, tail(self.log_file)) from None
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything in order; harmless when it has ended."""
        if self._process is not None:
            await stop(self._process, self._command)

    @property
    def pid(self) -> int:
        """The supervisor's."""
        if self._process is None:
            raise NotReadyError("the stack", "was not started")
        return self._process.pid

    @property
    def pids(self) -> dict[str, int]:
        """The pid of every process's latest start, by name."""
        pids: dict[str, int] = json.loads((self.data / "pids.json").read_bytes())
        return pids

    @property
    def endpoints(self) -> dict[str, object]:
        """Where everything listens: `gateways` (URLs), `services` and `ops` (host:port by name), and the stores' variables."""
        endpoints: dict[str, object] = json.loads((self.data / "endpoints.json").read_bytes())
        return endpoints

    @property
    def gateways(self) -> list[Gateway]:
        """The gateways, in the order of their numbers."""
        urls = self.endpoints["gateways"]
        assert isinstance(urls, list)  # noqa: S101 (narrows what JSON cannot)
        return [Gateway(f"gateway-{number}", url) for number, url in enumerate(urls)]

    def ops_url(self, name: str) -> str:
        """Return where the process `name` answers /healthz, /readyz and /metrics."""
        ops = self.endpoints["ops"]
        assert isinstance(ops, dict)  # noqa: S101 (narrows what JSON cannot)
        return f"http://{ops[name]}"

    def identity(self, caller: str = PRODUCT) -> Identity:
        """Return the identity of the stack's product, or of its gateways, towards the services."""
        return Identity(caller, private_key(key_file(self.data, caller).read_text()))

    def channel(self, service: str, caller: str = PRODUCT) -> grpc.aio.Channel:
        """Return a channel to a service, on which each call is made as the stack's product, or as its gateways."""
        services = self.endpoints["services"]
        assert isinstance(services, dict)  # noqa: S101 (narrows what JSON cannot)
        return open_channel(services[service], self.identity(caller))

    @property
    def log(self) -> str:
        """Everything that was printed until now."""
        return self.log_file.read_text(errors="replace")

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process, and return the pid it had, for `started`."""
        pid = self.pids[name]
        os.kill(pid, number)
        return pid

    async def started(self, name: str, *, after: int, timeout_seconds: float = 15.0) -> int:
        """Return the pid of `name` once it was started again after the process `after`."""
        await _until(lambda: self.pids[name] != after, timeout_seconds, name)
        return self.pids[name]

    async def serving(self, name: str, *, timeout_seconds: float = 30.0) -> None:
        """Return when the gateway or service `name` answers /readyz with 200."""
        host, _, port = self.ops_url(name).removeprefix("http://").partition(":")
        try:
            async with asyncio.timeout(timeout_seconds):
                while not await probes.http_ok(host, int(port), "/readyz"):
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise NotReadyError(name, f"did not become ready within {timeout_seconds:g} s", tail(self.log_file)) from None

    async def _is_up(self) -> bool:
        return (self.data / "endpoints.json").exists()


async def _until(condition: Callable[[], bool], timeout_seconds: float, what: str) -> None:
    """Look until `condition` holds; the files that a supervisor writes have no other way to be waited for."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while not condition():
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise NotReadyError(what, f"did not come within {timeout_seconds:g} s") from None
