"""The cost of a delivery to a room of 1,000: one message at a time, and sixteen at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench import svg
from bench.environment import FLOOR, HUBBUB, HUBBUB_SOCKETIO, JOINED_FLOOR, REFERENCE, Environment, Subject
from bench.measure import each, measure_alternately, problems_of, server_us_per_delivery, total_us_per_delivery
from bench.outcome import Outcome, Table
from bench.scenarios.town import EVERYBODY, TOWN, TWIN

_JOINED = 16


@asynccontextmanager
async def _everybody(environment: Environment, *names: str) -> AsyncIterator[Sequence[Subject]]:
    """Connect a room of 1,000 to each system, and another one over Hubbub's Socket.IO door."""
    async with (
        environment.connected(TOWN, [EVERYBODY], names) as native,
        environment.connected(TWIN, [EVERYBODY], [HUBBUB_SOCKETIO]) as socketio,
    ):
        yield [*native, *socketio]


async def one_by_one(environment: Environment) -> Outcome:
    """One message in flight: the next is sent when every member has received the last."""
    async with _everybody(environment, FLOOR, HUBBUB, REFERENCE) as subjects:
        answers = await measure_alternately(environment, subjects, window=1)
    cost = Table.of("server's processor time per delivery", "µs", each(answers, server_us_per_delivery))
    outcome = Outcome(
        "fan-out",
        "Fan-out to 1,000 sockets, one message at a time",
        f"{TOWN.users:,} authenticated sockets, each in {len(TOWN.layers)} channels; the members of the room of "
        "all take turns to send 200 bytes, each when all have received the last. Processor time of the process with the sockets.",
        tables=[cost, Table.of("all processes' processor time per delivery", "µs", each(answers, total_us_per_delivery))],
        plots={"fan-out": svg.bars("Fan-out, one message at a time", "µs of CPU per delivery", cost)},
        notes=problems_of(answers),
    )
    outcome.expect_at_most("one by one: Hubbub / C floor", cost.ratio(HUBBUB, FLOOR), 1.4)
    outcome.expect_at_most("one by one: Hubbub / Socket.IO stack", cost.ratio(HUBBUB, REFERENCE), 0.6)
    outcome.expect_at_most("one by one: Hubbub over Socket.IO / Socket.IO stack", cost.ratio(HUBBUB_SOCKETIO, REFERENCE), 0.6)
    return outcome


async def joined(environment: Environment) -> Outcome:
    """Sixteen messages at a time to the same room, from sixteen members, as in a busy room."""
    async with _everybody(environment, JOINED_FLOOR, HUBBUB, REFERENCE) as subjects:
        answers = await measure_alternately(environment, subjects, window=_JOINED, burst=1)
    cost = Table.of("server's processor time per delivery", "µs", each(answers, server_us_per_delivery))
    per_read = Table.of(
        "messages per read at the client", "", each(answers, lambda answer: answer.deliveries / max(1, answer.reads))
    )
    rate = Table.of("deliveries per second", "/s", each(answers, lambda answer: answer.deliveries / answer.seconds))
    outcome = Outcome(
        "fan-out-joined",
        f"Fan-out to 1,000 sockets, {_JOINED} messages at a time",
        f"As above, but {_JOINED} members send at the same time, and again when all have received everything. The floor waits "
        f"for all {_JOINED} messages and writes once to each socket.",
        tables=[cost, rate, per_read],
        plots={"fan-out-joined": svg.bars("Fan-out, 16 messages at a time", "µs of CPU per delivery", cost)},
        notes=problems_of(answers),
    )
    outcome.expect_at_most("joined: Hubbub / joined C floor", cost.ratio(HUBBUB, JOINED_FLOOR), 2.0)
    outcome.expect_at_least("joined: Socket.IO stack / Hubbub", cost.ratio(REFERENCE, HUBBUB), 10.0)
    outcome.expect_at_least("joined: Socket.IO stack / Hubbub over Socket.IO", cost.ratio(REFERENCE, HUBBUB_SOCKETIO), 10.0)
    return outcome
