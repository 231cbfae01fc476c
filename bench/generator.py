"""Controls a load generator process: sends commands and reads the results."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bench import processes
from bench.durations import Durations

_STOP_SECONDS = 10
_LINE_BYTES = 1 << 22


class LoadError(Exception):
    """The load generator failed or did not complete a command."""


class Answer(msgspec.Struct, frozen=True):
    """The generator's counters for one command (see load/counters.h)."""

    command: str
    complete: bool
    """Whether the command was completed in time."""
    seconds: float
    ready: int
    unfinished: int
    sent: int
    acked: int
    completed: int
    deliveries: int
    duplicates: int
    others: int
    reads: int
    bytes: int
    opened: int
    dropped: int
    reasons: dict[str, int]
    cpu: dict[str, float]
    """Seconds of processor time: of the generator (`load`), and by the names given to `watch`."""
    delivery_us: list[tuple[int, int]]
    last_us: list[tuple[int, int]]
    ack_us: list[tuple[int, int]]
    opening_us: list[tuple[int, int]]

    @property
    def latency_to_last(self) -> Durations:
        """Latency from sending to the last member."""
        return Durations(self.last_us)

    @property
    def latency_to_each(self) -> Durations:
        """Latency from sending to each member."""
        return Durations(self.delivery_us)

    @property
    def problems(self) -> str:
        """A description of what failed; empty if nothing did."""
        found = [f"{reason}: {count}" for reason, count in self.reasons.items()]
        found += [f"{self.unfinished} messages unfinished"] if self.unfinished else []
        found += [f"{self.duplicates} duplicates"] if self.duplicates else []
        return ", ".join(found)


class Generator:
    """One load generator process, running inside the context."""

    def __init__(
        self, program: Path, protocol: str, targets: Sequence[str], plan: Path, count: int, *options: str, cores: set[int]
    ) -> None:
        self._command = [
            *(str(program), "--protocol", protocol, "--plan", str(plan), "--count", str(count), *options),
            *(word for target in targets for word in ("--target", target)),
        ]
        self._cores = cores
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the process, without open sockets."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_BYTES
        )
        processes.pin([self._process.pid], self._cores)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the process, which closes its sockets."""
        process, commands, _ = self._running
        commands.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def ask(
        self, command: str, watch: Mapping[str, Sequence[int]] | None = None, *, timeout_seconds: float = 120, **options: float
    ) -> Answer:
        """Run `command` and return its counters, with the processor time of `watch`'s processes.

        Raises LoadError if the generator ends or does not answer in time.
        """
        await self.start(command, watch, **options)
        return await self.result(timeout_seconds)

    async def start(self, command: str, watch: Mapping[str, Sequence[int]] | None = None, **options: float) -> None:
        """Start `command`; `result` returns its counters."""
        _, commands, _ = self._running
        words = [command, *(f"{name}={value:g}" for name, value in options.items())]
        if watch:
            words.append("watch=" + ",".join(f"{name}:{pid}" for name, pids in watch.items() for pid in pids))
        commands.write((" ".join(words) + "\n").encode())
        await commands.drain()

    async def listen(self, expect: int, timeout_seconds: float) -> None:
        """Start counting deliveries of another generator's messages; `result` returns the counters."""
        await self.start("listen", expect=expect, timeout=timeout_seconds)
        await self._line(timeout_seconds)

    async def result(self, timeout_seconds: float) -> Answer:
        """Return the counters of the oldest started command."""
        return msgspec.json.decode(await self._line(timeout_seconds), type=Answer)

    async def _line(self, timeout_seconds: float) -> bytes:
        _, _, answers = self._running
        try:
            line = await asyncio.wait_for(answers.readline(), timeout_seconds)
        except TimeoutError:
            raise LoadError(f"The load generator did not answer within {timeout_seconds:g} s.") from None
        if not line:
            raise LoadError("The load generator ended early; its error is above.")
        return line

    @property
    def _running(self) -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter, asyncio.StreamReader]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise LoadError("The load generator was not started.")
        return process, process.stdin, process.stdout
