"""Generated hostile tokens at every entrance, and issuers whose JWKS endpoint misbehaves."""

import asyncio
import base64
import contextlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from chassis.errors import NotAuthenticated
from gateway.config import IssuerConfig
from gateway.identity import safe_fetch
from gateway.identity.authentication import Authenticator
from gateway.identity.issuers import COOLDOWN_SECONDS, FRESH_SECONDS, Issuer
from stack import Stack
from tests.client import Api, connect
from tests.flow.world import refusal

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")

ONE, TWO = "https://one.example", "https://two.example"
AUDIENCE = "hubbub-tests"
KEYS: dict[str, Any] = {
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "ES256": ECKey.generate_key("P-256"),
    "RS256": RSAKey.generate_key(2048),
}
UNTRUSTED: dict[str, Any] = {
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "ES256": ECKey.generate_key("P-256"),
    "RS256": RSAKey.generate_key(2048),
}
OF_TWO = OKPKey.generate_key("Ed25519")


def jwks(**keys: Any) -> bytes:
    return json.dumps({"keys": [{**key.as_dict(private=False), "kid": kid, "use": "sig"} for kid, key in keys.items()]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    made = {
        "iss": ONE,
        "aud": AUDIENCE,
        "sub": "ann",
        "tenant": "one",
        "iat": now - 60,
        "exp": now + 3600,
        "name": "Ann",
        "roles": ["admin"],
    }
    return {name: value for name, value in (made | changes).items() if value is not ...}


def sign(said: dict[str, Any], algorithm: str = "EdDSA", key: Any = None, **header: Any) -> str:
    protected = {"alg": algorithm, "kid": algorithm, "typ": "JWT"} | header
    return jws.serialize_compact(protected, json.dumps(said).encode(), key or KEYS[algorithm], algorithms=[algorithm])


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(header: Any, said: Any) -> str:
    """A token with a valid Ed25519 signature over exactly these parts."""
    signing_input = f"{part(header)}.{part(said)}"
    return f"{signing_input}.{part(cast(Ed25519PrivateKey, KEYS['EdDSA'].private_key).sign(signing_input.encode()))}"


def confused(public: bytes, kid: str, algorithm: str) -> str:
    """A token signed by HMAC with a public key as the secret."""
    signing_input = f"{part({'alg': algorithm, 'kid': kid})}.{part(claims())}"
    return f"{signing_input}.{part(hmac.digest(public, signing_input.encode(), 'sha256'))}"


def forged() -> Iterator[tuple[str, str]]:
    """What an attacker without the key can make of a valid token, for each algorithm."""
    for algorithm, key in KEYS.items():
        good = sign(claims(), algorithm)
        header, body, signature = good.split(".")
        other = part(claims(sub="root"))
        yield f"{algorithm}: an untrusted signature", sign(claims(), algorithm, UNTRUSTED[algorithm])
        yield f"{algorithm}: claims exchanged", f"{header}.{other}.{signature}"
        yield f"{algorithm}: signature cut", good[:-6]
        yield f"{algorithm}: signature doubled", good + signature
        yield f"{algorithm}: signature of zeros", f"{header}.{body}.{part(bytes(64))}"
        yield f"{algorithm}: signature empty", f"{header}.{body}."
        yield f"{algorithm}: signature of another token", f"{header}.{body}.{sign(claims(sub='bob'), algorithm).split('.')[2]}"
        for kid in ("unknown", "", "../../dev/null", "' OR 1=1", "https://evil.example/key", *(KEYS.keys() - {algorithm})):
            yield f"{algorithm}: kid {kid}", sign(claims(), algorithm, kid=kid)
        for name in ("none", "None", "NONE", "HS256", "HS512", "RS512", "PS256", "ES384", "Ed448", "", None, 5, [algorithm]):
            yield f"{algorithm}: says {name}", f"{part({'alg': name, 'kid': algorithm, 'typ': 'JWT'})}.{body}.{signature}"
        yield f"{algorithm}: public key as secret (PEM)", confused(key.as_pem(private=False), algorithm, "HS256")
        yield f"{algorithm}: public key as secret (DER)", confused(key.as_der(private=False), algorithm, "HS256")
        own = UNTRUSTED[algorithm]
        public = own.as_dict(private=False)
        brought: dict[str, Any] = {"jwk": public, "jku": "https://evil.example", "x5u": "https://evil.example", "x5c": ["AA"]}
        for name, value in brought.items():
            yield f"{algorithm}: brings {name}", sign(claims(), algorithm, own, **{name: value})


def malformed() -> Iterator[tuple[str, str]]:
    """Correctly signed, but not tokens in compact form."""
    good, header = sign(claims()), {"alg": "EdDSA", "kid": "EdDSA", "typ": "JWT"}
    yield from {
        "one part": "token",
        "two parts": "a.b",
        "four parts": f"{good}.x",
        "five parts": "a.b.c.d.e",
        "dots alone": "..",
        "padded": f"{good}==",
        "standard base64": good.replace("-", "+").replace("_", "/") + "+",
        "over 8 KiB": sign(claims(extra="x" * 9000)),
        "header is a list": raw([], claims()),
        "header is a text": raw("alg", claims()),
        "header is no JSON": raw(b"{", claims()),
        "claims are a list": raw(header, [claims()]),
        "claims are null": raw(header, None),
        "claims are no JSON": raw(header, b"{"),
        "claims are no UTF-8": raw(header, b'{"sub":"\xff"}'),
        "claims nested deeply": raw(header, b"[" * 2000 + b"]" * 2000),
        "claims with a byte order mark": raw(header, b"\xef\xbb\xbf" + json.dumps(claims()).encode()),
        "claims in UTF-16": raw(header, json.dumps(claims()).encode("utf-16")),
        "header in UTF-32": raw(json.dumps(header).encode("utf-32"), claims()),
        "alg twice": raw(b'{"alg":"none","alg":"EdDSA","kid":"EdDSA"}', claims()),
        "sub twice": raw(header, json.dumps(claims()).encode()[:-1] + b',"sub":"root"}'),
        "tenant twice": raw(header, json.dumps(claims()).encode()[:-1] + b',"tenant":"two"}'),
        "exp not a number": raw(header, json.dumps(claims(exp=float("nan"))).encode()),
        "exp infinite": raw(header, json.dumps(claims(exp=float("inf"))).encode()),
        "critical extension": raw(header | {"crit": ["x"], "x": 1}, claims()),
        "unencoded payload": raw(header | {"b64": False}, claims()),
        "compressed": raw(header | {"zip": "DEF"}, claims()),
        "no kid": raw({"alg": "EdDSA"}, claims()),
        "kid is a number": raw(header | {"kid": 5}, claims()),
        "kid is a list": raw(header | {"kid": ["EdDSA"]}, claims()),
        "another kind of token": raw(header | {"typ": "secevent+jwt"}, claims()),
        "typ is a number": raw(header | {"typ": 5}, claims()),
    }.items()


def unfit() -> Iterator[tuple[str, str]]:
    """Correctly signed, with the wrong audience, time or claim types."""
    absent: tuple[Any, ...] = (..., None, {}, [], True)
    for name in ("iss", "aud", "sub", "tenant", "iat", "exp"):
        for value in absent:
            yield f"{name} is {value}", sign(claims(**{name: value}))
    now, later = time.time(), time.time() + 1_800  # the test that uses it may run half an hour later
    wrong: dict[str, tuple[Any, ...]] = {
        "iss": (TWO, ONE + "/", ONE.upper(), "hubbub-dev", "", [ONE]),
        "aud": ("other", AUDIENCE.upper(), "", ["other", "another"], [[AUDIENCE]], {"aud": AUDIENCE}),
        "sub": (".", "..", "", 5, "x" * 129, "ann\x00", "ann\n", "\ud800", ["ann"], {"$ne": ""}),
        "tenant": ("two", "one/two", "ONE", "one\n", "", "a" * 65, ["one"], "*", "öne", "default"),
        "exp": (now - 1, str(now + 600), -1, 0, "tomorrow"),
        "iat": (later, "now", -1, str(now)),
        "auth_time": (later, "now", -1, {}),
        "nbf": (later, "later", {}),
        "name": (5, {}, "x" * 129),
        "roles": ("admin", [5], {}, ["r"] * 33, [["admin"]], ["x" * 65]),
    }
    for name, values in wrong.items():
        for value in values:
            yield f"{name} is {value!r:.40}", sign(claims(**{name: value}))
    day = 86_400
    yield "a life of more than a day", sign(claims(iat=now - 60, exp=now + day + 1_800))
    yield "a life of 200 years", sign(claims(exp=now + 200 * 365 * day))
    yield "issued in 1970", sign(claims(iat=0))
    yield "issued long ago, and ending soon", sign(claims(iat=now - day, exp=now + 3_600))
    yield "another issuer's key", sign(claims(), "EdDSA", OF_TWO, kid="two")
    yield "another issuer's tenant", sign(claims(iss=TWO, tenant="one"), "EdDSA", OF_TWO, kid="two")
    yield "a development token of our own making", sign(claims(iss="hubbub-dev", aud="hubbub"))


HOSTILE = dict([*forged(), *malformed(), *unfit()])


@dataclass
class Provider:
    """An issuer's server: gives the answers that the test chose, and counts requests."""

    body: bytes = b""
    status: int = 200
    location: str = ""
    hang: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.split(b" ", 2)[1].decode())
        if self.hang:
            await reader.read()  # until the client gives up
        else:
            moved = f"Location: {self.location}\r\n" if self.location else ""
            head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\n{moved}Connection: close\r\n\r\n".encode()
            writer.write(head + self.body)
        writer.close()


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider(jwks(**KEYS))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
        yield made


# The running gateway.


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Two gateways with two issuers, each with its own tenant."""
    folder = tmp_path_factory.mktemp("issuers")
    issuers = []
    for name, tenant, keys in ((ONE, "one", KEYS), (TWO, "two", {"two": OF_TWO})):
        path = Path(folder) / f"{tenant}.json"
        path.write_bytes(jwks(**keys))
        issuers.append({"issuer": name, "audience": AUDIENCE, "tenants": [tenant], "jwks_file": str(path)})
    env = {"HUBBUB_ISSUERS": json.dumps(issuers), "HUBBUB_ADMIN_FRESH_SECONDS": "600"}
    async with Stack(tmp_path_factory.mktemp("product"), gateways=2, env=env) as stack:
        yield stack


@pytest.fixture
def gateway(stack: Stack) -> str:
    return stack.gateways[0].url


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def test_the_matrix_is_large() -> None:
    assert len(HOSTILE) >= 150


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_valid_token_of_each_algorithm_is_accepted(gateway: str, http: httpx.AsyncClient, algorithm: str) -> None:
    api = Api(gateway, sign(claims(sub=algorithm), algorithm), http)
    assert (await api.ok("GET", "/v1/me"))["user"] == algorithm
    for way in ("header", "ticket", "protocol"):
        async with connect(api, way) as socket:
            assert (socket.hello["user"], socket.hello["tenant"]) == (algorithm, "one")


async def test_an_issuer_is_accepted_for_its_own_tenants_only(gateway: str, http: httpx.AsyncClient) -> None:
    at_two = Api(gateway, sign(claims(iss=TWO, tenant="two"), "EdDSA", OF_TWO, kid="two"), http)
    assert (await at_two.ok("GET", "/v1/me"))["tenant"] == "two"


async def test_every_hostile_token_is_refused_at_http(gateway: str, http: httpx.AsyncClient) -> None:
    believed = {}
    for name, token in HOSTILE.items():
        answer = await Api(gateway, token, http).call("GET", "/v1/me")
        if (answer.status, answer.reason) != (401, "NOT_AUTHENTICATED") or "www-authenticate" not in answer.headers:
            believed[name] = answer.status
    assert believed == {}


@pytest.mark.parametrize("way", ["header", "protocol"])
async def test_every_hostile_token_is_refused_before_the_upgrade(gateway: str, http: httpx.AsyncClient, way: Any) -> None:
    believed = {}
    for name, token in HOSTILE.items():
        if way == "protocol" and re.search(r"[^A-Za-z0-9._-]", token):
            continue  # a subprotocol cannot carry it
        status = (await refusal(Api(gateway, token, http), way)).status
        if status != 401:
            believed[name] = status
    assert believed == {}


async def test_without_development_logins_their_path_is_not_found(gateway: str, http: httpx.AsyncClient) -> None:
    for body in ({"user": "ann"}, {}, None):
        await Api(gateway, None, http).refused("POST", "/v1/dev/login", body, reason="NOT_FOUND")


async def test_a_token_of_a_whole_day_is_accepted(gateway: str, http: httpx.AsyncClient) -> None:
    now = time.time()
    await Api(gateway, sign(claims(iat=now - 1, exp=now - 1 + 86_400)), http).ok("GET", "/v1/me")


def administrator(gateway: str, http: httpx.AsyncClient, **changes: Any) -> Api:
    return Api(gateway, sign(claims(sub="root", **{"auth_time": time.time(), **changes})), http)


@pytest.mark.parametrize("auth_time", [..., 0, 1])
async def test_a_token_without_a_recent_sign_in_may_not_administer(gateway: str, http: httpx.AsyncClient, auth_time: Any) -> None:
    root = administrator(gateway, http, auth_time=auth_time)
    await root.ok("GET", "/v1/channels")
    await root.refused("GET", "/v1/admin/audit", reason="SIGN_IN_AGAIN")
    await administrator(gateway, http).ok("GET", "/v1/admin/audit")


@pytest.mark.parametrize("used", [True, False])
async def test_a_token_of_an_issuer_with_a_fast_clock_does_not_survive_a_revocation(
    stack: Stack, http: httpx.AsyncClient, used: bool
) -> None:
    here, there = (each.url for each in stack.gateways)
    user, now = f"carl-{used}", time.time()
    await Api(here, sign(claims(sub=user)), http).ok("GET", "/v1/me")
    ahead = sign(claims(sub=user, iat=now + 8))
    async with contextlib.AsyncExitStack() as open_sockets:
        sockets = []
        if used:
            for url in (here, there):
                await Api(url, ahead, http).ok("GET", "/v1/me")
                sockets.append(await open_sockets.enter_async_context(connect(Api(url, ahead, http))))
        await administrator(here, http).ok("POST", f"/v1/admin/users/{user}/revoke", status=204)
        assert [await socket.closed() for socket in sockets] == [4501] * len(sockets)
    for url in (here, there, here):
        await Api(url, ahead, http).refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
        assert (await refusal(Api(url, ahead, http))).status == 401


async def test_a_user_with_a_fresh_token_is_let_in_right_after_a_revocation(stack: Stack, http: httpx.AsyncClient) -> None:
    here, there = (each.url for each in stack.gateways)
    old = sign(claims(sub="dora"))
    await Api(here, old, http).ok("GET", "/v1/me")
    await administrator(here, http).ok("POST", "/v1/admin/users/dora/revoke", status=204)
    fresh = sign(claims(sub="dora", iat=time.time()))
    for url in (here, there):
        await Api(url, old, http).refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
        async with connect(Api(url, fresh, http)) as socket:
            await socket.round_trip()


# Issuers that misbehave.


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def believes(provider: Provider, clock: Clock) -> Authenticator:
    """The verifier, configured with the provider as its issuer."""
    config = IssuerConfig(ONE, AUDIENCE, ("one",), jwks_url=provider.url)
    return Authenticator({ONE: Issuer(config, public_only=False, clock=clock)})


async def refuses(verifier: Authenticator, token: str) -> None:
    with pytest.raises(NotAuthenticated):
        await verifier.identify(token)


async def test_concurrent_verifications_fetch_the_keys_once(provider: Provider, believes: Authenticator) -> None:
    await asyncio.gather(*(believes.identify(sign(claims(), algorithm)) for algorithm in KEYS for _ in range(10)))
    assert len(provider.asked) == 1


async def test_unknown_key_ids_do_not_cause_repeated_fetches(provider: Provider, believes: Authenticator, clock: Clock) -> None:
    for second in range(int(2 * COOLDOWN_SECONDS)):
        clock.now = second
        await refuses(believes, sign(claims(), kid=f"made up {second}"))
    assert len(provider.asked) == 2


async def test_a_rotated_key_is_accepted_and_the_old_one_refused(
    provider: Provider, believes: Authenticator, clock: Clock
) -> None:
    await believes.identify(sign(claims()))
    provider.body = jwks(new=UNTRUSTED["ES256"])
    clock.now = COOLDOWN_SECONDS
    await believes.identify(sign(claims(), "ES256", UNTRUSTED["ES256"], kid="new"))
    await refuses(believes, sign(claims()))


async def test_a_withdrawn_key_is_refused_after_a_while(provider: Provider, believes: Authenticator, clock: Clock) -> None:
    await believes.identify(sign(claims()))
    provider.body = jwks(new=UNTRUSTED["ES256"])
    clock.now = FRESH_SECONDS
    await refuses(believes, sign(claims()))


POISON: dict[str, dict[str, Any]] = {
    "not found": {"status": 404},
    "broken": {"status": 500},
    "elsewhere": {"status": 302, "location": "http://127.0.0.1:1/jwks"},
    "huge": {"body": b'{"keys":[' + b" " * safe_fetch.DOCUMENT_BYTES + b"]}"},
    "no JSON": {"body": b"<html>"},
    "no keys": {"body": b'{"keys":[]}'},
    "another shape": {"body": b'{"keys":{"EdDSA":{}}}'},
    "deep": {"body": b'{"keys":' + b"[" * 5000 + b"]" * 5000 + b"}"},
    "secrets": {"body": json.dumps({"keys": [{**OctKey.generate_key(256).as_dict(), "kid": "EdDSA"}]}).encode()},
    "short keys": {"body": jwks(RS256=RSAKey.generate_key(1024))},
    "one name twice": {"body": json.dumps({"keys": 2 * [{**KEYS["EdDSA"].as_dict(private=False), "kid": "EdDSA"}]}).encode()},
    "slow": {"hang": True},
}


@pytest.mark.parametrize("poison", POISON)
async def test_the_last_valid_keys_are_kept_when_a_fetch_fails(
    provider: Provider, believes: Authenticator, clock: Clock, monkeypatch: pytest.MonkeyPatch, poison: str
) -> None:
    await believes.identify(sign(claims()))
    if poison == "slow":
        monkeypatch.setattr(safe_fetch, "ANSWER_SECONDS", 0.3)
    for name, value in POISON[poison].items():
        setattr(provider, name, value)
    for age in (COOLDOWN_SECONDS, FRESH_SECONDS):
        clock.now = age
        await refuses(believes, sign(claims(), kid="other"))
        await believes.identify(sign(claims()))
    assert provider.asked == ["/jwks"] * 3  # and nowhere else


async def test_a_slow_issuer_does_not_delay_tokens_whose_key_is_known(
    provider: Provider, believes: Authenticator, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_fetch, "ANSWER_SECONDS", 5.0)
    await believes.identify(sign(claims()))
    provider.hang = True
    clock.now = FRESH_SECONDS
    waiting = asyncio.create_task(believes.identify(sign(claims(), kid="other")))
    async with asyncio.timeout(3):
        while len(provider.asked) < 2:  # noqa: ASYNC110 (the provider's side is what is waited for)
            await asyncio.sleep(0.01)
        for _ in range(100):
            await believes.identify(sign(claims()))
    waiting.cancel()
