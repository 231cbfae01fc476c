"""Reads and signs JSON Web Tokens, strictly, and is the one place that does. What a token must say is its readers' matter.

joserfc checks the signature; everything that its callers are free to get wrong is pinned here: the size and alphabet of the
compact form, a header without duplicates or key material of its own, the algorithm that belongs to *our* key and no other.
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

warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)  # RFC 9864 renames it; issuers have not yet

TOKEN_BYTES = 8 * 1024
MIN_RSA_BITS = 2048
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FORBIDDEN = frozenset({"jwk", "jku", "x5u", "x5c", "zip", "b64", "crit"})
_TYPES = frozenset({"jwt", "at+jwt"})

_LATEST = 1 << 40
Moment = Annotated[int, Meta(ge=0, le=_LATEST)] | Annotated[float, Meta(ge=0, le=_LATEST)]
"""Unix seconds, as claims give them."""
PublicKey: TypeAlias = OKPKey | ECKey | RSAKey


class InvalidTokenError(Exception):
    """Not a token, or not one that the key signed. Never says why: the reason is for whoever issues tokens."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm it is used with."""

    algorithm: str
    key: PublicKey


@dataclass(frozen=True, slots=True)
class Token:
    """A well-formed token. Nothing that it says counts before `require_signature`, but to select the key."""

    text: str
    kid: str
    algorithm: object
    claims: dict[str, Any]

    @property
    def issuer(self) -> str:
        """Who it says has issued it; empty where that is no text."""
        name = self.claims.get("iss")
        return name if isinstance(name, str) else ""

    def require_signature(self, key: VerificationKey | None) -> None:
        """Raise `InvalidTokenError` unless `key` signed it, with its own algorithm."""
        if key is None or key.algorithm != self.algorithm:
            raise InvalidTokenError
        try:
            jws.deserialize_compact(self.text, key.key, algorithms=[key.algorithm])
        except (JoseError, ValueError):
            raise InvalidTokenError from None


def read(text: str) -> Token:
    """Take a token apart. Raises `InvalidTokenError`."""
    if len(text) > TOKEN_BYTES or not _COMPACT.fullmatch(text):
        raise InvalidTokenError
    header_part, claims_part, _ = text.split(".")
    header, claims = _object(header_part), _object(claims_part)
    kid, kind = header.get("kid"), header.get("typ", "JWT")
    typed = isinstance(kind, str) and kind.lower() in _TYPES
    if not isinstance(kid, str) or _FORBIDDEN & header.keys() or not typed:
        raise InvalidTokenError
    return Token(text, kid, header.get("alg"), claims)


def sign(claims: Mapping[str, Any], key: OKPKey, kid: str) -> str:
    """A token signed with an Ed25519 key."""
    header = {"alg": "EdDSA", "typ": "JWT", "kid": kid}
    return jws.serialize_compact(header, json.dumps(claims).encode(), key, algorithms=["EdDSA"])


def algorithm_of(key: PublicKey) -> str | None:
    """The algorithm that a key of ours may be used with; None for keys we do not use."""
    match key:
        case OKPKey() if key.curve_name == "Ed25519":
            return "EdDSA"
        case ECKey() if key.curve_name == "P-256":
            return "ES256"
        case RSAKey() if key.raw_value.key_size >= MIN_RSA_BITS:
            return "RS256"
        case _:
            return None


def usable_keys(listed: Iterable[Mapping[str, object]]) -> dict[str, VerificationKey]:
    """The usable ones of some JWKs, by `kid`; others are left out. Raises `ValueError` for two of one name."""
    keys: dict[str, VerificationKey] = {}
    for each in listed:
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
                msg = "two keys of one name"
                raise ValueError(msg)
            keys[kid] = VerificationKey(algorithm, key)
    return keys


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
        raise InvalidTokenError from None
    if not isinstance(found, dict):
        raise InvalidTokenError
    return found
