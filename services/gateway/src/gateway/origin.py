"""Web origins: which pages may use what a browser holds of ours, and how an operator spells one."""

from __future__ import annotations

import re

_SPELLED = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?/?"
)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535


def origin_of(value: str) -> str:
    """An origin as browsers spell it in `Origin`, from how people do. Raises `ValueError` for anything else."""
    spelled = value.strip().lower()
    found = _SPELLED.fullmatch(spelled)
    if found is None or int(found["port"] or 0) > _LAST_PORT or ".." in found["host"]:
        msg = f"holds {value.strip()!r}: an origin is like https://shop.example, without a path and without wildcards"
        raise ValueError(msg)
    scheme, host, port = found.group("scheme", "host", "port")
    return f"{scheme}://{host}" if port is None or int(port) == _DEFAULT_PORTS[scheme] else f"{scheme}://{host}:{port}"


def may_use(origin: str, host: str, allowed: frozenset[str]) -> bool:
    """Whether a page of `origin` may, at a server that the browser calls `host` (the header's value)."""
    origin = origin.lower()
    scheme, _, authority = origin.partition("://")
    own = scheme in ("http", "https") and authority == host.lower() and host != ""
    return own or origin in allowed
