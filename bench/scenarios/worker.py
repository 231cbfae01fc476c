"""What one worker stores when no gateway limits it."""

from functools import partial

from bench.feeder import Fed, feeding
from bench.measure import undisturbed
from bench.outcome import Outcome, Table
from bench.scenarios.town import PAIRS, TOWN
from bench.stage import HUBBUB, Stage
from bench.systems.hubbub import Hubbub
from bench.systems.system import place

_UNDER_WAY = 1024


async def worker(stage: Stage) -> Outcome:
    """The durable scenario without sockets: the limit of storing when gateways have their own machines."""
    hubbub = stage.systems[HUBBUB]
    if not isinstance(hubbub, Hubbub):
        raise TypeError(hubbub)
    rooms = zip(await stage.seated(hubbub, TOWN), TOWN.rooms, strict=True)
    ids, members = list(rooms)[PAIRS]
    places = [(channel, TOWN.user(pair[turn])) for turn in (0, 1) for channel, pair in zip(ids, members, strict=True)]
    place(hubbub, pinned=False)
    async with feeding(hubbub.bus_url, places) as feeder:
        await feeder.feed({}, window=_UNDER_WAY, seconds=stage.scale.warm_seconds)
        ask = partial(feeder.feed, hubbub.watch(), window=_UNDER_WAY, seconds=stage.scale.seconds)
        found = [await undisturbed(stage, ask) for _ in range(stage.scale.rounds)]
    return Outcome(
        "worker",
        "Durable messages per second, the worker alone",
        f"The same messages, but from the bench itself over the bus, {_UNDER_WAY:,} in flight, and their events go to no "
        "socket: what one worker, one PostgreSQL and one Valkey store on this machine when gateways have others.",
        tables=[
            Table.of("messages stored per second", "/s", {HUBBUB: [fed.stored / fed.seconds for fed in found]}),
            *(
                Table.of(f"processor time per message: {role}", "µs", {HUBBUB: [_us(fed, role) for fed in found]})
                for role in ("postgres", "worker", "valkey")
            ),
        ],
    )


def _us(fed: Fed, role: str) -> float:
    return 1e6 * fed.cpu[role] / fed.stored
