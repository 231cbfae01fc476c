"""How long a message takes from its sender to the last of 100 members, stored on the way."""

from bench import svg
from bench.durations import Durations
from bench.measure import each, in_turn, troubles
from bench.outcome import Outcome, Table
from bench.scenarios.town import HUNDREDS, TOWN
from bench.stage import HUBBUB, REFERENCE, Stage

_MESSAGES_PER_SECOND = 500
_ROUND_SECONDS = {"full": 10.0, "quick": 1.2}


async def latency(stage: Stage) -> Outcome:
    """A steady stream by the clock: a slow answer does not slow the sending, and time counts from when it was due."""
    async with stage.connected(TOWN, [HUNDREDS], [HUBBUB, REFERENCE]) as subjects:
        answers = await in_turn(stage, subjects, rate=_MESSAGES_PER_SECOND, seconds=_ROUND_SECONDS[stage.scale.name])
    p50 = Table.of("to the last of 100 members, p50", "ms", each(answers, lambda answer: answer.to_last.percentile_ms(50)))
    p99 = Table.of("to the last of 100 members, p99", "ms", each(answers, lambda answer: answer.to_last.percentile_ms(99)))
    p999 = Table.of("to the last of 100 members, p99.9", "ms", each(answers, lambda answer: answer.to_last.percentile_ms(99.9)))
    curves = {name: Durations.merged(answer.to_last for answer in found).curve() for name, found in answers.items()}
    outcome = Outcome(
        "latency",
        f"From sender to the last of 100 members, at {_MESSAGES_PER_SECOND} messages a second",
        f"{_MESSAGES_PER_SECOND} messages a second by the clock into rooms of 100 ({_MESSAGES_PER_SECOND * 100:,} deliveries/s), "
        "stored before they are delivered. A message's time runs from when it was due until the last member has it.",
        tables=[p50, p99, p999],
        plots={
            "latency": svg.lines("Sender to the last of 100 members", "milliseconds", "share of messages", curves, log_x=True)
        },
        notes=troubles(answers),
    )
    outcome.expect_at_most("latency p50 [ms]: Hubbub", p50.median_of(HUBBUB), 10)
    outcome.expect_at_most("latency p99 [ms]: Hubbub", p99.median_of(HUBBUB), 50)
    outcome.expect_at_most("latency p50: Hubbub / Socket.IO stack", p50.ratio(HUBBUB, REFERENCE), 1.0)
    outcome.expect_at_most("latency p99: Hubbub / Socket.IO stack", p99.ratio(HUBBUB, REFERENCE), 1.0)
    return outcome
