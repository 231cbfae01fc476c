"""Formats of the ids that cross service boundaries: channels and messages (UUIDs), and tenants."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

TENANT: Final = "[a-z0-9-]{1,64}"
"""Regular expression of a tenant name, without anchors."""
Tenant: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=rf"\A{TENANT}\Z")]
"""A tenant name as a field validated by msgspec."""
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TENANT = re.compile(TENANT)


def is_uuid(text: str) -> bool:
    """Return whether `text` is a UUID in canonical form (RFC 9562: lower case, with hyphens).

    Other forms are rejected because they would map the same channel to another partition.
    """
    return _UUID.fullmatch(text) is not None


def is_tenant(text: str) -> bool:
    """Return whether `text` is a tenant name: 1 to 64 lower-case letters, digits and hyphens."""
    return _TENANT.fullmatch(text) is not None
