"""How soon the clients of a killed gateway are back on another one."""

from typing import cast

from bench.environment import HUBBUB, Environment, connect
from bench.measure import problems_of
from bench.outcome import Outcome, Table
from bench.people import People
from bench.systems.hubbub import Hubbub
from bench.systems.system import place

_QUARTER = {"full": People("quarter", 10_000, (500,) * 10), "quick": People("street", 1_000, (500,) * 10)}
_SPREAD_MS = 2000
"""Reconnects are spread over this time, as by the web client."""
_REPEATS = 3
_TIMEOUT_SECONDS = 60
_TARGET_SECONDS = 20


async def recovery(environment: Environment) -> Outcome:
    """All clients of one gateway lose it without warning, and resume on another."""
    people = _QUARTER[environment.scale.name]
    hubbub = cast("Hubbub", environment.systems[HUBBUB])
    plan = await environment.plan(hubbub, people, [0])
    answers = []
    for _ in range(_REPEATS):
        place(hubbub, pinned=False)
        at_one_gateway = environment.generator_for(hubbub, plan, people.users, "--gather", "--resume", targets=2, pinned=False)
        async with at_one_gateway as generator:
            await connect(generator)
            await generator.start("recover", hubbub.watch(), expect=people.users, spread_ms=_SPREAD_MS, timeout=_TIMEOUT_SECONDS)
            await hubbub.kill_gateway(0)
            answers.append(await generator.result(_TIMEOUT_SECONDS + 10))
            await hubbub.until_serving()
    seconds = [answer.seconds for answer in answers]
    outcome = Outcome(
        "recovery",
        f"{people.users:,} clients come back after a killed gateway",
        f"kill -9 of the gateway with {people.users:,} clients. Each connects to another one at random within {_SPREAD_MS:,} "
        "ms, retries when refused, and resumes its ten channels from its positions. Time until the last client is back.",
        tables=[
            Table.of("time until all are back", "s", {HUBBUB: seconds}),
            Table.of("clients back", "", {HUBBUB: [float(answer.ready) for answer in answers]}),
        ],
        notes=problems_of({HUBBUB: answers}),
    )
    outcome.expect_at_most("recovery: all clients back [s]", max(seconds), _TARGET_SECONDS)
    outcome.expect_at_least("recovery: clients back", float(min(answer.ready for answer in answers)), people.users)
    return outcome
