"""Reads processes from the kernel: children, processor time, memory. Pins them to cores."""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class _Stat:
    """Fields of /proc/<pid>/stat (proc(5))."""

    parent: int
    ticks: int
    """User and system time of all threads, including ended ones."""
    reaped_ticks: int
    """User and system time of ended children that were waited for."""


def tree(*roots: int) -> list[int]:
    """Return `roots` and all their running descendants."""
    children: dict[int, list[int]] = {}
    for pid, stat in _all().items():
        children.setdefault(stat.parent, []).append(pid)
    found: list[int] = []
    pending = list(roots)
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending.extend(children.get(pid, ()))
    return found


def tree_seconds(root: int) -> float:
    """Return the processor time of `root` and its descendants, including ended ones."""
    stats = _all()
    below = [stats[pid] for pid in tree(root) if pid in stats]
    return sum(stat.ticks + stat.reaped_ticks for stat in below) / _TICKS_PER_SECOND


def seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes, without their children."""
    stats = _all()
    return sum(stats[pid].ticks for pid in pids if pid in stats) / _TICKS_PER_SECOND


def memory_kib(pid: int) -> int:
    """Return the process's memory in KiB: private pages and its share of shared ones (Pss)."""
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def written_calls(pid: int) -> int:
    """Return the number of write(2) and writev(2) calls of the process. send(2) is not counted (proc(5))."""
    for line in (_PROC / str(pid) / "io").read_text().splitlines():
        if line.startswith("syscw:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def pin(pids: Iterable[int], cores: set[int]) -> None:
    """Restrict processes, their threads and their future children to `cores`."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the process has ended
            for thread in (_PROC / str(pid) / "task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)


def _all() -> dict[int, _Stat]:
    found = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            fields = text[text.rindex(")") + 2 :].split()
            found[int(folder.name)] = _Stat(
                parent=int(fields[1]),
                ticks=int(fields[11]) + int(fields[12]),
                reaped_ticks=int(fields[13]) + int(fields[14]),
            )
    return found
