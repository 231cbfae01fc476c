"""Spells every key that the bus has in Redis."""

from __future__ import annotations

EPOCH = "bus:epoch"
"""A name for the data set, put there by some follower: a wipe takes it along."""
GATEWAYS = "bus:gateways"
"""The sorted set of gateways, by the end of their leases."""
GATEWAYS_SINCE = "bus:gateways:since"
"""The hash that holds since when `GATEWAYS` is recorded, and in which run of the server."""


def stream(topic: str) -> str:
    """Return the stream that holds a topic's entries."""
    return f"bus:{topic}"


def size(topic: str) -> str:
    """Return the counter of the bytes that a topic's entries take."""
    return f"bus:size:{topic}"


def lease(group: str, topic: str) -> str:
    """Return the key that says which member of a group holds a topic."""
    return f"bus:lease:{group}:{topic}"


def members(group: str) -> str:
    """Return the hash that says which members a group has and until when each is believed."""
    return f"bus:members:{group}"


def signal(name: str) -> str:
    """Return the channel of a signal."""
    return f"bus:signal:{name}"


def value(name: str) -> str:
    """Return the key of a value that can be taken once."""
    return f"bus:value:{name}"


def acknowledged(revocation: str) -> str:
    """Return the set of gateways that have acknowledged a revocation."""
    return f"bus:acknowledged:{revocation}"
