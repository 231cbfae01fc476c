"""Tells why a process cannot use the bus, for `chassis.lifecycle.keep_ready`."""

from __future__ import annotations

from collections.abc import Sequence

from bus.bus import Bus, BusError
from bus.topics import Topic, commands, events, rejected, replies, revocations
from chassis.lifecycle import Check, Unusable

_CAUSES = {
    "OOM": "it is out of memory",
    "WRONGPASS": "it refuses the user or the password",
    "NOAUTH": "it asks for a password, and the URL has none",
    "NOPERM": "its user lacks a right that the bus needs",
    "READONLY": "it is a replica, which refuses writes",
    "MISCONF": "it cannot save its data, and refuses writes",
    "LOADING": "it is loading its data",
    "MOVED": "it runs in cluster mode, which is not supported",
    "CROSSSLOT": "it runs in cluster mode, which is not supported",
    "CLUSTERDOWN": "it runs in cluster mode, which is not supported",
    "cannot connect": "nothing answers at its address",
}


def usable(bus: Bus, partitions: int, *, durable: bool, backlog: bool = False) -> Check:
    """Return a check of the bus: it accepts entries, and can hold all topics, with one gateway, at their bounds.

    `backlog`: the check also records the age of the oldest command.
    """
    numbers = range(partitions)
    topics: Sequence[Topic] = [*map(commands, numbers), *map(events, numbers), replies(""), revocations(), rejected()]

    async def check() -> None:
        try:
            await bus.check(topics, durable=durable, backlog=backlog)
        except BusError as error:
            raise Unusable(_CAUSES.get(str(error), str(error))) from error

    return check
