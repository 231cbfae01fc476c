"""`python -m bench.capacity` computes the table in docs/capacity.md from the costs that `python -m bench.day` measured.

The page explains the assumptions.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs" / "capacity.md"
BEGIN, END = "<!-- computed by bench/capacity.py -->\n", "<!-- end -->\n"
DAY: dict[str, Any] = json.loads((Path(__file__).parent / "results" / "day.json").read_text())
"""What `bench.day` measured: habits per hour, processor time per activity and role in microseconds, bytes and counts."""

USERS = (500, 5_000, 50_000, 200_000)

# Assumed load, besides the habits and the peak of `bench.day`.
PEAK: float = DAY["peak"]
"""The busiest seconds of the busy hour, relative to its average."""
DAY_SHARE = 0.3
"""The average over a month, as a share of the busy hour."""

# Costs that `bench.day` does not measure.
GATEWAY_EVENT_US = 8.0
"""Of a gateway without a connection of the channel: 18 in entries of one event, 2.6 in full entries (docs/adr/0052)."""
VALKEY_READ_US = 0.3
"""Per gateway that reads the event. Estimated: entries hold many events."""
EVENT_BYTES = 600
"""Size of an event on the bus."""
WIRE_BYTES = 500
"""Size of a delivery of a 200-byte text, headers included."""
ROW_BYTES = 1_500
"""Size of a message on disk. In a store of 500,000 messages of some 70 bytes: 460 for 1.2 entries with their indexes, 140 for
the key, and 790 in the search index (docs/adr/0045). 200 bytes of text need some 110 more."""

# Utilisation limits.
BUSY = 0.5
"""Share of a core used at the peak. The rest is reserved for reconnects and failed neighbours."""
SOCKETS_PER_GATEWAY = 15_000
"""With more, clients of a failed gateway would need longer than 20 s to reconnect to the others."""
PROCESS_MIB = 100
"""Memory of a gateway without sockets."""
PARTITIONS_PER_WORKER = 4

# Dollars per month. Assumed: rounded on-demand list prices of large clouds; stateful servers count twice.
CORE_PRICE = 25.0
POSTGRES_CORE_PRICE = 60.0
VALKEY_CORE_PRICE = 50.0
DISK_GB_PRICE = 0.12
EGRESS_GB_PRICE = 0.05

_MONTH_SECONDS = 30 * 24 * 3600
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Resources for a number of connected users."""

    users: int

    def rate(self, *activities: str) -> float:
        """How often per second these activities happen at the peak."""
        habits: float = sum(DAY["habits"][each] for each in activities)
        return self.users * habits / _HOUR * PEAK

    def busy(self, role: str) -> float:
        """Cores of a role that are busy at the peak."""
        idle: float = self.users * DAY["costs"]["idle"][role]
        active: float = sum(self.rate(each) * DAY["costs"][each][role] for each in DAY["habits"])
        return (idle + active) / 1e6

    def processes(self, role: str, spare: int = 1) -> int:
        """Processes of one core each, the spare ones included."""
        return spare + max(1, math.ceil(self.busy(role) / BUSY))

    @property
    def messages(self) -> float:
        """Messages per second at the peak."""
        return self.rate("message")

    @property
    def deliveries(self) -> float:
        """Messages delivered per second at the peak."""
        return self.messages * float(DAY["deliveries"])

    @property
    def month_messages(self) -> float:
        """Messages in a month."""
        return self.messages / PEAK * DAY_SHARE * _MONTH_SECONDS

    @property
    def gateways(self) -> int:
        """Processes of one core each: enough for sockets and processor time after one of them fails."""
        each = self.rate("message", "read") * GATEWAY_EVENT_US / 1e6
        return 1 + max(1, math.ceil(self.users / SOCKETS_PER_GATEWAY), math.ceil(self.busy("server") / (BUSY - each)))

    @property
    def gateway_mib(self) -> float:
        """Memory per gateway after one of them fails."""
        return PROCESS_MIB + self.users / (self.gateways - 1) * float(DAY["memory_kib"]) / 1024

    @property
    def partitions(self) -> int:
        """Partitions of the bus."""
        return max(8, PARTITIONS_PER_WORKER * self.processes("worker"))

    @property
    def postgres_cores(self) -> int:
        """Cores of the primary."""
        return max(2, math.ceil(self.busy("postgres") / BUSY))

    @property
    def disk_gb(self) -> float:
        """Disk space added per month."""
        return self.month_messages * ROW_BYTES / 1e9

    @property
    def valkey_busy(self) -> float:
        """Share of one core at the peak, of the bus and presence together."""
        return self.busy("valkey") + self.rate("message", "read") * self.gateways * VALKEY_READ_US / 1e6

    @property
    def valkey_mib(self) -> float:
        """Maximum memory: 24 MiB of commands and 16 MiB of events per partition, 8 MiB of replies per gateway."""
        return self.partitions * 40 + self.gateways * 8

    @property
    def bus_megabits(self) -> float:
        """Traffic from Valkey to the gateways at the peak: every gateway reads all events."""
        return self.messages * self.gateways * EVENT_BYTES * 8 / 1e6

    @property
    def egress_megabits(self) -> float:
        """Traffic to the clients at the peak."""
        return self.deliveries * WIRE_BYTES * 8 / 1e6

    @property
    def dollars(self) -> float:
        """Cost per month, with a year's messages on disk and a standby of each store. Excludes media, support and staff."""
        roles = sum(self.processes(role) for role in ("worker", "api", "search", "presence"))
        cores = (self.gateways + roles) * CORE_PRICE
        valkeys = max(1, math.ceil(self.valkey_busy / BUSY)) * VALKEY_CORE_PRICE
        stores = 2 * (self.postgres_cores * POSTGRES_CORE_PRICE + 12 * self.disk_gb * DISK_GB_PRICE + valkeys)
        delivered = self.month_messages * float(DAY["deliveries"]) * WIRE_BYTES / 1e9
        return cores + stores + delivered * EGRESS_GB_PRICE


