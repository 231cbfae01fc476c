"""Says who a token's bearer is, or that it is nobody: a strict wrapper around joserfc, and the one place that reads a JWT.

joserfc checks the signature; everything that its callers are free to get wrong is pinned here: the size and alphabet of the
compact form, a header without duplicates or key material of its own, the algorithm that belongs to *our* key and no other, `iss`
and `aud`, the claims' types and times. Whether the user has been blocked or the token revoked is `admission`'s.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NoReturn

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.util import urlsafe_b64decode
from msgspec import Meta

from chassis.errors import NotAuthenticated
from gateway.connection import Identity
from gateway.issuers import DevIssuer, Issuer

TOKEN_BYTES = 8 * 1024
LEEWAY_SECONDS = 10.0
DEFAULT_TTL_SECONDS = 12 * 3600
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no identifier and no name may hold: control characters and lone surrogates."""
_FORBIDDEN = frozenset({"jwk", "jku", "x5u", "x5c", "zip", "b64", "crit"})
_TYPES = frozenset({"jwt", "at+jwt"})

_LATEST = 1 << 40
Moment = Annotated[int, Meta(ge=0, le=_LATEST)] | Annotated[float, Meta(ge=0, le=_LATEST)]
"""Unix seconds."""


class Claims(msgspec.Struct, frozen=True):
    """What a token must say; further claims are ignored."""

    iss: str
    aud: str | list[str]
    exp: Moment
    iat: Moment
    sub: Annotated[str, Meta(min_length=1, max_length=128)]
    tenant: Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[a-z0-9-]+\Z")]
    name: Annotated[str, Meta(max_length=128)] | None = None
    roles: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=32)] = []
    nbf: Moment = 0


class Authenticator:
    """Every issuer that is trusted here."""

    def __init__(self, issuers: Mapping[str, Issuer], clock: Callable[[], float] = time.time) -> None:
        self._issuers = issuers
        """By `iss`."""
        self._clock = clock

    async def identify(self, token: str) -> Identity:
        """Who bears a token. Raises `NotAuthenticated`, which never says why: the reason is for whoever issues tokens."""
        said, issuer = await verify(token, self._issuers)
        try:
            claims = msgspec.convert(said, Claims)
        except msgspec.ValidationError:
            raise NotAuthenticated from None
        self._judge(claims, issuer)
        return Identity(claims.tenant, claims.sub, claims.name or "", tuple(claims.roles), float(claims.iat), float(claims.exp))

    def _judge(self, claims: Claims, issuer: Issuer) -> None:
        now = self._clock()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if (
            issuer.audience not in audiences
            or not issuer.may_name(claims.tenant)
            or claims.exp <= now
            or claims.iat > now + LEEWAY_SECONDS
            or claims.nbf > now + LEEWAY_SECONDS
            or UNFIT.search(claims.sub)
            or UNFIT.search(claims.name or "")
        ):
            raise NotAuthenticated


async def verify(token: str, issuers: Mapping[str, Issuer]) -> tuple[dict[str, Any], Issuer]:
    """What a token says that one of `issuers` (by `iss`) signed; what it must say is the caller's. Raises `NotAuthenticated`."""
    if len(token) > TOKEN_BYTES or not _COMPACT.fullmatch(token):
        raise NotAuthenticated
    header_part, claims_part, _ = token.split(".")
    header, claims = _object(header_part), _object(claims_part)
    name, kid, algorithm = claims.get("iss"), header.get("kid"), header.get("alg")
    issuer = issuers.get(name) if isinstance(name, str) else None
    if issuer is None or not isinstance(kid, str) or _FORBIDDEN & header.keys() or not _typed(header):
        raise NotAuthenticated
    key = await issuer.key(kid)
    if key is None or key.algorithm != algorithm:
        raise NotAuthenticated
    try:
        jws.deserialize_compact(token, key.key, algorithms=[key.algorithm])
    except (JoseError, ValueError):
        raise NotAuthenticated from None
    return claims, issuer


def issue(issuer: DevIssuer, claims: Mapping[str, Any]) -> str:
    """A token of the development issuer."""
    header = {"alg": "EdDSA", "typ": "JWT", "kid": issuer.kid}
    return jws.serialize_compact(header, json.dumps(claims).encode(), issuer.signing_key, algorithms=["EdDSA"])


def _typed(header: Mapping[str, Any]) -> bool:
    kind = header.get("typ", "JWT")
    return isinstance(kind, str) and kind.lower() in _TYPES


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _no_constant(_name: str) -> NoReturn:
    raise ValueError


def _object(part: str) -> dict[str, Any]:
    try:
        text = urlsafe_b64decode(part.encode()).decode()  # else UTF-16 and a byte order mark would be understood
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NotAuthenticated from None
    if not isinstance(found, dict):
        raise NotAuthenticated
    return found
