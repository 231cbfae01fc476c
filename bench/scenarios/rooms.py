"""Message throughput: into rooms of ten per gateway core, and to disk by one worker."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, cast

from bench import svg
from bench.environment import BARE_REFERENCE, FULL_HUBBUB, HUBBUB, REFERENCE, Environment
from bench.generator import Answer
from bench.measure import each, measure_all_settings, measure_alternately, problems_of
from bench.outcome import Outcome, Table
from bench.scenarios.town import PAIRS, TENS, TOWN

if TYPE_CHECKING:
    from bench.systems.hubbub import Hubbub

_IN_FLIGHT = 256
_INDEXED_IN_FLIGHT = 1_024
_IN_FLIGHT_TO_DISK = {"full": (128, 1_024, 8_192), "quick": (1_024, 8_192)}
"""Systems reach their best rate with different numbers of messages in flight."""


async def rooms(environment: Environment) -> Outcome:
    """Maximum throughput into many small rooms."""
    async with environment.connected(TOWN, TENS, [HUBBUB, BARE_REFERENCE, REFERENCE]) as subjects:
        answers = await measure_alternately(environment, subjects, window=_IN_FLIGHT)
    per_core = Table.of("messages per second of the server's processor time", "/s", each(answers, _messages_per_core_second))
    outcome = Outcome(
        "rooms",
        "Messages into rooms of ten, per gateway core",
        f"{TOWN.users:,} sockets take turns to send in {len(TENS) * TOWN.users // 10:,} rooms of ten, {_IN_FLIGHT} messages in "
        "flight. Hubbub stores every message. The Socket.IO stack runs with storage (INSERT before the broadcast) and without.",
        tables=[
            per_core,
            Table.of("messages per second, as measured", "/s", each(answers, lambda answer: answer.completed / answer.seconds)),
        ],
        plots={"rooms": svg.bars("Messages into rooms of ten", "messages per second of server CPU", per_core)},
        notes=problems_of(answers),
    )
    outcome.expect_at_least("rooms of ten: Hubbub / Socket.IO, nothing stored", per_core.ratio(HUBBUB, BARE_REFERENCE), 2.5)
    return outcome


async def durable(environment: Environment) -> Outcome:
    """Maximum rate of acknowledged messages with one worker and one PostgreSQL; all processes share all cores."""
    windows = _IN_FLIGHT_TO_DISK[environment.scale.name]
    async with environment.connected(TOWN, [PAIRS], [HUBBUB, REFERENCE], pinned=False) as subjects:
        found = dict(
            zip(
                windows,
                await measure_all_settings(environment, subjects, [{"window": window} for window in windows]),
                strict=True,
            )
        )
    rates = {window: each(answers, lambda answer: answer.acked / answer.seconds) for window, answers in found.items()}
    at_best = {name: max(windows, key=lambda window: median(rates[window][name])) for name in rates[windows[0]]}
    rate = Table.of("messages acknowledged per second, at best", "/s", {name: rates[at_best[name]][name] for name in at_best})
    shares = [
        Table.of(f"processor time per message: {role}", "µs", {
            f"{name}, {window:,} in flight": [1e6 * answer.cpu[role] / answer.acked for answer in answers[name] if answer.acked]
            for name in at_best
            for window, answers in found.items()
            if role in answers[name][0].cpu
        })
        for role in ("server", "worker", "postgres", "valkey", "load")
    ]  # fmt: skip
    outcome = Outcome(
        "durable",
        "Durable messages per second, one worker",
        f"Pairs of users write to each other, {', '.join(f'{window:,}' for window in windows)} messages in flight; "
        "every acknowledged message is committed by a PostgreSQL with fsync on, on the same machine. Nothing is pinned: all "
        "processes share all cores. Systems are compared at the number of messages in flight at which each is best.",
        tables=[
            rate,
            *(Table.of(f"with {window:,} in flight", "/s", values) for window, values in rates.items()),
            *shares,
        ],
        plots={
            "durable": svg.bars("Durable messages per second", "acknowledged messages per second", rate),
            "durable-under-way": svg.lines(
                "Durable messages per second",
                "messages in flight",
                "acknowledged per second",
                {name: [(window, median(rates[window][name])) for window in windows] for name in at_best},
                log_x=True,
            ),
        },
        notes=[
            *(f"{name} is best with {window:,} messages in flight." for name, window in at_best.items()),
            *(f"{window:,} in flight: {trouble}" for window, answers in found.items() for trouble in problems_of(answers)),
        ],
    )
    outcome.expect_at_least("durable messages/s: Hubbub", rate.median_of(HUBBUB), 10_000)
    outcome.expect_at_least("durable messages/s: Hubbub / Socket.IO stack", rate.ratio(HUBBUB, REFERENCE), 5.0)
    return outcome


async def stored(environment: Environment) -> Outcome:
    """Maximum rate of acknowledged messages with an empty and with a full store."""
    async with environment.connected(TOWN, [PAIRS], [HUBBUB, FULL_HUBBUB], pinned=False) as subjects:
        answers = await measure_alternately(environment, subjects, window=_INDEXED_IN_FLIGHT)
    rate = Table.of("messages acknowledged per second", "/s", each(answers, lambda answer: answer.acked / answer.seconds))
    outcome = Outcome(
        "volume",
        "Durable messages into a full store",
        f"As above, with {_INDEXED_IN_FLIGHT:,} messages in flight, next to a store of 5 million messages "
        "in 20,000 other channels.",
        tables=[
            rate,
            *_shares(answers),
        ],
        notes=problems_of(answers),
    )
    outcome.expect_at_least("durable messages/s: full store / empty store", rate.ratio(FULL_HUBBUB, HUBBUB), 0.9)
    return outcome


async def indexed(environment: Environment) -> Outcome:
    """Maximum rate of acknowledged messages while the search process indexes a backlog."""
    product = cast("Hubbub", environment.systems[HUBBUB])
    without, during = "search paused", "search indexes a backlog"
    async with environment.connected(TOWN, [PAIRS], [HUBBUB], pinned=False) as subjects:
        product.pause_search()
        answers = {without: (await measure_alternately(environment, subjects, window=_INDEXED_IN_FLIGHT))[HUBBUB]}
        product.resume_search()
        answers[during] = (await measure_alternately(environment, subjects, window=_INDEXED_IN_FLIGHT))[HUBBUB]
    rate = Table.of("messages acknowledged per second", "/s", each(answers, lambda answer: answer.acked / answer.seconds))
    outcome = Outcome(
        "search",
        "Durable messages while search indexes",
        f"As above, with {_INDEXED_IN_FLIGHT:,} messages in flight: first while the search process is paused, then while it "
        "indexes as fast as it can, because it is behind by everything that was sent before.",
        tables=[
            rate,
            *_shares(answers, "search"),
        ],
        notes=problems_of(answers),
    )
    outcome.expect_at_least("durable messages/s: while search indexes / while it is paused", rate.ratio(during, without), 0.75)
    return outcome


def _shares(answers: Mapping[str, Sequence[Answer]], *more: str) -> list[Table]:
    """The processor time of a message, a table for each role."""
    roles = ("server", "worker", "postgres", "valkey", *more, "load")
    return [Table.of(f"processor time per message: {role}", "µs", each(answers, partial(_microseconds, role))) for role in roles]


def _microseconds(role: str, answer: Answer) -> float:
    return 1e6 * answer.cpu[role] / answer.acked if answer.acked else 0.0


def _messages_per_core_second(answer: Answer) -> float:
    return answer.completed / answer.cpu["server"] if answer.cpu["server"] else 0.0
