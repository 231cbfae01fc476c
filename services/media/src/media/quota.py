"""What users and tenants may store, and how fast they may announce it."""

from __future__ import annotations

import msgspec

from chassis.errors import RateLimited, TooLarge

WINDOW_SECONDS = 60.0
_OPEN_RETRY_SECONDS = 10.0


class Quota(msgspec.Struct, frozen=True):
    """The limits. Bytes are those of uploads that are announced, being examined or clean; open uploads await their verdict."""

    user_bytes: int
    tenant_bytes: int
    user_open: int
    tenant_open: int
    user_per_minute: int


class Usage(msgspec.Struct, frozen=True):
    """What a user and their tenant have, with the upload that is to be judged."""

    user_bytes: int
    tenant_bytes: int
    user_open: int
    tenant_open: int
    announced: int
    """By the user, within the last minute."""
    oldest_seconds: float
    """Age of the first of them."""


def require(quota: Quota, usage: Usage) -> None:
    """Raise `TooLarge` where only deleting helps, `RateLimited` where waiting does."""
    if usage.user_bytes > quota.user_bytes:
        raise TooLarge(f"A user may store {quota.user_bytes} bytes")
    if usage.tenant_bytes > quota.tenant_bytes:
        raise TooLarge(f"A tenant may store {quota.tenant_bytes} bytes")
    if usage.announced > quota.user_per_minute:
        raise RateLimited("Too many uploads in a minute", retry_after=max(1.0, WINDOW_SECONDS - usage.oldest_seconds))
    if usage.user_open > quota.user_open:
        raise RateLimited("Too many of the user's uploads await their bytes or their verdict", retry_after=_OPEN_RETRY_SECONDS)
    if usage.tenant_open > quota.tenant_open:
        raise RateLimited("Too many of the tenant's uploads await their bytes or their verdict", retry_after=_OPEN_RETRY_SECONDS)
