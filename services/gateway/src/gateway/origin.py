"""Says which pages may use what a browser holds of ours: the server's own, and those of the allow list."""

from __future__ import annotations


def may_use(origin: str, host: str, allowed: frozenset[str]) -> bool:
    """Whether a page of `origin` may, at a server that the browser calls `host` (the header's value)."""
    origin = origin.lower()
    scheme, _, authority = origin.partition("://")
    own = scheme in ("http", "https") and authority == host.lower() and host != ""
    return own or origin in allowed
