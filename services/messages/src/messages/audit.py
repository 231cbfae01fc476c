"""The audit log's records and their seal: what was done is added in the transaction that does it, and a change of it shows.

Each record holds the digest of the one before it and SHA-256 over that digest and its own fields, each as a netstring
(`<bytes>:<UTF-8>,`), in the order of `Record.fields`. The database seals (migration 0003); here the seals are verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from chassis.context import current_caller
from chassis.identity import GATEWAY
from messages.message import ChannelId, TenantId, UserId

FIRST = bytes(32)
"""What stands for the digest before the first record."""


class Deed(StrEnum):
    """What may be recorded."""

    MEMBER_REMOVED = "member.removed"
    MEMBER_BANNED = "member.banned"
    MEMBER_UNBANNED = "member.unbanned"
    MEMBER_SILENCED = "member.silenced"
    MEMBER_UNSILENCED = "member.unsilenced"
    MEMBER_ROLE_CHANGED = "member.role_changed"
    MESSAGE_DELETED = "message.deleted"
    """Somebody else's; the statement `queries.commands.DELETE` records it."""
    REPORT_RESOLVED = "report.resolved"
    SLOW_MODE_CHANGED = "channel.slow_mode_changed"
    USER_REVOKED = "user.revoked"
    USER_BLOCKED = "user.blocked"
    USER_UNBLOCKED = "user.unblocked"


def via() -> str | None:
    """The product that asks for it on a user's behalf; None where users do it themselves, through Hubbub's own gateways."""
    caller = current_caller()
    return None if caller == GATEWAY else caller


class Record(msgspec.Struct, frozen=True):
    """One row."""

    tenant: TenantId
    number: int
    at: datetime
    actor: UserId
    action: str
    channel: ChannelId | None
    subject: str
    details: str
    """JSON: what the action says, and `via` where a product did it."""
    previous: bytes
    digest: bytes

    @property
    def fields(self) -> tuple[str, ...]:
        """What is sealed, in order."""
        at = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self.tenant, str(self.number), at, self.actor, self.action, self.channel or "", self.subject, self.details

    def seal(self) -> bytes:
        """What `digest` has to be."""
        sealed = hashlib.sha256(self.previous)
        for field in self.fields:
            written = field.encode()
            sealed.update(b"%d:%b," % (len(written), written))
        return sealed.digest()


class Broken(msgspec.Struct, frozen=True):
    """Where a chain does not hold."""

    tenant: TenantId
    number: int
    """The first record that is missing, was changed, or does not follow from the one before it."""
    problem: str


async def verify(tenant: TenantId, records: AsyncIterator[Record], head: tuple[int, bytes]) -> Broken | None:
    """The first fault of a tenant's records, given in order, against the newest number and digest; None when there is none."""
    number, digest = 0, FIRST
    async for record in records:
        number += 1
        if record.number != number:
            return Broken(tenant, number, "missing")
        if record.previous != digest:
            return Broken(tenant, number, "does not follow from the one before")
        if record.seal() != record.digest:
            return Broken(tenant, number, "changed")
        digest = record.digest
    if (number, digest) != head:
        return Broken(tenant, number + 1 if number < head[0] else number, "missing" if number < head[0] else "not the newest")
    return None
