"""Detects other load on the machine during a round. `measure` repeats the round."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench import processes

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_MAX_FOREIGN_CORES = 0.12
"""Kernel threads (journal, write-back) and sampling errors of /proc/stat stay below this."""
_MAX_STOLEN_CORES = 0.02


@dataclass(frozen=True, slots=True)
class Contention:
    """Processor time used by others, in cores: 0.5 is half a core."""

    foreign_cores: float
    """Used by processes outside the bench."""
    stolen_cores: float
    """Given by the hypervisor to other virtual machines."""

    @property
    def quiet(self) -> bool:
        """Whether the round counts."""
        return self.foreign_cores <= _MAX_FOREIGN_CORES and self.stolen_cores <= _MAX_STOLEN_CORES


class Watch:
    """Measures contention from its creation on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._stolen = _machine_seconds()
        self._own = processes.tree_seconds(os.getpid())

    def so_far(self) -> Contention:
        """Return the contention so far."""
        busy, stolen = _machine_seconds()
        own = processes.tree_seconds(os.getpid())
        seconds = time.monotonic() - self._began
        foreign = (busy - self._busy) - (own - self._own)
        return Contention(max(0.0, foreign / seconds), (stolen - self._stolen) / seconds)


def _machine_seconds() -> tuple[float, float]:
    """Return the busy and the stolen time of all cores since boot."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields
    return (user + nice + system + interrupts + soft_interrupts) / _TICKS_PER_SECOND, stolen / _TICKS_PER_SECOND
