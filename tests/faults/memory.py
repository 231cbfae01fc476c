"""Reads a process's memory from the kernel, and pauses a server with all its child processes."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


@contextlib.contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Pause processes and all their children for the length of the block."""
    family = [*pids, *(child for pid in pids for child in _children(pid))]
    try:
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").glob("*/children") for child in task.read_text().split()]
