"""Names every Redis key of the bus."""

from __future__ import annotations

EPOCH = "bus:epoch"
"""An id of the data set, written by a follower. A wipe removes it."""
PROBE = "bus:probe"
"""A value that expires at once, written to learn whether the server accepts writes."""
GATEWAYS = "bus:gateways"
"""Sorted set of gateways by the end of their leases."""
GATEWAYS_SINCE = "bus:gateways:since"
"""Hash with the time at which `GATEWAYS` was created and the run id of the server at that time."""

GATEWAY_ADDRESSES = "bus:gateways:addresses"
"""Hash of the addresses at which gateways accept calls of other gateways, by gateway."""


def stream(topic: str) -> str:
    """Stream of a topic's entries."""
    return f"bus:{topic}"


def size(topic: str) -> str:
    """Counter of the bytes used by a topic's entries."""
    return f"bus:size:{topic}"


def lease(group: str, topic: str) -> str:
    """Lease on a topic: the member of the group that holds it."""
    return f"bus:lease:{group}:{topic}"


def members(group: str) -> str:
    """Hash of a group's members and when each one's heartbeat expires."""
    return f"bus:members:{group}"


def signal(name: str) -> str:
    """Pub/Sub channel of a signal."""
    return f"bus:signal:{name}"


def value(name: str) -> str:
    """A value that one caller can take."""
    return f"bus:value:{name}"


def acknowledged(revocation: str) -> str:
    """Set of gateways that have acknowledged a revocation."""
    return f"bus:acknowledged:{revocation}"
