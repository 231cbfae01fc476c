"""How many messages: into rooms of ten by one gateway core, and to disk by one worker."""

from statistics import median

from bench import svg
from bench.generator import Answer
from bench.measure import each, in_turn, in_turns, troubles
from bench.outcome import Outcome, Table
from bench.scenarios.town import PAIRS, TENS, TOWN
from bench.stage import BARE_REFERENCE, HUBBUB, REFERENCE, Stage

_UNDER_WAY = 256
_UNDER_WAY_TO_DISK = {"full": (128, 1_024, 8_192), "quick": (1_024, 8_192)}
"""A saturated system gains nothing from more, and an unsaturated one has not reached its limit."""


async def rooms(stage: Stage) -> Outcome:
    """Many small rooms at once, at the highest throughput."""
    async with stage.connected(TOWN, TENS, [HUBBUB, BARE_REFERENCE, REFERENCE]) as subjects:
        answers = await in_turn(stage, subjects, window=_UNDER_WAY)
    per_core = Table.of("messages per second of the server's processor time", "/s", each(answers, _messages_per_core_second))
    outcome = Outcome(
        "rooms",
        "Messages into rooms of ten, per gateway core",
        f"{TOWN.users:,} sockets speak in turn in {len(TENS) * TOWN.users // 10:,} rooms of ten, {_UNDER_WAY} messages on "
        "the way. Hubbub stores every message; the Socket.IO stack once does (INSERT before the broadcast) and once does not.",
        tables=[
            per_core,
            Table.of("messages per second, as measured", "/s", each(answers, lambda answer: answer.completed / answer.seconds)),
        ],
        plots={"rooms": svg.bars("Messages into rooms of ten", "messages per second of server CPU", per_core)},
        notes=troubles(answers),
    )
    outcome.expect_at_least("rooms of ten: Hubbub / Socket.IO, nothing stored", per_core.ratio(HUBBUB, BARE_REFERENCE), 2.5)
    return outcome


async def durable(stage: Stage) -> Outcome:
    """The most acknowledged messages with one worker and one PostgreSQL, all cores shared."""
    windows = _UNDER_WAY_TO_DISK[stage.scale.name]
    async with stage.connected(TOWN, [PAIRS], [HUBBUB, REFERENCE], pinned=False) as subjects:
        found = dict(zip(windows, await in_turns(stage, subjects, [{"window": window} for window in windows]), strict=True))
    rates = {window: each(answers, lambda answer: answer.acked / answer.seconds) for window, answers in found.items()}
    at_best = {name: max(windows, key=lambda window: median(rates[window][name])) for name in rates[windows[0]]}
    rate = Table.of("messages acknowledged per second, at best", "/s", {name: rates[at_best[name]][name] for name in at_best})
    shares = [
        Table.of(f"processor time per message: {role}", "µs", {
            f"{name}, {window:,} under way": [1e6 * answer.cpu[role] / answer.acked for answer in answers[name] if answer.acked]
            for name in at_best
            for window, answers in found.items()
            if role in answers[name][0].cpu
        })
        for role in ("server", "worker", "postgres", "valkey", "load")
    ]  # fmt: skip
    outcome = Outcome(
        "durable",
        "Durable messages per second, one worker",
        f"Pairs of users write to each other, {', '.join(f'{window:,}' for window in windows)} messages under way; "
        "every acknowledged message is committed by a PostgreSQL with fsync on, on the same machine. Nothing is pinned: all "
        "processes share all cores. Systems are compared at the number under way that each does best with.",
        tables=[
            rate,
            *(Table.of(f"with {window:,} under way", "/s", values) for window, values in rates.items()),
            *shares,
        ],
        plots={
            "durable": svg.bars("Durable messages per second", "acknowledged messages per second", rate),
            "durable-under-way": svg.lines(
                "Durable messages per second",
                "messages under way",
                "acknowledged per second",
                {name: [(window, median(rates[window][name])) for window in windows] for name in at_best},
                log_x=True,
            ),
        },
        notes=[
            *(f"{name} does best with {window:,} under way." for name, window in at_best.items()),
            *(f"{window:,} under way: {trouble}" for window, answers in found.items() for trouble in troubles(answers)),
        ],
    )
    outcome.expect_at_least("durable messages/s: Hubbub", rate.median_of(HUBBUB), 10_000)
    outcome.expect_at_least("durable messages/s: Hubbub / Socket.IO stack", rate.ratio(HUBBUB, REFERENCE), 5.0)
    return outcome


def _messages_per_core_second(answer: Answer) -> float:
    return answer.completed / answer.cpu["server"] if answer.cpu["server"] else 0.0
