"""Tells from a Redis or Valkey server's INFO why the server cannot be used: a cluster, a replica, evicting keys, too small."""

from __future__ import annotations

from collections.abc import Mapping

SECTIONS = ("server", "replication", "memory", "persistence", "cluster")
"""The sections of INFO that `unfit` reads."""
_MEBIBYTE = 1024 * 1024


def parsed(information: bytes | str) -> dict[str, str]:
    """The fields of an INFO reply."""
    text = information.decode() if isinstance(information, bytes) else information
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def unfit(information: Mapping[str, str], *, needed_bytes: int = 0, durable: bool = False) -> str:
    """Why a server cannot be used, and the cure, in one line; empty if it can. `needed_bytes`: the data that it may have to hold.

    A `durable` server keeps its data over a restart: by an append-only file, or by a replica.
    """
    most = int(information.get("maxmemory", 0))
    if information.get("cluster_enabled", "0") != "0":
        return "it runs in cluster mode, which is not supported: use one with cluster-enabled no"
    if information.get("role", "master") != "master":
        return "it is a replica, which refuses writes: use the primary's address"
    if information.get("maxmemory_policy", "noeviction") != "noeviction":
        return f"it evicts keys ({information['maxmemory_policy']}): set maxmemory-policy to noeviction"
    if 0 < most < needed_bytes:
        return f"its maxmemory of {most // _MEBIBYTE} MiB is below the {needed_bytes // _MEBIBYTE} MiB of the bounds: raise it"
    if durable and information.get("aof_enabled", "1") == "0" and information.get("connected_slaves", "0") == "0":
        return "it keeps no data over a restart: set appendonly yes, or attach a replica"
    return ""
