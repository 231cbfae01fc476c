"""The supervisor keeps processes running, and leaves none behind."""

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
_DEAF = f"import signal; [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)]; {_SLEEP}"
_POLITE = f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye'))); {_SLEEP}"


class Running:
    """A supervisor in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder

    async def line(self, containing: str) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(10):
            while line := await self.process.stdout.readline():
                if containing in line.decode():
                    return line.decode().rstrip()
        raise AssertionError(f"it ended without saying {containing!r}")

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


def lives(pid: int) -> bool:
    """Tell whether a process runs: a zombie, which waits for whoever adopted it, does not."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


async def test_a_process_that_dies_is_started_again_within_two_seconds(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_SLEEP) as running:
        first = running.pid("one")
        os.kill(first, signal.SIGKILL)
        assert await until(lambda: running.pid("one") != first, 2) < 2
        assert await running.line("SIGKILL") == "one               | was ended by SIGKILL; starting it again"
        assert lives(running.pid("one"))


async def test_a_process_that_keeps_dying_is_tried_again_with_a_pause_of_a_second_at_most(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_SLEEP) as running:
        pauses = []
        for _ in range(6):
            pid = running.pid("one")
            os.kill(pid, signal.SIGKILL)
            pauses.append(await until(lambda before=pid: running.pid("one") != before, 2))  # type: ignore[misc]
        assert max(pauses) < 2


async def test_a_supervisor_that_is_killed_leaves_no_process_behind(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_DEAF, two=_SLEEP) as running:
        pids = [running.pid("one"), running.pid("two")]
        running.process.kill()
        await until(lambda: not any(map(lives, pids)), 2)


async def test_processes_end_in_the_reverse_order_of_their_start(tmp_path: Path) -> None:
    async with supervising(tmp_path, server=_POLITE, service=_POLITE) as running:
        running.process.terminate()
        assert (await running.line("bye")).startswith("service")
        assert (await running.line("bye")).startswith("server")
        assert await running.process.wait() == 0


async def test_a_process_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    async with supervising(tmp_path, one=_DEAF) as running:
        pid = running.pid("one")
        running.process.terminate()
        await asyncio.wait_for(running.process.wait(), 8)
        assert not lives(pid)


async def test_each_line_is_behind_the_name_of_its_process(tmp_path: Path) -> None:
    async with supervising(
        tmp_path, one=f"import sys; sys.stderr.write('first\\nsecond'); sys.stderr.flush(); {_SLEEP}"
    ) as running:
        os.kill(running.pid("one"), signal.SIGKILL)
        assert await running.line("second") == "one               | second"


async def test_a_reader_who_stops_reading_does_not_stop_the_processes(tmp_path: Path) -> None:
    talkative = f"for n in range(40_000): print('x' * 80)\n{_SLEEP}"
    async with supervising(tmp_path, one=_SLEEP, two=talkative) as running:
        assert running.pid("two")
