"""Runs the workload under faults, waits until everything has settled, and checks the record."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stack import Stack
from stack.replica import Pair
from tests.faults import grpc_door
from tests.faults.checker import check
from tests.faults.crowd import Crowd, gathered
from tests.faults.epoch_rules import lost
from tests.faults.nemesis import FAULTS, WITH_A_STANDBY, Nemesis
from tests.faults.record import Acked, Entry, Finding, Reading, Record, Sight
from tests.faults.stock_follower import StockFollower

_QUIET_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of a run."""

    seed: int
    seconds: float
    record: Record
    logs: dict[str, list[Entry]]
    findings: list[Finding]
    slowest_seconds: float
    """The longest time from a post's first sending to its final answer, faults included."""
    recoveries: int
    """Connections of stock Socket.IO clients that went on with the session before."""

    @property
    def acknowledged(self) -> int:
        """Number of acknowledged posts."""
        return len({(one.user, one.key) for one in self.record.attempts if one.key and isinstance(one.outcome, Acked)})

    @property
    def line(self) -> str:
        """The figures, in one line."""
        sights = sum(len(stretch.sights) for reading in self.record.readings for stretch in reading.stretches)
        fed = sum(step.what == "event" for step in self.record.feed)
        tried = len({(one.user, one.key) for one in self.record.attempts if one.key})
        rules = ", ".join(sorted({finding.rule for finding in self.findings})) or "none"
        return (
            f"faults: seed={self.seed} seconds={self.seconds:.0f} faults={len(self.record.faults)} sent={tried} "
            f"acknowledged={self.acknowledged} lost={lost(self.record, self.logs)} attempts={len(self.record.attempts)} "
            f"events={sum(map(len, self.logs.values()))} "
            f"deliveries={sights} recovered={self.recoveries} feed={fed} removals={len(self.record.fences)} "
            f"slowest={self.slowest_seconds:.1f}s "
            f"violations={len(self.findings)} ({rules})"
        )


async def prove(
    stack: Stack,
    seconds: float,
    seed: int,
    *,
    faults: Sequence[str] = tuple(FAULTS),
    longest_pause_seconds: float = 20.0,
    pair: Pair | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Verdict:
    """Run under random `faults` for about `seconds`. `pair`: the database with a standby, if any. Raises as `judged`."""
    possible = [fault for fault in faults if pair is not None or fault not in WITH_A_STANDBY]

    async def inject(nemesis: Nemesis) -> None:
        nemesis.longest_pause_seconds, nemesis.pair, nemesis.say = longest_pause_seconds, pair, say
        await nemesis.run(possible, seconds)

    return await judged(stack, inject, seed)


async def judged(stack: Stack, inject: Callable[[Nemesis], Awaitable[object]], seed: int) -> Verdict:
    """Run the workload while `inject` runs, wait until every reader has caught up, and check the record.

    Raises TimeoutError if a writer gets no final answer after the faults, NotReadyError if a process does not serve again.
    """
    dice = random.Random(seed)
    began = time.monotonic()
    async with gathered(stack, dice) as crowd:
        async with asyncio.TaskGroup() as readers:
            following = [readers.create_task(reader.follower.run()) for reader in crowd.readers]
            following.append(readers.create_task(crowd.product.run()))
            await _busy(crowd, inject(Nemesis(stack, crowd, dice)))
            await _settle(crowd)
            for task in following:
                task.cancel()
        logs = {name: [Entry.of(item) for item in await crowd.owner.log(name)] for name in crowd.channels}
        await _read_elsewhere(crowd)
        await _read_over_grpc(crowd)
    findings = check(crowd.record, logs)
    slowest = max(writer.slowest_seconds for writer in crowd.writers)
    recoveries = sum(reader.follower.recoveries for reader in crowd.readers if isinstance(reader.follower, StockFollower))
    return Verdict(seed, time.monotonic() - began, crowd.record, logs, findings, slowest, recoveries)


def save(verdict: Verdict, folder: Path) -> Path:
    """Save the whole record, for a person to investigate."""
    path = folder / f"faults-{verdict.seed}.json"
    verdict.record.save(path, verdict.logs)
    return path


async def _busy(crowd: Crowd, inject: Awaitable[object]) -> None:
    """Run the workload while faults are injected, and return when every writer has its last answer."""
    async with asyncio.TaskGroup() as group:
        lives = [worker.run() for worker in crowd.writers] + [registrar.run() for registrar in crowd.registrars]
        working = [group.create_task(life) for life in lives]
        await inject
        crowd.stopping.set()
        async with asyncio.timeout(_QUIET_SECONDS):
            await asyncio.wait(working)


async def _settle(crowd: Crowd) -> None:
    """Wait until every reader has reached the end of every channel that it may see, or has run out of time."""
    heads = await crowd.heads()
    for reader in crowd.readers:
        visible = {channel["id"] for channel in await reader.follower.api.channels()}
        await reader.follower.reach({channel: seq for channel, seq in heads.items() if channel in visible}, _QUIET_SECONDS)
        for reading in reader.readings:
            reading.settled = True
    await crowd.product.reach(heads, _QUIET_SECONDS)


async def _read_elsewhere(crowd: Crowd) -> None:
    """Read the logs at the other gateways: each counts as a reader, whose stream must equal the log."""
    for url in crowd.urls[1:]:
        reading = Reading(f"the log at {url}", crowd.owner.user, settled=True)
        for channel in crowd.channels:
            items = await crowd.owner.at(url).log(channel)
            reading.begin(channel, 0, "log").sights += [Sight(time.monotonic(), Entry.of(item)) for item in items]
        crowd.record.readings.append(reading)


async def _read_over_grpc(crowd: Crowd) -> None:
    """Read the logs over gRPC as well."""
    reading = Reading("the log over gRPC", crowd.owner.user, settled=True)
    for channel in crowd.channels:
        items = await grpc_door.log(crowd.messages, crowd.caller, channel)
        reading.begin(channel, 0, "log").sights += [Sight(time.monotonic(), Entry.of(item)) for item in items]
    crowd.record.readings.append(reading)
