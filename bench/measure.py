"""Measures in rounds: every system in turn, repeated if other processes used the machine meanwhile.

The scenarios define a round; `contention` detects contention.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from bench.contention import Contention, Watch
from bench.generator import Answer
from bench.stage import Stage, Subject

_TRIES = 6
_PAUSE_SECONDS = 3.0

_Found = TypeVar("_Found")


class BusyError(Exception):
    """The machine did not become idle; the message says how much other processes used."""


async def in_turn(
    stage: Stage, subjects: Sequence[Subject], command: str = "round", *, rounds: int | None = None, **options: float
) -> dict[str, list[Answer]]:
    """Warm every subject up, then measure each as often as the scale says, always in turn; return the answers by name.

    In turn, so that drift of the machine affects all of them. Raises BusyError.
    """
    (answers,) = await in_turns(stage, subjects, [options], command, rounds=rounds)
    return answers


async def in_turns(
    stage: Stage,
    subjects: Sequence[Subject],
    settings: Sequence[Mapping[str, float]],
    command: str = "round",
    *,
    rounds: int | None = None,
) -> list[dict[str, list[Answer]]]:
    """The same with several settings, each subject with each of them in every round; return the answers of each setting."""
    turns = [(options, subject, number) for number, options in enumerate(settings) for subject in subjects]
    for options, subject, _ in turns:
        await subject.ask(command, **{**options, "seconds": stage.scale.warm_seconds})
    found: list[dict[str, list[Answer]]] = [{subject.name: [] for subject in subjects} for _ in settings]
    for _ in range(rounds or stage.scale.rounds):
        for options, subject, number in turns:
            ask = partial(subject.ask, command, **{"seconds": stage.scale.seconds, **options})
            found[number][subject.name].append(await undisturbed(stage, ask))
    return found


async def undisturbed(stage: Stage, measure: Callable[[], Awaitable[_Found]]) -> _Found:
    """Repeat `measure` until no other process disturbed it, and return its result. Raises BusyError."""
    contention = Contention(0.0, 0.0)
    for attempt in range(_TRIES):
        watch = Watch()
        found = await measure()
        contention = watch.so_far()
        if contention.quiet:
            return found
        stage.disturbed(contention)
        if stage.scale.takes_all:
            return found
        await asyncio.sleep(_PAUSE_SECONDS * (attempt + 1))
    raise BusyError(
        f"The machine stayed busy: others used {contention.foreign_cores:.2f} cores, {contention.stolen_cores:.2f} were stolen. "
        "Run the bench alone, or with --noisy to have figures that mean nothing."
    )


def each(answers: Mapping[str, Sequence[Answer]], figure: Callable[[Answer], float]) -> dict[str, list[float]]:
    """Return one figure of every answer, by name."""
    return {name: [figure(answer) for answer in found] for name, found in answers.items()}


def troubles(answers: Mapping[str, Sequence[Answer]]) -> list[str]:
    """Return what went wrong, in words, one line for each name."""
    lines = []
    for name, found in answers.items():
        words = sorted({answer.trouble for answer in found} - {""})
        lines += [f"{name}: {'; '.join(words)}"] if words else []
    return lines


def server_us_per_delivery(answer: Answer) -> float:
    """Return the measured process's processor time for each delivery, in microseconds."""
    return 1e6 * answer.cpu["server"] / answer.deliveries if answer.deliveries else 0.0


def total_us_per_delivery(answer: Answer) -> float:
    """Return the same for all of a system's processes together, stores included."""
    used = sum(seconds for name, seconds in answer.cpu.items() if name != "load")
    return 1e6 * used / answer.deliveries if answer.deliveries else 0.0
