"""The latency of a stored message from its sender to the last of 100 members."""

from bench import svg
from bench.durations import Durations
from bench.environment import HUBBUB, REFERENCE, Environment
from bench.measure import each, measure_alternately, problems_of
from bench.outcome import Outcome, Table
from bench.scenarios.town import HUNDREDS, TOWN

_MESSAGES_PER_SECOND = 500
_ROUND_SECONDS = {"full": 10.0, "quick": 1.2}


async def latency(environment: Environment) -> Outcome:
    """Send at a fixed rate, independent of the answers. Latency counts from the scheduled send time."""
    async with environment.connected(TOWN, [HUNDREDS], [HUBBUB, REFERENCE]) as subjects:
        answers = await measure_alternately(
            environment, subjects, rate=_MESSAGES_PER_SECOND, seconds=_ROUND_SECONDS[environment.scale.name]
        )
    p50 = Table.of(
        "to the last of 100 members, p50", "ms", each(answers, lambda answer: answer.latency_to_last.percentile_ms(50))
    )
    p99 = Table.of(
        "to the last of 100 members, p99", "ms", each(answers, lambda answer: answer.latency_to_last.percentile_ms(99))
    )
    p999 = Table.of(
        "to the last of 100 members, p99.9", "ms", each(answers, lambda answer: answer.latency_to_last.percentile_ms(99.9))
    )
    curves = {name: Durations.merged(answer.latency_to_last for answer in found).curve() for name, found in answers.items()}
    outcome = Outcome(
        "latency",
        f"From sender to the last of 100 members, at {_MESSAGES_PER_SECOND} messages a second",
        f"{_MESSAGES_PER_SECOND} messages per second at a fixed rate to rooms of 100 ({_MESSAGES_PER_SECOND * 100:,} "
        "deliveries/s), stored before delivery. Latency runs from the scheduled send time to the delivery to the last member.",
        tables=[p50, p99, p999],
        plots={
            "latency": svg.lines("Sender to the last of 100 members", "milliseconds", "share of messages", curves, log_x=True)
        },
        notes=problems_of(answers),
    )
    outcome.expect_at_most("latency p50 [ms]: Hubbub", p50.median_of(HUBBUB), 10)
    outcome.expect_at_most("latency p99 [ms]: Hubbub", p99.median_of(HUBBUB), 50)
    outcome.expect_at_most("latency p50: Hubbub / Socket.IO stack", p50.ratio(HUBBUB, REFERENCE), 1.0)
    outcome.expect_at_most("latency p99: Hubbub / Socket.IO stack", p99.ratio(HUBBUB, REFERENCE), 1.0)
    return outcome
