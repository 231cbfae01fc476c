"""Whether a delivery costs the same when there is more of everything: members, channels, gateways."""

from dataclasses import dataclass, field

from bench import svg
from bench.measure import each, in_turn, server_us_per_delivery, troubles
from bench.outcome import Outcome, Table
from bench.people import People
from bench.scenarios.town import EVERYBODY, TOWN
from bench.stage import HUBBUB, Stage

_MEMBERS = (10, 100, 1000, 10_000)
_CHANNELS_EACH = (1, 10, 100)
_GATEWAYS = (1, 2, 3, 4)
_ROUNDS = 3
_DELIVERIES_UNDER_WAY = 2000


@dataclass(slots=True)
class _Curve:
    """Cost per delivery along one axis."""

    stage: Stage
    axis: str
    """What there is more of; also the scenario's name."""
    costs: dict[int, list[float]] = field(default_factory=dict)
    """By how many of it."""
    notes: list[str] = field(default_factory=list)

    async def measure(self, at: int, people: People, *, window: int, targets: int = 1) -> None:
        """Add a point: `people` speak in all their rooms (the town in its largest), `window` messages in flight."""
        layers = [EVERYBODY] if people is TOWN else range(len(people.layers))
        async with self.stage.connected(people, layers, [HUBBUB], targets=targets) as subjects:
            answers = await in_turn(self.stage, subjects, rounds=min(_ROUNDS, self.stage.scale.rounds), window=window)
        self.costs[at] = each(answers, server_us_per_delivery)[HUBBUB]
        self.notes += troubles(answers)

    def outcome(self, title: str, method: str) -> Outcome:
        """Return what was found."""
        found = {f"{count:,} {self.axis}": values for count, values in self.costs.items()}
        table = Table.of("gateways' processor time per delivery", "µs", found)
        points = [(float(count), figure.median) for count, figure in zip(self.costs, table.figures, strict=True)]
        log_x = max(self.costs) > 10 * min(self.costs)
        plot = svg.lines(title, self.axis, "µs of CPU per delivery", {HUBBUB: points}, log_x=log_x)
        return Outcome(self.axis, title, method, [table], plots={self.axis: plot}, notes=self.notes)


async def members(stage: Stage) -> Outcome:
    """Rooms from 10 to 10,000 members, always about as many deliveries in flight."""
    curve = _Curve(stage, "members")
    for size in _MEMBERS:
        people = People(f"room{size}", max(1000, size), (size,))
        await curve.measure(size, people, window=max(1, _DELIVERIES_UNDER_WAY // size))
    return curve.outcome(
        "Cost per delivery by the size of the room",
        f"1,000 sockets (10,000 for the largest) in rooms of each size, about {_DELIVERIES_UNDER_WAY:,} deliveries under "
        "way. In a room of ten each delivery carries a tenth of what receiving, publishing and encoding its message costs.",
    )


async def channels(stage: Stage) -> Outcome:
    """The same sockets and load, with ten times and a hundred times as many channels."""
    curve = _Curve(stage, "channels")
    for layers in _CHANNELS_EACH:
        await curve.measure(100 * layers, People(f"mesh{layers}", 1000, (10,) * layers), window=200)
    return curve.outcome(
        "Cost per delivery by the number of channels",
        "1,000 sockets that are in 1, 10 or 100 channels of ten members each and speak in all of them; 200 messages under way.",
    )


async def gateways(stage: Stage) -> Outcome:
    """One room of 1,000, its members spread over one to four gateways; the processor time of all gateways together."""
    curve = _Curve(stage, "gateways")
    for count in _GATEWAYS:
        await curve.measure(count, TOWN, window=1, targets=count)
    return curve.outcome(
        "Cost per delivery by the number of gateways",
        "1,000 sockets in one room, spread over the gateways, one message under way; processor time of all gateways "
        "together, those without sockets included. All gateways share one core.",
    )
