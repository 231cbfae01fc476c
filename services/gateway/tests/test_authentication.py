"""Verification of tokens: a table of hostile tokens, rotation of keys, and fetching them."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from chassis.errors import NotAuthenticated
from chassis.jwt import TOKEN_BYTES
from gateway.config import IssuerConfig
from gateway.identity import authentication
from gateway.identity.access_cache import REVOKED, AccessCache
from gateway.identity.authentication import Authenticator
from gateway.identity.identity import Identity
from gateway.identity.issuers import COOLDOWN_SECONDS, DevIssuer, Issuer, dev_key, fetch, parse_jwks
from gateway.identity.safe_fetch import FetchError
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
ISSUER, AUDIENCE = "https://issuer.example", "hubbub"
NOW = 1_800_000_000.0
ED, EC, RSA = OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
UNTRUSTED = OKPKey.generate_key("Ed25519")
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "ann",
    "tenant": "acme",
    "iat": NOW - 60,
    "exp": NOW + 600,
    "name": "Ann",
    "roles": ["admin"],
}


def write_jwks(path: Path, **keys: Any) -> None:
    listed = [{**key.as_dict(private=False), "kid": kid, "use": "sig"} if key else kid for kid, key in keys.items()]
    path.write_text(json.dumps({"keys": listed}))


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    write_jwks(path, ed=ED, ec=EC, rsa=RSA)
    return path


def make(jwks: Path, *, clock: Callable[[], float] = time.monotonic) -> Authenticator:
    config = IssuerConfig(ISSUER, AUDIENCE, ("acme", "beta"), jwks_file=str(jwks))
    return Authenticator({ISSUER: Issuer(config, public_only=True, clock=clock)}, clock=lambda: NOW)


def sign(claims: dict[str, Any], header: dict[str, Any] | None = None, key: Any = ED, algorithm: str = "EdDSA") -> str:
    protected = {"alg": algorithm, "kid": "ed", "typ": "JWT"} | (header or {})
    return jws.serialize_compact(protected, json.dumps(claims).encode(), key, algorithms=[algorithm])


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_parts(header: bytes, claims: bytes) -> str:
    """A token with a valid signature over exactly these bytes."""
    signing_input = f"{part(header)}.{part(claims)}"
    signature = cast(Ed25519PrivateKey, ED.private_key).sign(signing_input.encode())
    return f"{signing_input}.{part(signature)}"


def keyed_with_public_key() -> str:
    """A token whose HMAC secret is our public key; a verifier that lets the token choose the algorithm would accept it."""
    signing_input = f"{part({'alg': 'HS256', 'kid': 'rsa'})}.{part(CLAIMS)}"
    return f"{signing_input}.{part(hmac.digest(RSA.as_pem(private=False), signing_input.encode(), 'sha256'))}"


@pytest.mark.parametrize(("kid", "key", "algorithm"), [("ed", ED, "EdDSA"), ("ec", EC, "ES256"), ("rsa", RSA, "RS256")])
async def test_a_token_of_a_configured_issuer_identifies_its_user(jwks: Path, kid: str, key: Any, algorithm: str) -> None:
    identity = await make(jwks).identify(sign(CLAIMS, {"kid": kid}, key, algorithm))
    assert (identity.tenant, identity.user, identity.name, identity.admin) == ("acme", "ann", "Ann", True)


def hostile() -> dict[str, str]:
    claims = json.dumps(CLAIMS).encode()
    good_header = {"alg": "EdDSA", "kid": "ed", "typ": "JWT"}
    tokens = {
        "empty": "",
        "no dots": "token",
        "two parts": "a.b",
        "four parts": sign(CLAIMS) + ".x",
        "padding": sign(CLAIMS) + "==",
        "white space": " " + sign(CLAIMS),
        "line end": sign(CLAIMS) + "\n",
        "too long": sign(CLAIMS | {"extra": "x" * TOKEN_BYTES}),
        "unsigned": f"{part({'alg': 'none'})}.{part(CLAIMS)}.",
        "unsigned with kid": f"{part({'alg': 'none', 'kid': 'ed'})}.{part(CLAIMS)}.AA",
        "none in capitals": f"{part({'alg': 'NONE', 'kid': 'ed'})}.{part(CLAIMS)}.AA",
        "signature of another": sign(CLAIMS, key=UNTRUSTED),
        "signature cut": sign(CLAIMS)[:-4],
        "claims exchanged": ".".join([sign(CLAIMS).split(".")[0], part(CLAIMS | {"sub": "eve"}), sign(CLAIMS).split(".")[2]]),
        "public key as secret": keyed_with_public_key(),
        "algorithm of another key": sign(CLAIMS, {"kid": "rsa"}),
        "unknown kid": sign(CLAIMS, {"kid": "other"}),
        "no kid": signed_parts(json.dumps({"alg": "EdDSA"}).encode(), claims),
        "kid is a number": signed_parts(json.dumps({"alg": "EdDSA", "kid": 5}).encode(), claims),
        "kid is a path": sign(CLAIMS, {"kid": "../../dev/null"}),
        "own key": sign(CLAIMS, {"jwk": UNTRUSTED.as_dict(private=False)}, UNTRUSTED),
        "own key address": sign(CLAIMS, {"jku": "https://evil.example"}),
        "own certificate": sign(CLAIMS, {"x5c": ["AA"]}),
        "critical extension": signed_parts(json.dumps(good_header | {"crit": ["x"], "x": 1}).encode(), claims),
        "unencoded payload": signed_parts(json.dumps(good_header | {"b64": False}).encode(), claims),
        "compressed": signed_parts(json.dumps(good_header | {"zip": "DEF"}).encode(), claims),
        "type of another kind": sign(CLAIMS, {"typ": "secevent+jwt"}),
        "algorithm twice": signed_parts(b'{"alg":"none","alg":"EdDSA","kid":"ed"}', claims),
        "user twice": signed_parts(json.dumps(good_header).encode(), json.dumps(CLAIMS).encode()[:-1] + b',"sub":"eve"}'),
        "header is a list": signed_parts(b"[]", claims),
        "claims are a list": signed_parts(json.dumps(good_header).encode(), b"[]"),
        "claims are no json": signed_parts(json.dumps(good_header).encode(), b"{"),
        "claims are no text": signed_parts(json.dumps(good_header).encode(), b'{"sub":"\xff"}'),
        "never expires": signed_parts(json.dumps(good_header).encode(), json.dumps(CLAIMS | {"exp": float("nan")}).encode()),
        "expires at infinity": signed_parts(
            json.dumps(good_header).encode(), json.dumps(CLAIMS).replace(f'"exp": {NOW + 600}', '"exp": 1e999').encode()
        ),
    }  # fmt: skip
    changes: dict[str, dict[str, Any]] = {
        "expired": {"exp": NOW},
        "expires as text": {"exp": str(NOW + 600)},
        "expires as truth": {"exp": True},
        "from the future": {"iat": NOW + 60},
        "not yet": {"nbf": NOW + 60},
        "issued as text": {"iat": "now"},
        "another issuer": {"iss": "https://other.example"},
        "issuer with a slash": {"iss": ISSUER + "/"},
        "issuer in a list": {"iss": [ISSUER]},
        "another audience": {"aud": "other"},
        "audience in capitals": {"aud": "HUBBUB"},
        "audiences without ours": {"aud": ["a", "b"]},
        "audience of a number": {"aud": [5]},
        "user is a number": {"sub": 5},
        "user is an object": {"sub": {"id": "ann"}},
        "user is empty": {"sub": ""},
        "user is a bot": {"sub": "bot:0123456789abcdef01234567"},
        "user too long": {"sub": "x" * 129},
        "user with NUL": {"sub": "ann\x00"},
        "user with line end": {"sub": "ann\n"},
        "user is a lone surrogate": {"sub": "\ud800"},
        "tenant of another issuer": {"tenant": "gamma"},
        "tenant in capitals": {"tenant": "ACME"},
        "tenant with line end": {"tenant": "acme\n"},
        "tenant in a list": {"tenant": ["acme"]},
        "tenant too long": {"tenant": "a" * 65},
        "name is an object": {"name": {}},
        "roles is a text": {"roles": "admin"},
        "roles of numbers": {"roles": [1]},
        "too many roles": {"roles": ["r"] * 33},
    }
    for name, change in changes.items():
        tokens[name] = sign(CLAIMS | change)
    for missing in ("iss", "aud", "sub", "tenant", "iat", "exp"):
        tokens[f"without {missing}"] = sign({name: value for name, value in CLAIMS.items() if name != missing})
    return tokens


HOSTILE = hostile()


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_is_rejected(jwks: Path, name: str) -> None:
    with pytest.raises(NotAuthenticated):
        await make(jwks).identify(HOSTILE[name])


async def test_a_token_may_have_other_audiences_too(jwks: Path) -> None:
    assert (await make(jwks).identify(sign(CLAIMS | {"aud": ["other", AUDIENCE]}))).user == "ann"


async def test_a_rotated_key_is_fetched_once_and_replaces_the_old_one(jwks: Path) -> None:
    now = 0.0
    authenticator = make(jwks, clock=lambda: now)
    await authenticator.identify(sign(CLAIMS))
    write_jwks(jwks, new=UNTRUSTED)
    token = sign(CLAIMS, {"kid": "new"}, UNTRUSTED)
    with pytest.raises(NotAuthenticated):  # within the cooldown no token causes a fetch
        await authenticator.identify(token)
    now = COOLDOWN_SECONDS + 1
    answers = await asyncio.gather(*(authenticator.identify(token) for _ in range(5)))
    assert {answer.user for answer in answers} == {"ann"}
    with pytest.raises(NotAuthenticated):
        await authenticator.identify(sign(CLAIMS))


async def test_the_last_valid_keys_stay_when_a_fetch_fails(jwks: Path) -> None:
    now = 0.0
    authenticator = make(jwks, clock=lambda: now)
    await authenticator.identify(sign(CLAIMS))
    write_jwks(jwks, broken=None)
    now = COOLDOWN_SECONDS + 1
    with pytest.raises(NotAuthenticated):
        await authenticator.identify(sign(CLAIMS, {"kid": "other"}))
    assert (await authenticator.identify(sign(CLAIMS))).user == "ann"


def test_unusable_keys_of_a_set_are_left_out() -> None:
    listed = [
        {**ED.as_dict(private=False), "kid": "good"},
        {**ED.as_dict(private=False), "kid": "encryption", "use": "enc"},
        {**ED.as_dict(private=False), "kid": "claims RS256", "alg": "RS256"},
        {**OctKey.generate_key(256).as_dict(), "kid": "secret"},
        {**RSAKey.generate_key(1024).as_dict(private=False), "kid": "short"},
        {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "other curve"},
        {"kty": "OKP", "kid": "broken"},
        {"kid": 5},
    ]
    assert parse_jwks(json.dumps({"keys": listed}).encode()).keys() == {"good"}


@pytest.mark.parametrize(
    "url", ["http://issuer.example/jwks", "https://127.0.0.1/jwks", "https://[::1]/", "https://10.0.0.1/", "file:///etc/passwd"]
)
async def test_keys_are_fetched_from_public_addresses_over_https_only(url: str) -> None:
    with pytest.raises(FetchError):
        await fetch(url, public_only=True)


def test_gateways_that_start_together_share_one_development_key(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "dev.pem"
    assert DevIssuer(dev_key(path)).kid == DevIssuer(dev_key(path)).kid
    assert path.stat().st_mode & 0o077 == 0


async def test_revocations_of_others_outdate_no_answer_but_ones_own_and_missed_ones_do() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        cache = AccessCache(MessagesServiceStub(channel))
    ann = Identity("acme", "ann", "", (), 0, 0)
    before = cache.revocations
    for user in range(REVOKED // 2):
        cache.forget("acme", f"user {user}")
        cache.forget("beta", "ann")
    assert not cache.revoked_since(before, ann)
    cache.forget("acme", "ann")
    assert cache.revoked_since(before, ann)
    assert not cache.revoked_since(cache.revocations, ann)
    now = cache.revocations
    for user in range(REVOKED + 1):
        cache.forget("acme", f"another {user}")
    assert cache.revoked_since(now, ann), "what was forgotten counts as a revocation"
    now = cache.revocations
    cache.forget_all()
    assert cache.revoked_since(now, ann)


class ChangingKeys(Issuer):
    """Lets a test replace the keys."""

    def replace(self, **keys: Any) -> None:
        listed = [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in keys.items()]
        self._keys = parse_jwks(json.dumps({"keys": listed}).encode())
        self._good = self._clock()


async def test_a_token_that_was_verified_before_expires(jwks: Path) -> None:
    now = [NOW]
    issuer = ChangingKeys(IssuerConfig(ISSUER, AUDIENCE, ("acme",), jwks_file=str(jwks)), public_only=True)
    authenticator = Authenticator({ISSUER: issuer}, clock=lambda: now[0])
    token = sign(CLAIMS)
    assert await authenticator.identify(token) == await authenticator.identify(token)
    now[0] = CLAIMS["exp"]
    with pytest.raises(NotAuthenticated):
        await authenticator.identify(token)


@pytest.mark.parametrize("keys", [{"ed": UNTRUSTED}, {"ec": EC}])
async def test_a_token_that_was_verified_before_is_void_once_its_key_is_replaced_or_withdrawn(
    jwks: Path, keys: dict[str, Any]
) -> None:
    issuer = ChangingKeys(IssuerConfig(ISSUER, AUDIENCE, ("acme",), jwks_file=str(jwks)), public_only=True)
    authenticator = Authenticator({ISSUER: issuer}, clock=lambda: NOW)
    token = sign(CLAIMS)
    await authenticator.identify(token)
    issuer.replace(**keys)
    with pytest.raises(NotAuthenticated):
        await authenticator.identify(token)
    issuer.replace(ed=ED)
    assert (await authenticator.identify(token)).user == "ann"


async def test_a_changed_token_is_not_taken_for_a_verified_one(jwks: Path) -> None:
    authenticator = make(jwks)
    token = sign(CLAIMS)
    await authenticator.identify(token)
    header, claims, signature = token.split(".")
    forged = part({**CLAIMS, "sub": "bob"})
    for changed in (f"{header}.{forged}.{signature}", f"{header}.{claims}.{signature[:-4]}AAAA", f"{header}.{claims}."):
        with pytest.raises(NotAuthenticated):
            await authenticator.identify(changed)


async def test_verified_tokens_are_bounded(jwks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "VERIFIED", 2)
    authenticator = make(jwks)
    for user in ("ann", "bob", "cid", "ann"):
        assert (await authenticator.identify(sign({**CLAIMS, "sub": user}))).user == user
    assert authenticator.verified == 2
