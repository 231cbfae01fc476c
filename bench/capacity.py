"""`python -m bench.capacity` computes the table in docs/capacity.md from measured costs.

`make bench` measures the costs. The page explains them.
"""

import math
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "capacity.md"
BEGIN, END = "<!-- computed by bench/capacity.py -->\n", "<!-- end -->\n"

USERS = (500, 5_000, 50_000, 500_000)

# Assumed load.
MESSAGES_PER_USER_MINUTE = 1.0
"""Sent by each connected user in the busy hour."""
PEAK = 2.0
"""The busiest seconds of that hour, relative to its average."""
DAY_SHARE = 0.3
"""The average over a month, as a share of the busy hour."""
RECEIVERS = 20
"""Average number of connected members that receive a message."""

# Costs, measured by `make bench` unless noted otherwise. Processor time in microseconds of one core.
SOCKET_KIB = 12.0
DELIVERY_US = 5.3
"""One socket.send() including its preparation; a fraction of it when messages are joined."""
GATEWAY_MESSAGE_US = 41.0
"""At the sender's gateway: frame in, command to the bus, event back, acknowledgement out."""
GATEWAY_EVENT_US = 8.0
"""At every other gateway. Estimated as a quarter of the above: decoding an event."""
WORKER_US = 18.0
POSTGRES_US = 26.0
VALKEY_US = 7.0
VALKEY_READ_US = 0.3
"""Per gateway that reads the event. Estimated: entries hold many events."""
EVENT_BYTES = 600
"""Size of an event on the bus."""
WIRE_BYTES = 500
"""Size of a delivery of a 200-byte text, headers included."""
ROW_BYTES = 600
"""Size of a message on disk: its log entry and three indexes. Reported by PostgreSQL for 85,000 messages with 200-byte texts."""

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


@dataclass(frozen=True, slots=True)
class Plan:
    """Resources for a number of connected users."""

    users: int

    @property
    def messages(self) -> float:
        """Messages per second at the peak."""
        return self.users * MESSAGES_PER_USER_MINUTE / 60 * PEAK

    @property
    def month_messages(self) -> float:
        """Messages in a month."""
        return self.messages / PEAK * DAY_SHARE * _MONTH_SECONDS

    @property
    def gateways(self) -> int:
        """Processes of one core each: enough for sockets and processor time after one of them fails."""
        shared = self.messages * (GATEWAY_MESSAGE_US - GATEWAY_EVENT_US + RECEIVERS * DELIVERY_US) / 1e6
        each = self.messages * GATEWAY_EVENT_US / 1e6
        return 1 + max(1, math.ceil(self.users / SOCKETS_PER_GATEWAY), math.ceil(shared / (BUSY - each)))

    @property
    def gateway_mib(self) -> float:
        """Memory per gateway after one of them fails."""
        return PROCESS_MIB + self.users / (self.gateways - 1) * SOCKET_KIB / 1024

    @property
    def workers(self) -> int:
        """Processes of one core each, including one spare."""
        return 1 + math.ceil(self.messages * WORKER_US / 1e6 / BUSY)

    @property
    def partitions(self) -> int:
        """Partitions of the bus."""
        return max(8, PARTITIONS_PER_WORKER * self.workers)

    @property
    def postgres_cores(self) -> int:
        """Cores of the primary."""
        return max(2, math.ceil(self.messages * POSTGRES_US / 1e6 / BUSY))

    @property
    def disk_gb(self) -> float:
        """Disk space added per month."""
        return self.month_messages * ROW_BYTES / 1e9

    @property
    def valkey_busy(self) -> float:
        """Share of Valkey's single core at the peak."""
        return self.messages * (VALKEY_US + self.gateways * VALKEY_READ_US) / 1e6

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
        return self.messages * RECEIVERS * WIRE_BYTES * 8 / 1e6

    @property
    def dollars(self) -> float:
        """Cost per month, with a year's messages on disk and a standby of each store. Excludes media, support and staff."""
        services = 3 if self.users < SOCKETS_PER_GATEWAY else 6  # messages api, presence, media
        cores = (self.gateways + self.workers + services) * CORE_PRICE
        stores = 2 * (self.postgres_cores * POSTGRES_CORE_PRICE + 12 * self.disk_gb * DISK_GB_PRICE + VALKEY_CORE_PRICE)
        return cores + stores + self.month_messages * RECEIVERS * WIRE_BYTES / 1e9 * EGRESS_GB_PRICE


def table() -> str:
    """Return the table in Markdown."""
    plans = [Plan(users) for users in USERS]
    rows = {
        "connected users": [f"{plan.users:,}" for plan in plans],
        "messages/s at the peak": [f"{plan.messages:,.0f}" for plan in plans],
        "deliveries/s at the peak": [f"{plan.messages * RECEIVERS:,.0f}" for plan in plans],
        "gateways, one core each": [f"{plan.gateways}" for plan in plans],
        "memory of each": [f"{plan.gateway_mib:,.0f} MiB" for plan in plans],
        "workers, one core each": [f"{plan.workers}" for plan in plans],
        "bus partitions": [f"{plan.partitions}" for plan in plans],
        "PostgreSQL cores, primary": [f"{plan.postgres_cores}" for plan in plans],
        "disk, a month's messages": [f"{plan.disk_gb:,.0f} GB" for plan in plans],
        "Valkey, of its one core": [f"{plan.valkey_busy:.1%}" for plan in plans],
        "Valkey, memory at most": [f"{plan.valkey_mib:,.0f} MiB" for plan in plans],
        "Valkey to gateways": [f"{plan.bus_megabits:,.0f} Mbit/s" for plan in plans],
        "gateways to clients": [f"{plan.egress_megabits:,.0f} Mbit/s" for plan in plans],
        "dollars a month, roughly": [f"{plan.dollars:,.0f}" for plan in plans],
    }
    head, *body = ([name, *cells] for name, cells in rows.items())
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---", *["---:"] * len(plans)], *body)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the table into the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table() + END + after)


if __name__ == "__main__":
    main()
