"""What it costs when many clients come back at once, each with messages that it missed."""

import asyncio
from typing import cast

from bench.environment import HUBBUB, Environment, connect
from bench.feeder import MARKED_TEXT, feeding
from bench.generator import Answer
from bench.measure import problems_of
from bench.outcome import Outcome, Table
from bench.people import People
from bench.systems.hubbub import Hubbub
from bench.systems.system import place

_CROWD = {"full": People("storm", 5_000, (5_000, *[10] * 9)), "quick": People("gust", 1_000, (1_000, *[10] * 9))}
_MISSED = 20
"""Messages that each client missed."""
_HANDSHAKES = 256
"""At one time."""
_BETWEEN_SECONDS = 1.0
_TIMEOUT_SECONDS = 120
_BACKLOGS = {"one room": 0, "rooms of ten": 1}
"""The layer of the rooms with the missed messages."""
_ROLES = ("server", "api", "presence", "postgres", "valkey")


async def storm(environment: Environment) -> Outcome:
    """All clients leave, messages are stored, and all clients resume."""
    people = _CROWD[environment.scale.name]
    answers = {name: [await _storm(environment, people, layer)] for name, layer in _BACKLOGS.items()}
    tables = [
        Table.of(
            "processor time per client, all processes",
            "ms",
            {f"{HUBBUB}, {name}": [_ms(answer, people)] for name, (answer,) in answers.items()},
        ),
        Table.of("time until all have all", "s", {f"{HUBBUB}, {name}": [answer.seconds] for name, (answer,) in answers.items()}),
        *(
            Table.of(
                f"of which {role}",
                "ms",
                {f"{HUBBUB}, {name}": [_ms(answer, people, role)] for name, (answer,) in answers.items()},
            )
            for role in _ROLES
        ),
    ]
    outcome = Outcome(
        "storm",
        f"{people.users:,} clients resume at once",
        f"{people.users:,} clients with ten channels leave; {_MISSED} messages are stored for each of them, in the one room of "
        f"all or in their rooms of ten; all connect again, {_HANDSHAKES} at a time, and resume from their positions.",
        tables=tables,
        notes=problems_of(answers),
    )
    for name in _BACKLOGS:
        outcome.expect_at_most(f"storm, {name}: ms of all processes a client", tables[0].median_of(f"{HUBBUB}, {name}"), 1.2)
    return outcome


async def _storm(environment: Environment, people: People, layer: int) -> Answer:
    hubbub = cast("Hubbub", environment.systems[HUBBUB])
    place(hubbub, pinned=False)
    plan = await environment.plan(hubbub, people, [layer])
    ids = (await environment.room_ids(hubbub, people))[layer]
    senders = [(room, people.user(members[0])) for room, members in zip(ids, people.rooms[layer], strict=True)]
    async with environment.generator_for(hubbub, plan, people.users, "--resume", pinned=False) as generator:
        await connect(generator, at_once=_HANDSHAKES)
        await generator.ask("disconnect")
        async with feeding(hubbub.bus_url, senders, MARKED_TEXT) as feeder:
            await feeder.post(_MISSED * len(senders))
        await asyncio.sleep(_BETWEEN_SECONDS)
        return await generator.ask(
            "storm",
            hubbub.watch(),
            expect=_MISSED * people.users,
            at_once=_HANDSHAKES,
            timeout=_TIMEOUT_SECONDS,
            timeout_seconds=_TIMEOUT_SECONDS + 10,
        )


def _ms(answer: Answer, people: People, role: str = "") -> float:
    used = sum(seconds for name, seconds in answer.cpu.items() if name != "load" and role in ("", name))
    return 1e3 * used / people.users
