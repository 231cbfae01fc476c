"""Whether the cost of a delivery stays the same with more members, channels or gateways."""

from dataclasses import dataclass, field

from bench import svg
from bench.environment import HUBBUB, Environment
from bench.measure import each, measure_alternately, problems_of, server_us_per_delivery
from bench.outcome import Outcome, Table
from bench.people import People
from bench.scenarios.town import EVERYBODY, TOWN

_MEMBERS = (10, 100, 1000, 10_000)
_CHANNELS_EACH = (1, 10, 100)
_GATEWAYS = (1, 2, 3, 4)
_ROUNDS = 3
_DELIVERIES_IN_FLIGHT = 2000


@dataclass(slots=True)
class _Curve:
    """Cost per delivery along one axis."""

    environment: Environment
    axis: str
    """The quantity that varies; also the scenario's name."""
    costs: dict[int, list[float]] = field(default_factory=dict)
    """By value of that quantity."""
    notes: list[str] = field(default_factory=list)

    async def measure(self, at: int, people: People, *, window: int, targets: int = 1) -> None:
        """Add a point: `people` send in all their rooms (TOWN: in its largest), with `window` messages in flight."""
        layers = [EVERYBODY] if people is TOWN else range(len(people.layers))
        async with self.environment.connected(people, layers, [HUBBUB], targets=targets) as subjects:
            answers = await measure_alternately(
                self.environment, subjects, rounds=min(_ROUNDS, self.environment.scale.rounds), window=window
            )
        self.costs[at] = each(answers, server_us_per_delivery)[HUBBUB]
        self.notes += problems_of(answers)

    def outcome(self, title: str, method: str) -> Outcome:
        """Return the results."""
        found = {f"{count:,} {self.axis}": values for count, values in self.costs.items()}
        table = Table.of("gateways' processor time per delivery", "µs", found)
        points = [(float(count), figure.median) for count, figure in zip(self.costs, table.figures, strict=True)]
        log_x = max(self.costs) > 10 * min(self.costs)
        plot = svg.lines(title, self.axis, "µs of CPU per delivery", {HUBBUB: points}, log_x=log_x)
        return Outcome(self.axis, title, method, [table], plots={self.axis: plot}, notes=self.notes)


async def members(environment: Environment) -> Outcome:
    """Rooms of 10 to 10,000 members, with a constant number of deliveries in flight."""
    curve = _Curve(environment, "members")
    for size in _MEMBERS:
        people = People(f"room{size}", max(1000, size), (size,))
        await curve.measure(size, people, window=max(1, _DELIVERIES_IN_FLIGHT // size))
    return curve.outcome(
        "Cost per delivery by the size of the room",
        f"1,000 sockets (10,000 for the largest) in rooms of each size, about {_DELIVERIES_IN_FLIGHT:,} deliveries in "
        "flight. In a room of ten, each delivery carries a tenth of the cost of receiving, publishing and encoding its message.",
    )


async def channels(environment: Environment) -> Outcome:
    """The same sockets and load with ten and a hundred times as many channels."""
    curve = _Curve(environment, "channels")
    for layers in _CHANNELS_EACH:
        await curve.measure(100 * layers, People(f"mesh{layers}", 1000, (10,) * layers), window=200)
    return curve.outcome(
        "Cost per delivery by the number of channels",
        "1,000 sockets, each in 1, 10 or 100 channels of ten members, sending in all of them; 200 messages in flight.",
    )


async def gateways(environment: Environment) -> Outcome:
    """One room of 1,000 members on one to four gateways; processor time of all gateways together."""
    curve = _Curve(environment, "gateways")
    for count in _GATEWAYS:
        await curve.measure(count, TOWN, window=1, targets=count)
    return curve.outcome(
        "Cost per delivery by the number of gateways",
        "1,000 sockets in one room, spread over the gateways, one message in flight; processor time of all gateways "
        "together, including those without sockets. All gateways share one core.",
    )
