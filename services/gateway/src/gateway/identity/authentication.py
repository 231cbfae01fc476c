"""Verifies tokens: the issuer, the audience, and the claims' types and times.

`chassis.jwt` parses tokens, `issuers` holds the keys, and `access_cache` checks whether the user is blocked or the token revoked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from chassis import jwt
from chassis.errors import NotAuthenticated
from chassis.ids import Tenant
from chassis.jwt import InvalidTokenError, NumericDate
from gateway.identity.identity import Identity
from gateway.identity.issuers import DevIssuer, Issuer

LEEWAY_SECONDS = 10.0
DEFAULT_TTL_SECONDS = 12 * 3600
UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters and lone surrogates, which no identifier or name may contain."""
_DOTS = frozenset({".", ".."})
"""Segments that HTTP clients remove from a path, so no request could name such a user."""


def is_user_id(value: str) -> bool:
    """Whether a user may have this id, apart from its length."""
    return value not in _DOTS and not UNFIT.search(value)


class Claims(msgspec.Struct, frozen=True):
    """The claims of a token; others are ignored."""

    iss: str
    aud: str | list[str]
    exp: NumericDate
    iat: NumericDate
    sub: Annotated[str, Meta(min_length=1, max_length=128)]
    tenant: Tenant
    name: Annotated[str, Meta(max_length=128)] | None = None
    roles: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []
    nbf: NumericDate = 0
    auth_time: NumericDate = 0


class Authenticator:
    """Verifies tokens of every trusted issuer."""

    def __init__(self, issuers: Mapping[str, Issuer], clock: Callable[[], float] = time.time) -> None:
        self._issuers = issuers
        """By `iss`."""
        self._clock = clock

    async def identify(self, token: str) -> Identity:
        """The identity of a token. Raises `NotAuthenticated`, without a reason, which would help an attacker."""
        raw, issuer = await verify(token, self._issuers)
        try:
            claims = msgspec.convert(raw, Claims)
        except msgspec.ValidationError:
            raise NotAuthenticated from None
        self._check(claims, issuer)
        return Identity(
            claims.tenant,
            claims.sub,
            claims.name or "",
            tuple(claims.roles),
            float(claims.iat),
            float(claims.exp),
            authenticated_at=float(claims.auth_time),
        )

    def _check(self, claims: Claims, issuer: Issuer) -> None:
        now = self._clock()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if (
            issuer.audience not in audiences
            or not issuer.may_name(claims.tenant)
            or claims.exp <= now
            or claims.exp - claims.iat > issuer.longest_seconds
            or max(claims.iat, claims.nbf, claims.auth_time) > now + LEEWAY_SECONDS
            or not is_user_id(claims.sub)
            or UNFIT.search(claims.name or "")
        ):
            raise NotAuthenticated


async def verify(token: str, issuers: Mapping[str, Issuer]) -> tuple[dict[str, Any], Issuer]:
    """The claims, unchecked, of a token that one of `issuers` (by `iss`) has signed. Raises `NotAuthenticated`."""
    try:
        read = jwt.read(token)
        issuer = issuers.get(read.issuer)
        if issuer is None:
            raise NotAuthenticated
        read.require_signature(await issuer.key(read.kid))
    except InvalidTokenError:
        raise NotAuthenticated from None
    return read.claims, issuer


def issue(issuer: DevIssuer, claims: Mapping[str, Any]) -> str:
    """Sign a token as the development issuer."""
    return jwt.sign(claims, issuer.signing_key, issuer.kid)
