"""Decides which `Host` values this gateway answers to, as a defence against DNS rebinding.

A page of `evil.example` whose name suddenly resolves to 127.0.0.1 is one origin with a gateway on this machine, and the browser
lets it read every answer. Its requests still carry `Host: evil.example`, which is answered with 421.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from gateway.config import ANY_HOST

HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9._~!$&'()*+,;=%-]{1,255}?)\.?(?::[0-9]{0,5})?", re.ASCII)
"""A lower-case `Host` value (RFC 9110, section 7.2)."""
ServedHost = Callable[[str], bool]
"""Whether a lower-case name without port and without trailing dot is served."""


@lru_cache(256)
def host_name(value: bytes) -> str | None:
    """The name in a `Host` value, in lower case and without its port; None if the value is not valid."""
    found = HOST.fullmatch(value.decode("latin-1").lower())
    return found["name"] if found else None


def served_hosts(names: frozenset[str], own: str, *, production: bool) -> ServedHost:
    """The names served: `own` and those configured; without any configured, every name in production and local ones elsewhere.

    `own` is the name of the public address, empty if that is not configured.
    """
    if ANY_HOST in names or (production and not names):
        return lambda _name: True
    return lambda name: name in names or (name == own != "") or (not names and is_local(name))


def is_local(name: str) -> bool:
    """Whether no page of a stranger can have this host: localhost, an IP address, or a name without a dot.

    An address is not resolved, so it cannot be rebound. Public DNS resolves no name without a dot.
    """
    if "." not in name or name.endswith(".localhost"):
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
