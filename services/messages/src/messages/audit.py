"""Records of the audit log of moderators and administrators, and the verification of their seals.

Each record holds the digest of the record before it, and SHA-256 over that digest and its own fields, each as a netstring
(`<bytes>:<UTF-8>,`) in the order of `Record._fields`. A second seal covers the pseudonyms of people in place of their ids, and
the digest: it stays valid when a person is erased. The database function `audit_append` computes both. The transaction that a
record describes also inserts it.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from chassis.context import current_caller
from chassis.identity import GATEWAY
from messages.message import ChannelId, TenantId, UserId

FIRST = bytes(32)
"""What precedes the digest and the seal of the first record."""


class AuditAction(StrEnum):
    """The actions that are recorded."""

    MEMBER_REMOVED = "member.removed"
    MEMBER_BANNED = "member.banned"
    MEMBER_UNBANNED = "member.unbanned"
    MEMBER_SILENCED = "member.silenced"
    MEMBER_UNSILENCED = "member.unsilenced"
    MEMBER_ROLE_CHANGED = "member.role_changed"
    MESSAGE_DELETED = "message.deleted"
    """Deletion of another user's message; recorded by the statement in `messages.commands.changes`."""
    REPORT_RESOLVED = "report.resolved"
    SLOW_MODE_CHANGED = "channel.slow_mode_changed"
    USER_REVOKED = "user.revoked"
    USER_BLOCKED = "user.blocked"
    USER_UNBLOCKED = "user.unblocked"
    USER_ERASED = "user.erased"
    """Recorded by the database function `audit_erase`, with the pseudonym in `details`."""
    BOT_CREATED = "bot.created"
    BOT_RENAMED = "bot.renamed"
    BOT_DISABLED = "bot.disabled"
    BOT_ENABLED = "bot.enabled"
    BOT_TOKEN_CREATED = "bot.token_created"  # noqa: S105 - no password
    BOT_TOKEN_REVOKED = "bot.token_revoked"  # noqa: S105 - no password
    HOOK_CREATED = "hook.created"
    HOOK_ROTATED = "hook.rotated"
    HOOK_REMOVED = "hook.removed"


def via() -> str | None:
    """The calling product that acts on a user's behalf; None when the user acts through Hubbub's own gateway."""
    caller = current_caller()
    return None if caller == GATEWAY else caller


class Record(msgspec.Struct, frozen=True):
    """One row of the audit log."""

    tenant: TenantId
    number: int
    at: datetime
    actor: UserId
    action: str
    channel: ChannelId | None
    subject: str
    details: str
    """JSON: fields of the action, and `via` for a product that acted on the user's behalf."""
    previous: bytes
    digest: bytes
    seal: bytes
    actor_pseudonym: str
    subject_pseudonym: str

    @property
    def erased(self) -> bool:
        """Whether a person in it was erased: a pseudonym stands in place of the id, so `digest` cannot be recomputed."""
        return self.actor == self.actor_pseudonym or bool(self.subject and self.subject == self.subject_pseudonym)

    def expected_digest(self) -> bytes:
        """The `digest` of these fields."""
        return _sealed(self.previous, self._fields(self.actor, self.subject))

    def expected_seal(self, previous: bytes) -> bytes:
        """The `seal` of these fields after a record with the seal `previous`."""
        return _sealed(previous, (*self._fields(self.actor_pseudonym, self.subject_pseudonym), self.digest.hex()))

    def _fields(self, actor: str, subject: str) -> tuple[str, ...]:
        at = self.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return self.tenant, str(self.number), at, actor, self.action, self.channel or "", subject, self.details


def _sealed(previous: bytes, fields: Iterable[str]) -> bytes:
    sealed = hashlib.sha256(previous)
    for field in fields:
        written = field.encode()
        sealed.update(b"%d:%b," % (len(written), written))
    return sealed.digest()


class Broken(msgspec.Struct, frozen=True):
    """The first broken record of a tenant."""

    tenant: TenantId
    number: int
    """The first record that is missing, was changed, or does not match the digest of the one before it."""
    problem: str


async def verify(tenant: TenantId, records: AsyncIterator[Record], head: tuple[int, bytes]) -> Broken | None:
    """Check a tenant's records, given in order, against the newest number and digest. Returns the first broken one, or None."""
    number, digest, seal = 0, FIRST, FIRST
    async for record in records:
        number += 1
        if record.number != number:
            return Broken(tenant, number, "missing")
        if record.previous != digest:
            return Broken(tenant, number, "does not match the record before")
        if record.expected_seal(seal) != record.seal or (not record.erased and record.expected_digest() != record.digest):
            return Broken(tenant, number, "changed")
        digest, seal = record.digest, record.seal
    if (number, digest) != head:
        return Broken(tenant, number + 1 if number < head[0] else number, "missing" if number < head[0] else "not the newest")
    return None
