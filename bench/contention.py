"""Tells whether other processes used the machine during a round. `measure` repeats the round."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench import processes

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_MOST_FOREIGN_CORES = 0.12
"""Kernel threads (journal, write-back) and the sampling error of /proc/stat stay below this."""
_MOST_STOLEN_CORES = 0.02


@dataclass(frozen=True, slots=True)
class Contention:
    """The machine time that other processes used, in cores: 0.5 is half a core."""

    foreign_cores: float
    """Processor time of processes outside the bench."""
    stolen_cores: float
    """Processor time that the hypervisor gave to other machines."""

    @property
    def quiet(self) -> bool:
        """Whether the round may be reported."""
        return self.foreign_cores <= _MOST_FOREIGN_CORES and self.stolen_cores <= _MOST_STOLEN_CORES


class Watch:
    """Watches the machine from the moment it is created."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._busy, self._stolen = _machine_seconds()
        self._own = processes.tree_seconds(os.getpid())

    def so_far(self) -> Contention:
        """Return the machine time that other processes used since then."""
        busy, stolen = _machine_seconds()
        own = processes.tree_seconds(os.getpid())
        seconds = time.monotonic() - self._began
        foreign = (busy - self._busy) - (own - self._own)
        return Contention(max(0.0, foreign / seconds), (stolen - self._stolen) / seconds)


def _machine_seconds() -> tuple[float, float]:
    """Return the time since boot that all cores together worked, and that the hypervisor took from them."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields
    return (user + nice + system + interrupts + soft_interrupts) / _TICKS_PER_SECOND, stolen / _TICKS_PER_SECOND
