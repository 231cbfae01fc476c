"""The form of identifiers that cross a service boundary: channels and messages (UUIDs), and tenants."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

TENANT: Final = "[a-z0-9-]{1,64}"
"""A tenant's name, as a regular expression without anchors."""
Tenant: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=rf"\A{TENANT}\Z")]
"""A tenant's name, as a field that msgspec validates."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TENANT = re.compile(TENANT)


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its one canonical spelling (RFC 9562: lower case, with hyphens).

    One spelling only: another one would put the same channel on another partition.
    """
    return _UUID.fullmatch(text) is not None


def is_tenant(text: str) -> bool:
    """Whether `text` can name a tenant: 1 to 64 lower-case letters, digits and hyphens."""
    return _TENANT.fullmatch(text) is not None