def table() -> str:
    """Return the table in Markdown."""
    plans = [Plan(users) for users in USERS]
    rows = {
        "connected users": [f"{plan.users:,}" for plan in plans],
        "messages/s at the peak": [f"{plan.messages:,.0f}" for plan in plans],
        "deliveries/s at the peak": [f"{plan.deliveries:,.0f}" for plan in plans],
        "read positions/s at the peak": [f"{plan.rate('read'):,.0f}" for plan in plans],
        "HTTP reads/s at the peak": [f"{plan.rate('page', 'channels', 'people', 'search'):,.0f}" for plan in plans],
        "gateways, one core each": [f"{plan.gateways}" for plan in plans],
        "memory of each": [f"{plan.gateway_mib:,.0f} MiB" for plan in plans],
        "messages API, one core each": [f"{plan.processes('api')}" for plan in plans],
        "workers, one core each": [f"{plan.processes('worker')}" for plan in plans],
        "search, one core each": [f"{plan.processes('search')}" for plan in plans],
        "presence, one core each": [f"{plan.processes('presence')}" for plan in plans],
        "bus partitions": [f"{plan.partitions}" for plan in plans],
        "PostgreSQL cores, primary": [f"{plan.postgres_cores}" for plan in plans],
        "disk, a month's messages": [f"{plan.disk_gb:,.0f} GB" for plan in plans],
        "Valkey, of one core": [f"{plan.valkey_busy:.1%}" for plan in plans],
        "Valkey, memory at most": [f"{plan.valkey_mib:,.0f} MiB" for plan in plans],
        "Valkey to gateways": [f"{plan.bus_megabits:,.0f} Mbit/s" for plan in plans],
        "gateways to clients": [f"{plan.egress_megabits:,.0f} Mbit/s" for plan in plans],
        "dollars a month, roughly": [f"{plan.dollars:,.0f}" for plan in plans],
    }
    return _markdown([[name, *cells] for name, cells in rows.items()])


def costs() -> str:
    """Return the measured costs in Markdown, in microseconds."""
    roles = {"server": "gateway", "api": "API", "worker": "worker", "search": "search", "presence": "presence",
             "postgres": "PostgreSQL", "valkey": "Valkey"}  # fmt: skip
    rows = [["µs of a core for each", "an hour and person", *roles.values()]]
    for name, spent in DAY["costs"].items():
        often = "a second" if name == "idle" else f"{DAY['habits'][name]:.0f}"
        rows.append([name, often, *(f"{max(0.0, spent[role]):,.0f}" for role in roles)])
    return _markdown(rows)


def _markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---", *["---:"] * (len(head) - 1)], *body)]
    return "\n".join(lines) + "\n"


def written() -> str:
    """Return the computed part of the page."""
    return table() + "\n" + costs()


def main() -> None:
    """Write the tables into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + written() + END + after)


if __name__ == "__main__":
    main()
