"""How soon the clients of a gateway that was killed are back at another."""

from typing import cast

from bench.measure import troubles
from bench.outcome import Outcome, Table
from bench.people import People
from bench.stage import HUBBUB, Stage, connect
from bench.systems.hubbub import Hubbub
from bench.systems.system import place

_QUARTER = {"full": People("quarter", 10_000, (500,) * 10), "quick": People("street", 1_000, (500,) * 10)}
_SPREAD_MS = 2000
"""Over which clients that lost their gateway spread their return, as the web client does."""
_TIMES = 3
_PATIENCE_SECONDS = 60
_SOON_SECONDS = 20


async def recovery(stage: Stage) -> Outcome:
    """All clients of one gateway lose it without warning, and resume at another."""
    people = _QUARTER[stage.scale.name]
    hubbub = cast("Hubbub", stage.systems[HUBBUB])
    plan = await stage.plan(hubbub, people, [0])
    answers = []
    for _ in range(_TIMES):
        place(hubbub, pinned=False)
        gathered = stage.generator_for(hubbub, plan, people.users, "--gather", "--resume", targets=2, pinned=False)
        async with gathered as generator:
            await connect(generator)
            await generator.tell("recover", hubbub.watch(), expect=people.users, spread_ms=_SPREAD_MS, timeout=_PATIENCE_SECONDS)
            await hubbub.kill_gateway(0)
            answers.append(await generator.hear(_PATIENCE_SECONDS + 10))
            await hubbub.until_serving()
    seconds = [answer.seconds for answer in answers]
    outcome = Outcome(
        "recovery",
        f"{people.users:,} clients come back after a killed gateway",
        f"kill -9 of the gateway that holds {people.users:,} clients; each connects to another at random within {_SPREAD_MS:,} "
        "ms, again when refused, and resumes its ten channels from its positions. Time until the last is back.",
        tables=[
            Table.of("time until all are back", "s", {HUBBUB: seconds}),
            Table.of("clients back", "", {HUBBUB: [float(answer.ready) for answer in answers]}),
        ],
        notes=troubles({HUBBUB: answers}),
    )
    outcome.expect_at_most("recovery: all clients back [s]", max(seconds), _SOON_SECONDS)
    outcome.expect_at_least("recovery: clients back", float(min(answer.ready for answer in answers)), people.users)
    return outcome
