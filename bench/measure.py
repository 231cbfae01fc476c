"""Measures in rounds that alternate between systems. Rounds with other load on the machine are repeated."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from bench.contention import Contention, Watch
from bench.environment import Environment, Subject
from bench.generator import Answer

_MAX_TRIES = 6
_PAUSE_SECONDS = 3.0

_Found = TypeVar("_Found")


class BusyError(Exception):
    """The machine stayed busy. The message says how busy."""


async def measure_alternately(
    environment: Environment, subjects: Sequence[Subject], command: str = "round", *, rounds: int | None = None, **options: float
) -> dict[str, list[Answer]]:
    """Warm up every subject, then measure all of them in each round. Return the answers by name.

    Systems alternate so that drift of the machine affects all of them alike. Raises BusyError.
    """
    (answers,) = await measure_all_settings(environment, subjects, [options], command, rounds=rounds)
    return answers


async def measure_all_settings(
    environment: Environment,
    subjects: Sequence[Subject],
    settings: Sequence[Mapping[str, float]],
    command: str = "round",
    *,
    rounds: int | None = None,
) -> list[dict[str, list[Answer]]]:
    """Measure every subject with every setting in each round. Return the answers for each setting."""
    combinations = [(options, subject, number) for number, options in enumerate(settings) for subject in subjects]
    for options, subject, _ in combinations:
        await subject.ask(command, **{**options, "seconds": environment.scale.warm_seconds})
    found: list[dict[str, list[Answer]]] = [{subject.name: [] for subject in subjects} for _ in settings]
    for _ in range(rounds or environment.scale.rounds):
        for options, subject, number in combinations:
            ask = partial(subject.ask, command, **{"seconds": environment.scale.seconds, **options})
            found[number][subject.name].append(await repeat_until_quiet(environment, ask))
    return found


async def repeat_until_quiet(environment: Environment, measure: Callable[[], Awaitable[_Found]]) -> _Found:
    """Repeat `measure` until it ran without other load on the machine. Return its result. Raises BusyError."""
    contention = Contention(0.0, 0.0)
    for attempt in range(_MAX_TRIES):
        watch = Watch()
        found = await measure()
        contention = watch.so_far()
        if contention.quiet:
            return found
        environment.record_disturbance(contention)
        if environment.scale.accepts_noise:
            return found
        await asyncio.sleep(_PAUSE_SECONDS * (attempt + 1))
    raise BusyError(
        f"The machine stayed busy: others used {contention.foreign_cores:.2f} cores, {contention.stolen_cores:.2f} were stolen. "
        "Run the bench alone, or use --noisy to accept meaningless figures."
    )


def each(answers: Mapping[str, Sequence[Answer]], figure: Callable[[Answer], float]) -> dict[str, list[float]]:
    """Apply `figure` to every answer, by name."""
    return {name: [figure(answer) for answer in found] for name, found in answers.items()}


def problems_of(answers: Mapping[str, Sequence[Answer]]) -> list[str]:
    """Return the problems, one line per name."""
    lines = []
    for name, found in answers.items():
        words = sorted({answer.problems for answer in found} - {""})
        lines += [f"{name}: {'; '.join(words)}"] if words else []
    return lines


def server_us_per_delivery(answer: Answer) -> float:
    """Return the measured process's processor time per delivery, in microseconds."""
    return 1e6 * answer.cpu["server"] / answer.deliveries if answer.deliveries else 0.0


def total_us_per_delivery(answer: Answer) -> float:
    """Return the processor time of all of a system's processes per delivery, stores included."""
    used = sum(seconds for name, seconds in answer.cpu.items() if name != "load")
    return 1e6 * used / answer.deliveries if answer.deliveries else 0.0
