"""The supervisor restarts processes, and leaves none running."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

_PROGRAM = Path(__file__).with_name("supervised.py")
_SLEEP = "import os, time; open(os.environ['UP'], 'w').close(); time.sleep(600)"
_IGNORES_SIGNALS = f"import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; {_SLEEP}"
_STOPS_ON_SIGTERM = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye'))); {_SLEEP}"


class Running:
    """A supervisor in its own process."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder

    async def line(self, containing: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(10):
            while line := await self.process.stdout.readline():
                if containing in line.decode():
                    return line.decode().rstrip()
        raise AssertionError(f"it ended without printing {containing!r}")

    def pid(self, name: str) -> int:
        return int(json.loads((self.folder / "pids.json").read_text())[name])


@contextlib.asynccontextmanager
async def supervising(folder: Path, **codes: str) -> AsyncIterator[Running]:
    specifications = json.dumps([{"name": name, "code": code} for name, code in codes.items()])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(_PROGRAM), str(folder), specifications),
        stdout=asyncio.subprocess.PIPE,
    )
    running = Running(process, folder)
    try:
        await until((folder / "ready").exists, 10)
        yield running
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.communicate(), 15)


async def until(condition: Callable[[], bool], seconds: float) -> float:
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
    return time.monotonic() - began


def is_running(pid: int) -> bool:
    """Return whether a process is running. A zombie is not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


async def test_a_dead_process_is_restarted_within_two_seconds(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_SLEEP) as running:
        first = running.pid("one")
        os.kill(first, signal.SIGKILL)
        assert await until(lambda: running.pid("one") != first, 2) < 2
        assert await running.line("SIGKILL") == "one               | was killed by SIGKILL; restarting it"
        assert is_running(running.pid("one"))


async def test_a_process_that_keeps_dying_is_restarted_within_a_second_or_so(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_SLEEP) as running:
        pauses = []
        for _ in range(6):
            pid = running.pid("one")
            os.kill(pid, signal.SIGKILL)
            pauses.append(await until(lambda before=pid: running.pid("one") != before, 2))  # type: ignore[misc]
        assert max(pauses) < 2


async def test_a_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_IGNORES_SIGNALS, two=_SLEEP) as running:
        pids = [running.pid("one"), running.pid("two")]
        running.process.kill()
        await until(lambda: not any(map(is_running, pids)), 2)


async def test_processes_stop_in_reverse_order_of_their_start(tmp_path: Path) -> None:
    async with supervising(tmp_path, server=_STOPS_ON_SIGTERM, service=_STOPS_ON_SIGTERM) as running:
        running.process.terminate()
        assert (await running.line("bye")).startswith("service")
        assert (await running.line("bye")).startswith("server")
        assert await running.process.wait() == 0


async def test_a_process_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_IGNORES_SIGNALS) as running:
        pid = running.pid("one")
        running.process.terminate()
        await asyncio.wait_for(running.process.wait(), 8)
        assert not is_running(pid)


async def test_each_line_begins_with_the_name_of_its_process(tmp_path: Path) -> None:
    async with supervising(
        tmp_path, one=f"import sys; sys.stderr.write('first\\nsecond'); sys.stderr.flush(); {_SLEEP}"
    ) as running:
        os.kill(running.pid("one"), signal.SIGKILL)
        assert await running.line("second") == "one               | second"


async def test_a_blocked_reader_does_not_stop_the_processes(tmp_path: Path) -> None:
    verbose = f"for n in range(40_000): print('x' * 80)\n{_SLEEP}"
    async with supervising(tmp_path, one=_SLEEP, two=verbose) as running:
        assert running.pid("two")
