"""Tokens: the gateway's `Authenticator` with arbitrary tokens, and with tokens signed by a trusted issuer's key.

An input with a line break is a header and claims, which are signed; others are tokens. A token without a valid signature,
or with claims that `protocol.md` does not allow, must be refused.
"""

import asyncio
import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from chassis.errors import NotAuthenticated
from gateway.identity.authentication import LEEWAY_SECONDS, Authenticator
from gateway.identity.identity import Identity
from gateway.identity.issuers import DEV_AUDIENCE, DEV_ISSUER, DevIssuer

_NOW = 1_000_000.0
_key = Ed25519PrivateKey.from_private_bytes(bytes(32))
_issuer = DevIssuer(OKPKey.import_key(_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())))
_authenticator = Authenticator({DEV_ISSUER: _issuer}, clock=lambda: _NOW)
_loop = asyncio.new_event_loop()

_HEADER = {"alg": "EdDSA", "typ": "JWT", "kid": _issuer.kid}
_CLAIMS = {"iss": DEV_ISSUER, "aud": DEV_AUDIENCE, "iat": 999_999, "exp": 1_000_001, "sub": "ann", "tenant": "t"}


def _signable(header: dict[str, Any], claims: dict[str, Any]) -> bytes:
    return json.dumps(header).encode() + b"\n" + json.dumps(claims).encode()


GOOD = _signable(_HEADER, _CLAIMS)
SEEDS = [
    GOOD,
    _signable(_HEADER, {**_CLAIMS, "aud": ["x", DEV_AUDIENCE], "name": "Ann", "roles": ["admin"], "nbf": 0.5}),
    _signable({**_HEADER, "alg": "none"}, _CLAIMS),
    _signable({**_HEADER, "kid": "x"}, _CLAIMS),
    *(_signable({**_HEADER, name: value}, _CLAIMS) for name, value in (("crit", ["exp"]), ("jwk", {}), ("jku", "https://a"))),
    _signable(_HEADER, {**_CLAIMS, "exp": 999_998}),
    _signable(_HEADER, {**_CLAIMS, "iat": 1_000_011}),
    _signable(_HEADER, {**_CLAIMS, "nbf": 1_000_011}),
    _signable(_HEADER, {**_CLAIMS, "sub": "a\x00b"}),
    _signable(_HEADER, {**_CLAIMS, "tenant": "T"}),
    b"e30.e30.AAAA",
    b"eyJhbGciOiJub25lIn0.eyJpc3MiOiJodWJidWItZGV2In0.AA",
]


def check(data: bytes) -> None:
    """Raise if a token is accepted that must be refused."""
    header, signed, claims = data.partition(b"\n")
    identity = _identified(_compact(header, claims) if signed else data.decode("latin-1"))
    assert identity is not None or data != GOOD, "a valid token must be accepted"
    if identity is not None:
        assert signed, "an unsigned token must be refused"
        _judge(json.loads(header), json.loads(claims), identity)


def _identified(token: str) -> Identity | None:
    try:
        return _loop.run_until_complete(_authenticator.identify(token))
    except NotAuthenticated:
        return None


def _compact(*parts: bytes) -> str:
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    return (signed + b"." + base64.urlsafe_b64encode(_key.sign(signed)).rstrip(b"=")).decode()


def _judge(header: dict[str, Any], claims: dict[str, Any], identity: Identity) -> None:
    assert header["alg"] == "EdDSA", header
    assert header["kid"] == _issuer.kid, header
    assert not header.keys() & {"jwk", "jku", "x5u", "x5c", "zip", "b64", "crit"}, header
    assert claims["iss"] == DEV_ISSUER, claims
    assert DEV_AUDIENCE in ([claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]), claims
    assert claims["exp"] > _NOW, claims
    assert max(claims["iat"], claims.get("nbf", 0)) <= _NOW + LEEWAY_SECONDS, claims
    assert (identity.user, identity.tenant) == (claims["sub"], claims["tenant"]), identity
    assert 1 <= len(identity.user) <= 128, identity
    assert all(character >= " " for character in identity.user + identity.name), identity
    assert 1 <= len(identity.tenant) <= 64, identity
    assert set(identity.tenant) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"), identity
