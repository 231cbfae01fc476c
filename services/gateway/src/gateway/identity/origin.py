"""Which web origins may use the gateway with what their browser holds: its own, and those of the allow list."""

from __future__ import annotations


def may_use(origin: str, host: str, allowed: frozenset[str]) -> bool:
    """Whether a page of `origin` may call a server that the browser knows as `host` (the value of the `Host` header)."""
    origin = origin.lower()
    scheme, _, authority = origin.partition("://")
    own = scheme in ("http", "https") and authority == host.lower() and host != ""
    return own or origin in allowed
