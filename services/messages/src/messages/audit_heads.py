"""Signs the heads of the audit log with a key that the database does not have, and writes them to the structured log.

The seals alone do not show that the end of a tenant's log was cut off, or that all of it was written anew, by the owner of the
database. A signed head that was kept elsewhere does.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Iterator

import msgspec
import structlog
from joserfc.jwk import OKPKey

from chassis import jwt
from chassis.errors import Unavailable
from chassis.jwt import InvalidTokenError, VerificationKey
from chassis.lifecycle import pause
from chassis.postgres import Database
from messages.message import TenantId
from messages.store import audit

log = structlog.get_logger()
_ISSUER = "hubbub-audit"
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class SignedHead(msgspec.Struct, frozen=True):
    """The newest record of a tenant when it was signed."""

    tenant: TenantId
    number: int
    digest: str
    """In hexadecimal digits."""
    iss: str
    iat: int


class HeadSigner:
    """Signs the heads that have changed: at the start, then periodically, and when the process stops."""

    def __init__(self, database: Database, key: OKPKey, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key = key
        self._seconds = seconds
        self._clock = clock
        self._signed: dict[TenantId, int] = {}
        """Number of the newest record signed by this process."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Sign until `stopping`, and once more."""
        while True:
            ended = stopping.is_set()
            try:
                await self.sign()
            except Unavailable:
                log.warning("audit_heads_not_signed")
            if ended:
                return
            await pause(stopping, self._seconds)

    async def sign(self) -> None:
        """Write each head that this process has not signed yet. Raises `Unavailable`."""
        for tenant, number, digest in await audit.heads(self._database):
            if self._signed.get(tenant) != number:
                head = SignedHead(tenant, number, digest.hex(), _ISSUER, int(self._clock()))
                signed = jwt.sign(msgspec.structs.asdict(head), self._key, self._key.thumbprint())
                log.info("audit_head_signed", tenant=tenant, number=number, head=signed)
                self._signed[tenant] = number


def read(lines: Iterable[str], key: OKPKey) -> Iterator[SignedHead]:
    """The signed heads in lines of a log. Raises `InvalidTokenError` at one that `key` did not sign."""
    verification = VerificationKey("EdDSA", key)
    for line in lines:
        for text in _TOKEN.findall(line) if "audit_head_signed" in line else ():
            token = jwt.read(text)
            token.require_signature(verification)
            try:
                head = msgspec.convert(token.claims, SignedHead)
            except msgspec.ValidationError:
                raise InvalidTokenError from None
            if head.iss != _ISSUER:
                raise InvalidTokenError
            yield head


async def contradicted(database: Database, heads: Iterable[SignedHead]) -> list[SignedHead]:
    """The first signed head of each tenant that the log does not hold: its record is missing or another one."""
    found: dict[TenantId, SignedHead] = {}
    for head in sorted(set(heads), key=lambda each: (each.tenant, each.number)):
        if head.tenant not in found and await audit.digest(database, head.tenant, head.number) != head.digest:
            found[head.tenant] = head
    return list(found.values())
