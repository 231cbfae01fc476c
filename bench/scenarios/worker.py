"""The throughput of one worker without gateways."""

from functools import partial

from bench.environment import HUBBUB, Environment
from bench.feeder import FeedResult, feeding
from bench.measure import repeat_until_quiet
from bench.outcome import Outcome, Table
from bench.scenarios.town import PAIRS, TOWN
from bench.systems.hubbub import Hubbub
from bench.systems.system import place

_IN_FLIGHT = 1024


async def worker(environment: Environment) -> Outcome:
    """The durable scenario without sockets: the rate of storing when gateways run on other machines."""
    hubbub = environment.systems[HUBBUB]
    if not isinstance(hubbub, Hubbub):
        raise TypeError(hubbub)
    rooms = zip(await environment.room_ids(hubbub, TOWN), TOWN.rooms, strict=True)
    ids, members = list(rooms)[PAIRS]
    senders = [(channel, TOWN.user(pair[turn])) for turn in (0, 1) for channel, pair in zip(ids, members, strict=True)]
    place(hubbub, pinned=False)
    async with feeding(hubbub.bus_url, senders) as feeder:
        await feeder.feed({}, window=_IN_FLIGHT, seconds=environment.scale.warm_seconds)
        ask = partial(feeder.feed, hubbub.watch(), window=_IN_FLIGHT, seconds=environment.scale.seconds)
        found = [await repeat_until_quiet(environment, ask) for _ in range(environment.scale.rounds)]
    return Outcome(
        "worker",
        "Durable messages per second, the worker alone",
        f"The same messages, but sent by the bench over the bus, {_IN_FLIGHT:,} in flight, and without sockets for their "
        "events: what one worker, one PostgreSQL and one Valkey store on this machine if gateways run elsewhere.",
        tables=[
            Table.of("messages stored per second", "/s", {HUBBUB: [fed.stored / fed.seconds for fed in found]}),
            *(
                Table.of(f"processor time per message: {role}", "µs", {HUBBUB: [_us(fed, role) for fed in found]})
                for role in ("postgres", "worker", "valkey")
            ),
        ],
    )


def _us(fed: FeedResult, role: str) -> float:
    return 1e6 * fed.cpu[role] / fed.stored
