"""Reads the kernel's data about processes: children, processor time, memory, cores.

`contention` and the scenarios interpret them.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class _Stat:
    """The fields of /proc/<pid>/stat that matter here (proc(5))."""

    parent: int
    ticks: int
    """User and system, of all threads, living or not."""
    reaped_ticks: int
    """The same of children that have ended and were waited for."""


def tree(*roots: int) -> list[int]:
    """Return the processes `roots` and everything below them that lives."""
    children: dict[int, list[int]] = {}
    for pid, stat in _all().items():
        children.setdefault(stat.parent, []).append(pid)
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def tree_seconds(root: int) -> float:
    """Return the processor time of everything below and with `root`, including what has already ended."""
    stats = _all()
    below = [stats[pid] for pid in tree(root) if pid in stats]
    return sum(stat.ticks + stat.reaped_ticks for stat in below) / _TICKS_PER_SECOND


def seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes, without their children's."""
    stats = _all()
    return sum(stats[pid].ticks for pid in pids if pid in stats) / _TICKS_PER_SECOND


def memory_kib(pid: int) -> int:
    """Return the process's own memory: private pages and its share of shared ones (Pss), in KiB."""
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def written_calls(pid: int) -> int:
    """Return how many write(2) and writev(2) calls the process has made (those of send(2) are not among them, see proc(5))."""
    for line in (_PROC / str(pid) / "io").read_text().splitlines():
        if line.startswith("syscw:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def pin(pids: Iterable[int], cores: set[int]) -> None:
    """Let the processes run on `cores` only, with every thread that they have; their future children too."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a connection's process has ended meanwhile
            for thread in (_PROC / str(pid) / "task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)


def _all() -> dict[int, _Stat]:
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            fields = text[text.rindex(")") + 2 :].split()
            found[int(folder.name)] = _Stat(
                parent=int(fields[1]),
                ticks=int(fields[11]) + int(fields[12]),
                reaped_ticks=int(fields[13]) + int(fields[14]),
            )
    return found
