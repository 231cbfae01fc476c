"""Parses, verifies and signs JSON Web Tokens. Its callers check the claims.

joserfc verifies signatures. This module fixes what joserfc leaves open: size and alphabet of the compact form, no duplicate
header parameters, no key material in the header, and only the algorithm that belongs to the verification key.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, TypeAlias

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.util import urlsafe_b64decode
from msgspec import Meta

warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)  # RFC 9864 renamed it; issuers still use the old name

TOKEN_BYTES = 8 * 1024
MIN_RSA_BITS = 2048
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "zip", "b64", "crit"})
_TYPES = frozenset({"jwt", "at+jwt"})

_LATEST = 1 << 40
NumericDate = Annotated[int, Meta(ge=0, le=_LATEST)] | Annotated[float, Meta(ge=0, le=_LATEST)]
"""Unix seconds in a claim (RFC 7519)."""
PublicKey: TypeAlias = OKPKey | ECKey | RSAKey


class InvalidTokenError(Exception):
    """The text is not a token, or its signature is invalid. It gives no reason, so as not to help an attacker."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the only algorithm accepted with it."""

    algorithm: str
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed token. Before `require_signature`, its content may only be used to select the key."""

    text: str
    kid: str
    algorithm: object
    claims: dict[str, Any]

    @property
    def issuer(self) -> str:
        """The `iss` claim; empty if it is not a string."""
        name = self.claims.get("iss")
        return name if isinstance(name, str) else ""

    def require_signature(self, key: VerificationKey | None) -> None:
        """Raise `InvalidTokenError` unless `key` signed the token with its algorithm."""
        if key is None or key.algorithm != self.algorithm:
            raise InvalidTokenError
        try:
            jws.deserialize_compact(self.text, key.key, algorithms=[key.algorithm])
        except (JoseError, ValueError):
            raise InvalidTokenError from None


def read(text: str) -> Token:
    """Parse a token. Raises `InvalidTokenError`."""
    if len(text) > TOKEN_BYTES or not _COMPACT.fullmatch(text):
        raise InvalidTokenError
    header_part, claims_part, _ = text.split(".")
    header, claims = _object(header_part), _object(claims_part)
    kid, kind = header.get("kid"), header.get("typ", "JWT")
    typed = isinstance(kind, str) and kind.lower() in _TYPES
    if not isinstance(kid, str) or _FORBIDDEN_HEADERS & header.keys() or not typed:
        raise InvalidTokenError
    return Token(text, kid, header.get("alg"), claims)


def sign(claims: Mapping[str, Any], key: OKPKey, kid: str) -> str:
    """Return a token signed with an Ed25519 key."""
    header = {"alg": "EdDSA", "typ": "JWT", "kid": kid}
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, algorithms=["EdDSA"])


def algorithm_of(key: PublicKey) -> str | None:
    """Return the algorithm accepted with a key; None for unsupported keys."""
    match key:
        case OKPKey() if key.curve_name == "Ed25519":
            return "EdDSA"
        case ECKey() if key.curve_name == "P-256":
            return "ES256"
        case RSAKey() if key.raw_value.key_size >= MIN_RSA_BITS:
            return "RS256"
        case _:
            return None


def verification_keys(jwks: Iterable[Mapping[str, object]]) -> dict[str, VerificationKey]:
    """Return the supported keys of a JWK set, by `kid`. Raises `ValueError` if two have the same `kid`."""
    keys: dict[str, VerificationKey] = {}
    for each in jwks:
        kid, kind = each.get("kid"), each.get("kty")
        if not isinstance(kid, str) or kind not in ("OKP", "EC", "RSA") or each.get("use", "sig") != "sig":
            continue
        try:
            key = import_key(each, kind)  # type: ignore[call-overload]
            algorithm = algorithm_of(key)
        except (JoseError, ValueError, TypeError):
            continue
        if algorithm is not None and each.get("alg", algorithm) == algorithm:
            if kid in keys:
                msg = "two keys have the same kid"
                raise ValueError(msg)
            keys[kid] = VerificationKey(algorithm, key)
    return keys


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _reject_constant(_name: str) -> NoReturn:
    raise ValueError


def _object(part: str) -> dict[str, Any]:
    try:
        text = urlsafe_b64decode(part.encode()).decode()  # json.loads would also accept bytes in UTF-16 or with a byte order mark
        found = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        raise InvalidTokenError from None
    if not isinstance(found, dict):
        raise InvalidTokenError
    return found
