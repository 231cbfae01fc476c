"""Drives one load generator process: a command in, its measured answer out."""

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
    """The load generator failed, or did not carry out the command."""


class Answer(msgspec.Struct, frozen=True):
    """What the generator counted during one command (see load/tally.h)."""

    command: str
    whole: bool
    """The whole command was carried out in time."""
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
    """Seconds of processor time: `load` is the generator's, the others by the names given to `watch`."""
    delivery_us: list[tuple[int, int]]
    last_us: list[tuple[int, int]]
    ack_us: list[tuple[int, int]]
    opening_us: list[tuple[int, int]]

    @property
    def to_last(self) -> Durations:
        """From sending to the last of the members."""
        return Durations(self.last_us)

    @property
    def to_each(self) -> Durations:
        """From sending to each member."""
        return Durations(self.delivery_us)

    @property
    def trouble(self) -> str:
        """What went wrong, in words; empty if nothing did."""
        found = [f"{reason}: {count}" for reason, count in self.reasons.items()]
        found += [f"{self.unfinished} messages unfinished"] if self.unfinished else []
        found += [f"{self.duplicates} duplicates"] if self.duplicates else []
        return ", ".join(found)


class Generator:
    """One process of the load generator; an async context manager that ends it on exit."""

    def __init__(
        self, program: Path, speech: str, targets: Sequence[str], plan: Path, count: int, *options: str, cores: set[int]
    ) -> None:
        self._command = [
            *(str(program), "--speech", speech, "--plan", str(plan), "--count", str(count), *options),
            *(word for target in targets for word in ("--target", target)),
        ]
        """Its command line."""
        self._cores = cores
        """Where it runs."""
        self._process: asyncio.subprocess.Process | None = None
        """Running inside the context."""

    async def __aenter__(self) -> Self:
        """Start it, with no socket open yet."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_LINE_BYTES
        )
        processes.pin([self._process.pid], self._cores)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End it, and with it its sockets."""
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
        """Carry out `command` and return the counts, with the processor time of `watch`'s processes meanwhile.

        Raises LoadError when the generator ended or has no answer in time.
        """
        await self.tell(command, watch, **options)
        return await self.hear(timeout_seconds)

    async def tell(self, command: str, watch: Mapping[str, Sequence[int]] | None = None, **options: float) -> None:
        """Start `command`; `hear` returns its answer."""
        _, commands, _ = self._running
        words = [command, *(f"{name}={value:g}" for name, value in options.items())]
        if watch:
            words.append("watch=" + ",".join(f"{name}:{pid}" for name, pids in watch.items() for pid in pids))
        commands.write((" ".join(words) + "\n").encode())
        await commands.drain()

    async def listen(self, expect: int, timeout_seconds: float) -> None:
        """Make it wait for deliveries of another generator's messages, and return once it waits; `hear` returns its answer."""
        await self.tell("listen", expect=expect, timeout=timeout_seconds)
        await self._line(timeout_seconds)

    async def hear(self, timeout_seconds: float) -> Answer:
        """Return the answer to the oldest started command."""
        return msgspec.json.decode(await self._line(timeout_seconds), type=Answer)

    async def _line(self, timeout_seconds: float) -> bytes:
        _, _, answers = self._running
        try:
            line = await asyncio.wait_for(answers.readline(), timeout_seconds)
        except TimeoutError:
            raise LoadError(f"The load generator had no answer in {timeout_seconds:g} s.") from None
        if not line:
            raise LoadError("The load generator ended early; its last words are above.")
        return line

    @property
    def _running(self) -> tuple[asyncio.subprocess.Process, asyncio.StreamWriter, asyncio.StreamReader]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise LoadError("The load generator was not started.")
        return process, process.stdin, process.stdout
