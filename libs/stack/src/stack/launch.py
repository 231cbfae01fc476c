"""Runs the whole product for a test: `python -m stack` as in `make run`, but on free ports."""

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

_POLL_SECONDS = 0.01
_STOP_SECONDS = 40


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway of a running stack."""

    name: str
    """Name in pids.json: gateway-0, gateway-1, …"""
    url: str
    """http://host:port"""


class Stack:
    """A running product: `async with Stack(tmp_path, gateways=2) as stack`.

    When the block begins, every process is ready. The data stays under `data`, so a second Stack on the same folder continues
    with it. Raises NotReadyError, with the end of the log, if it does not start.
    """

    def __init__(self, data: Path, *, gateways: int = 1, workers: int = 1, env: Mapping[str, str] | None = None) -> None:
        self.data = data
        """HUBBUB_DATA."""
        self.log_file = data / "stack.log"
        """The output, as shown by `make run`."""
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
        self._process: asyncio.subprocess.Process | None = None
        """The supervisor, once started."""

    async def __aenter__(self) -> Self:
        """Start everything."""
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything in order."""
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
        """Stop everything in order. Harmless if it has stopped."""
        if self._process is not None:
            await stop(self._process, self._command)

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        if self._process is None:
            raise NotReadyError("the stack", "was not started")
        return self._process.pid

    @property
    def pids(self) -> dict[str, int]:
        """The latest pid of every process, by name."""
        pids: dict[str, int] = json.loads((self.data / "pids.json").read_bytes())
        return pids

    @property
    def endpoints(self) -> dict[str, object]:
        """All addresses: `gateways` (URLs), `services` and `ops` (host:port by name), and the variables of the stores."""
        endpoints: dict[str, object] = json.loads((self.data / "endpoints.json").read_bytes())
        return endpoints

    @property
    def gateways(self) -> list[Gateway]:
        """The gateways, in numerical order."""
        urls = self.endpoints["gateways"]
        assert isinstance(urls, list)  # noqa: S101 (narrows what JSON cannot)
        return [Gateway(f"gateway-{number}", url) for number, url in enumerate(urls)]

    def ops_url(self, name: str) -> str:
        """Return where the process `name` answers /healthz, /readyz and /metrics."""
        ops = self.endpoints["ops"]
        assert isinstance(ops, dict)  # noqa: S101 (narrows what JSON cannot)
        public = {gateway.name: gateway.url for gateway in self.gateways}
        return public.get(name) or f"http://{ops[name]}"

    def identity(self, caller: str = PRODUCT) -> Identity:
        """Return the identity of a caller: the stack's product or its gateways."""
        return Identity(caller, private_key(key_file(self.data, caller).read_text()))

    def channel(self, service: str, caller: str = PRODUCT) -> grpc.aio.Channel:
        """Return a channel to a service, with the identity of the stack's product or its gateways."""
        services = self.endpoints["services"]
        assert isinstance(services, dict)  # noqa: S101 (narrows what JSON cannot)
        return open_channel(services[service], self.identity(caller))

    @property
    def log(self) -> str:
        """The output so far."""
        return self.log_file.read_text(errors="replace")

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a process. Return its pid, for `started`."""
        pid = self.pids[name]
        os.kill(pid, number)
        return pid

    async def started(self, name: str, *, after: int, timeout_seconds: float = 15.0) -> int:
        """Wait until `name` was restarted after the process `after`. Return its pid."""
        await _until(lambda: self.pids[name] != after, timeout_seconds, name)
        return self.pids[name]

    async def serving(self, name: str, *, timeout_seconds: float = 30.0) -> None:
        """Wait until the gateway or service `name` answers /readyz with 200."""
        host, _, port = self.ops_url(name).removeprefix("http://").partition(":")
        try:
            async with asyncio.timeout(timeout_seconds):
                while not await probes.http_ok(host, int(port), "/readyz"):
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise NotReadyError(name, f"did not become ready within {timeout_seconds:g} s", tail(self.log_file)) from None

    async def _is_up(self) -> bool:
        return (self.data / "endpoints.json").exists()


async def _until(condition: Callable[[], bool], timeout_seconds: float, what: str) -> None:
    """Poll until `condition` holds. The supervisor's files offer no other way to wait."""
    try:
        async with asyncio.timeout(timeout_seconds):
            while not condition():
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise NotReadyError(what, f"was not restarted within {timeout_seconds:g} s") from None
