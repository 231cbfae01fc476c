"""Verifies tokens: the issuer, the audience, and the claims' types and times. Tokens of bots are looked up instead.

A signature is verified once while its key stays the same; everything that depends on the time is checked at each use.
`chassis.jwt` parses tokens, `issuers` holds the keys, and `access_cache` checks whether the user is blocked or the token revoked.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from chassis import jwt
from chassis.bots import TOKEN_PREFIX, is_bot, token_credential
from chassis.errors import NotAuthenticated
from chassis.ids import Tenant
from chassis.jwt import InvalidTokenError, NumericDate, VerificationKey
from chassis.text import is_identifier, readable
from gateway.identity.bots import BotIdentities
from gateway.identity.identity import Identity
from gateway.identity.issuers import DevIssuer, Issuer

LEEWAY_SECONDS = 10.0
DEFAULT_TTL_SECONDS = 12 * 3600
VERIFIED = 16_384
"""Tokens whose signature is not verified again; the least recently used one is forgotten."""
UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters and lone surrogates, which no role may contain."""


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


class Signed(NamedTuple):
    """A token's claims, the issuer that signed them, and its key."""

    claims: dict[str, Any]
    issuer: Issuer
    kid: str
    key: VerificationKey | None


class _Verified(NamedTuple):
    """As `Signed`, with the claims read."""

    claims: Claims
    issuer: Issuer
    kid: str
    key: VerificationKey | None


class Authenticator:
    """Verifies tokens of every trusted issuer, and of bots."""

    def __init__(
        self, issuers: Mapping[str, Issuer], bots: BotIdentities | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._issuers = issuers
        """By `iss`."""
        self._bots = bots
        """None refuses every bot."""
        self._clock = clock
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()
        """By the token's digest, least recently used first."""

    @property
    def verified(self) -> int:
        """How many tokens it remembers."""
        return len(self._verified)

    async def identify(self, token: str) -> Identity:
        """The identity of a token. Raises `NotAuthenticated`, without a reason, which would help an attacker.

        Also `Unavailable`, while a bot's token cannot be looked up.
        """
        if token.startswith(TOKEN_PREFIX) and self._bots is not None:
            return await self._bots.identify(token_credential(token))
        claims, issuer, _, _ = await self._claims(token)
        self._check(claims, issuer)
        return Identity(
            claims.tenant,
            claims.sub,
            readable(claims.name, "") if claims.name else "",
            tuple(claims.roles),
            float(claims.iat),
            float(claims.exp),
            authenticated_at=float(claims.auth_time),
        )

    async def _claims(self, token: str) -> _Verified:
        """The claims of a signed token. A key that was replaced or withdrawn is another one, so the token is verified again."""
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        known = self._verified.pop(digest, None)
        if known is None or await known.issuer.key(known.kid) is not known.key:
            signed = await verify(token, self._issuers)
            try:
                known = _Verified(msgspec.convert(signed.claims, Claims), *signed[1:])
            except msgspec.ValidationError:
                raise NotAuthenticated from None
        self._verified[digest] = known
        if len(self._verified) > VERIFIED:
            self._verified.popitem(last=False)
        return known

    def _check(self, claims: Claims, issuer: Issuer) -> None:
        now = self._clock()
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if (
            issuer.audience not in audiences
            or not issuer.may_name(claims.tenant)
            or claims.exp <= now
            or claims.exp - claims.iat > issuer.longest_seconds
            or max(claims.iat, claims.nbf, claims.auth_time) > now + LEEWAY_SECONDS
            or not is_identifier(claims.sub)
            or is_bot(claims.sub)
        ):
            raise NotAuthenticated


async def verify(token: str, issuers: Mapping[str, Issuer]) -> Signed:
    """The claims, unchecked, of a token that one of `issuers` (by `iss`) has signed. Raises `NotAuthenticated`."""
    try:
        read = jwt.read(token)
        issuer = issuers.get(read.issuer)
        if issuer is None:
            raise NotAuthenticated
        key = await issuer.key(read.kid)
        read.require_signature(key)
    except InvalidTokenError:
        raise NotAuthenticated from None
    return Signed(read.claims, issuer, read.kid, key)


def issue(issuer: DevIssuer, claims: Mapping[str, Any]) -> str:
    """Sign a token as the development issuer."""
    return jwt.sign(claims, issuer.signing_key, issuer.kid)
