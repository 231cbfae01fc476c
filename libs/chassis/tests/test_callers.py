"""Authentication of calling services: hostile tokens at a real server, quotas, the token cache, and invalid settings.

`test_scopes` covers what each RPC requires.
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import msgspec
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from chassis.callers import CACHED_TOKENS, COST_BYTES, Caller, CallerConfig, Callers, callers, require_callers
from chassis.config import Address, ConfigError, ProcessConfig, load
from chassis.context import current_caller
from chassis.errors import CallerNotAllowed, CallerTooFast, CallerUnknown, Unavailable
from chassis.grpc_client import call, open_channel
from chassis.grpc_server import serve
from chassis.identity import Identity, public_jwk
from chassis.scopes import NEEDED, Scope
from hubbub.presence.v1 import presence_pb2, presence_service_pb2
from hubbub.presence.v1.presence_service_pb2_grpc import (
    PresenceServiceServicer,
    PresenceServiceStub,
    add_PresenceServiceServicer_to_server,
)

NAME = "hubbub.presence.v1.PresenceService"
METHOD = f"/{NAME}/GetPresence"
AUDIENCE = "hubbub.presence"
SHOP, GATEWAY, OTHER = (OKPKey.generate_key("Ed25519") for _ in range(3))
EC, RSA = ECKey.generate_key("P-256"), RSAKey.generate_key(2048)
KID = SHOP.thumbprint()


def jwk_of(key: Any, kid: str = "") -> dict[str, object]:
    return {**key.as_dict(private=False), "kid": kid or key.thumbprint()}


SHOP_CONFIG = CallerConfig(
    "shop", [jwk_of(SHOP), jwk_of(EC, "ec"), jwk_of(RSA, "rsa")], [Scope.PRESENCE_READ], ["acme"], calls_per_second=0
)
KNOWN = [SHOP_CONFIG, CallerConfig("gateway", [public_jwk(GATEWAY)], list(Scope), ["*"], calls_per_second=0)]


def claims(**other: Any) -> dict[str, Any]:
    now = int(time.time())
    return {"iss": "shop", "aud": AUDIENCE, "iat": now, "exp": now + 300, **other}


def sign(claims: dict[str, Any], header: dict[str, Any] | None = None, key: Any = SHOP, algorithm: str = "EdDSA") -> str:
    protected = {"alg": algorithm, "kid": KID, **(header or {})}
    return jws.serialize_compact(protected, json.dumps(claims).encode(), key, algorithms=[algorithm])


def part(value: object) -> str:
    return base64.urlsafe_b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: bytes = b"") -> str:
    return f"{part(header)}.{part(claims)}.{part(signature)}"


def mac_with_public_key(secret: bytes, kid: str = KID) -> str:
    signed = f"{part({'alg': 'HS256', 'kid': kid})}.{part(claims())}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def hostile() -> dict[str, str]:
    """Return invalid tokens, signed now because some depend on the time."""
    now = time.time()
    return {
        "expired": sign(claims(iat=now - 300, exp=now - 1)),
        "valid for more than ten minutes": sign(claims(exp=now + 700)),
        "expires before it is issued": sign(claims(iat=now + 20, exp=now + 10)),
        "issued in the future": sign(claims(iat=now + 100, exp=now + 200)),
        "not yet valid": sign(claims(nbf=now + 100)),
        "without exp": sign({name: value for name, value in claims().items() if name != "exp"}),
        "without iat": sign({name: value for name, value in claims().items() if name != "iat"}),
        "for another service": sign(claims(aud="hubbub.messages")),
        "audience is a prefix": sign(claims(aud="hubbub")),
        "no audience": sign(claims(aud=[])),
        "audience is a number": sign(claims(aud=7)),
        "unknown issuer": sign(claims(iss="mallory")),
        "no issuer": sign(claims(iss=None)),
        "issuer is a list": sign(claims(iss=["shop"])),
        "another caller's name with its own key": sign(claims(iss="gateway")),
        "unknown key": sign(claims(), key=OTHER),
        "unknown key with its own kid": sign(claims(), {"kid": OTHER.thumbprint()}, OTHER),
        "unknown key in the header": sign(claims(), {"jwk": OTHER.as_dict(private=False)}, OTHER),
        "key URL in the header": sign(claims(), {"jku": "https://mallory.example/keys"}),
        "without kid": unsigned({"alg": "EdDSA"}, claims(), b"x" * 64),
        "unsigned": unsigned({"alg": "none", "kid": KID}, claims()),
        "unsigned, upper case": unsigned({"alg": "NONE", "kid": KID}, claims()),
        "HS256 with the public key as PEM": mac_with_public_key(SHOP.as_pem(private=False)),
        "HS256 with the public key as JSON": mac_with_public_key(json.dumps(SHOP.as_dict(private=False)).encode()),
        "HS256 with the public key's bytes": mac_with_public_key(base64.urlsafe_b64decode(f"{SHOP.as_dict()['x']}=")),
        "HS256 with the kid of an RSA key": mac_with_public_key(RSA.as_pem(private=False), "rsa"),
        "another algorithm than the key's": sign(claims(), {"kid": "rsa"}, RSA, "PS256"),
        "one key with another key's kid": sign(claims(), {"kid": "ec"}),
        "truncated": sign(claims())[:-4],
        "claims replaced after signing": ".".join(
            [sign(claims()).split(".")[0], part(claims(name="x")), sign(claims()).split(".")[2]]
        ),
        "scope is not a string": sign(claims(scope=["presence:read"])),
        "oversized": sign(claims(extra="x" * 9_000))[:7_000],
        "empty": "",
    }


class Answering(PresenceServiceServicer):
    """Answers `GetPresence` and records the caller."""

    def __init__(self) -> None:
        self.caller: str | None = None

    async def GetPresence(  # noqa: N802 - the proto's name
        self, _request: presence_service_pb2.GetPresenceRequest, _context: object
    ) -> presence_service_pb2.GetPresenceResponse:
        self.caller = current_caller()
        return presence_service_pb2.GetPresenceResponse()


Served = tuple[Answering, str]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    service = Answering()  # type: ignore[abstract]  # only GetPresence is called
    config = load(ProcessConfig, {"HUBBUB_DRAIN_SECONDS": "1"})
    add = lambda server: add_PresenceServiceServicer_to_server(service, server)  # noqa: E731
    async with serve(config, Address("127.0.0.1", 0), add, [NAME], callers=Callers(KNOWN)) as port:
        yield service, f"127.0.0.1:{port}"


async def ask(target: str, *metadata: tuple[str, str], tenant: str = "acme") -> grpc.StatusCode:
    """Return the status of a call with this metadata."""
    request = presence_service_pb2.GetPresenceRequest(users=[presence_pb2.UserRef(tenant=tenant, user="ann")])
    async with grpc.aio.insecure_channel(target) as channel:
        try:
            await PresenceServiceStub(channel).GetPresence(request, metadata=metadata, timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def bearing(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


@pytest.mark.parametrize("kind", hostile())
async def test_an_invalid_token_is_rejected(served: Served, kind: str) -> None:
    service, target = served
    assert await ask(target, bearing(hostile()[kind])) is grpc.StatusCode.UNAUTHENTICATED
    assert service.caller is None


GOOD = "good"
"""Placeholder for a valid token. Each test signs its own, because a token may expire during the run."""


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (bearing(GOOD), bearing(GOOD)),
        (bearing(GOOD), bearing("x")),
        (("authorization", GOOD),),
        (("authorization", f"Basic {GOOD}"),),
        (("authorization", f"Bearer  {GOOD}"),),
        (("authorization", f"Bearer {GOOD}, Bearer {GOOD}"),),
        (("x-authorization", f"Bearer {GOOD}"),),
    ],
)
async def test_a_call_must_carry_one_bearer_token(served: Served, metadata: tuple[tuple[str, str], ...]) -> None:
    good = sign(claims())
    sent = [(name, value.replace(GOOD, good)) for name, value in metadata]
    assert await ask(served[1], *sent) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    "make",
    [
        lambda: sign(claims()),
        lambda: sign(claims(aud=["elsewhere", AUDIENCE])),
        lambda: sign(claims(scope="admin presence:read")),
        lambda: sign(claims(iat=time.time() + 20)),
        lambda: sign(claims(), {"kid": "ec"}, EC, "ES256"),
        lambda: sign(claims(), {"kid": "rsa"}, RSA, "RS256"),
    ],
)
async def test_a_valid_token_identifies_its_caller(served: Served, make: Callable[[], str]) -> None:
    service, target = served
    assert await ask(target, bearing(make())) is grpc.StatusCode.OK
    assert service.caller == "shop"


async def test_a_token_can_narrow_its_callers_scopes_but_not_widen_them(served: Served) -> None:
    _, target = served
    assert await ask(target, bearing(sign(claims(scope="")))) is grpc.StatusCode.PERMISSION_DENIED
    assert await ask(target, bearing(sign(claims(scope="messages:read")))) is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(CallerNotAllowed):
        Callers([msgspec.structs.replace(SHOP_CONFIG, scopes=[Scope.ADMIN])]).identify(
            [bearing(sign(claims(scope="presence:read")))]
        ).authorize(NEEDED[METHOD])


@pytest.mark.parametrize("tenant", ["beta", "", "*", "ACME", "acme "])
async def test_a_caller_may_act_for_its_own_tenants_only(served: Served, tenant: str) -> None:
    service, target = served
    assert await ask(target, bearing(sign(claims())), tenant=tenant) is grpc.StatusCode.PERMISSION_DENIED
    assert service.caller is None
    gateway = Identity("gateway", GATEWAY).credential(AUDIENCE)
    assert await ask(target, gateway, tenant=tenant) is grpc.StatusCode.OK


async def test_a_caller_of_certain_tenants_may_send_neither_requests_without_tenant_nor_streams(served: Served) -> None:
    async with open_channel(served[1], Identity("shop", SHOP)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await PresenceServiceStub(channel).GetPresence(presence_service_pb2.GetPresenceRequest(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(CallerNotAllowed):
        Callers(KNOWN).identify([bearing(sign(claims()))]).caller.require_tenants(
            iter([presence_service_pb2.GetPresenceRequest()])
        )


async def test_health_checks_need_no_token(served: Served) -> None:
    async with grpc.aio.insecure_channel(served[1]) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]  # ships no types
            health_pb2.HealthCheckRequest(service=NAME), timeout=5
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_refusal_gives_the_caller_a_reason_and_its_users_none(served: Served) -> None:
    """A gateway with a wrong key must not tell its users that their own tokens are invalid."""
    async with open_channel(served[1], Identity("gateway", OTHER)) as channel:
        stub = PresenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetPresence(presence_service_pb2.GetPresenceRequest(), timeout=5)
        status, info = rpc_status.from_call(caught.value), error_details_pb2.ErrorInfo()  # type: ignore[arg-type]
        assert status is not None
        assert status.details[0].Unpack(info)
        assert (info.domain, info.reason) == ("hubbub", "CALLER_UNKNOWN")
        with pytest.raises(Unavailable) as raised:
            await call(stub.GetPresence, presence_service_pb2.GetPresenceRequest(), timeout=5)
    assert raised.value.detail == Unavailable.title


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_quota_allows_a_burst_of_ten_seconds_and_then_its_rate() -> None:
    pace = Clock()
    busy = Callers([msgspec.structs.replace(SHOP_CONFIG, calls_per_second=5)], monotonic=pace)

    def make(calls: int) -> None:
        for _ in range(calls):
            busy.identify([bearing(sign(claims()))]).authorize(NEEDED[METHOD])
        with pytest.raises(CallerTooFast) as caught:
            busy.identify([bearing(sign(claims()))]).authorize(NEEDED[METHOD])
        assert 0 < caught.value.retry_after <= 0.201

    make(50)
    pace.now += 0.99
    make(4)
    pace.now += 1_000
    make(50)


def busy_caller(tenants: list[str], pace: Clock) -> Caller:
    known = Callers([msgspec.structs.replace(SHOP_CONFIG, tenants=tenants, calls_per_second=10)], monotonic=pace)
    return known.identify([bearing(sign(claims()))]).caller


def asking(tenant: str, size: int = 0) -> presence_service_pb2.GetPresenceRequest:
    return presence_service_pb2.GetPresenceRequest(users=[presence_pb2.UserRef(tenant=tenant, user="x" * size)])


def test_an_rpc_is_charged_its_cost_and_its_bytes() -> None:
    caller, pace = busy_caller(["acme"], Clock()), Clock()
    for _ in range(20):
        caller.count_call(5)  # a burst is 100
    with pytest.raises(CallerTooFast):
        caller.count_call(1)
    large = busy_caller(["acme"], pace)
    large.count_message(asking("acme", 90 * COST_BYTES), 1)
    with pytest.raises(CallerTooFast):
        large.count_call(20)


def test_a_caller_of_several_tenants_spends_half_of_its_quota_on_one() -> None:
    pace = Clock()
    caller = busy_caller(["*"], pace)
    for _ in range(50):
        caller.count_message(asking("acme"), 1)
    with pytest.raises(CallerTooFast):
        caller.count_message(asking("acme"), 1)
    caller.count_message(asking("beta"), 1)
    pace.now += 1
    for _ in range(5):
        caller.count_message(asking("acme"), 1)
    with pytest.raises(CallerTooFast):
        caller.count_message(asking("acme"), 1)
    only = busy_caller(["acme"], pace)
    for _ in range(100):
        only.count_message(asking("acme"), 1)


async def test_a_caller_above_its_quota_gets_retry_after() -> None:
    service = Answering()  # type: ignore[abstract]  # as above
    known = Callers([msgspec.structs.replace(SHOP_CONFIG, calls_per_second=1), KNOWN[1]], monotonic=Clock())
    config = load(ProcessConfig, {"HUBBUB_DRAIN_SECONDS": "1"})
    add = lambda server: add_PresenceServiceServicer_to_server(service, server)  # noqa: E731
    async with serve(config, Address("127.0.0.1", 0), add, [NAME], callers=known) as port:
        target = f"127.0.0.1:{port}"
        answers = [await ask(target, bearing(sign(claims()))) for _ in range(11)]
        assert answers == [*[grpc.StatusCode.OK] * 10, grpc.StatusCode.RESOURCE_EXHAUSTED]
        async with open_channel(target, Identity("shop", SHOP)) as channel:
            with pytest.raises(Unavailable) as caught:
                await call(PresenceServiceStub(channel).GetPresence, presence_service_pb2.GetPresenceRequest(), timeout=5)
        assert 0.9 < caught.value.retry_after <= 1.01
        assert await ask(target, Identity("gateway", GATEWAY).credential(AUDIENCE)) is grpc.StatusCode.OK


def test_a_cached_token_expires() -> None:
    good = bearing(sign(claims()))
    clock = Clock()
    clock.now = time.time()
    known = Callers(KNOWN, clock=clock)
    assert known.identify([good]) is known.identify([good])
    clock.now += 300
    with pytest.raises(CallerUnknown):
        known.identify([good])


def test_the_token_cache_is_bounded_and_evicts_the_least_recently_used() -> None:
    known = Callers(KNOWN)
    tokens = [[bearing(sign(claims(n=n)))] for n in range(CACHED_TOKENS + 1)]
    first, second, *_ = [known.identify(token) for token in tokens[:-1]]
    assert known.identify(tokens[0]) is first
    known.identify(tokens[-1])
    assert known.identify(tokens[0]) is first
    assert known.identify(tokens[1]) is not second


def setting(**other: object) -> str:
    return json.dumps([{"name": "shop", "keys": [jwk_of(SHOP)], "scopes": ["messages:read"], "tenants": ["acme"], **other}])


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "{}",
        setting(name="Shop"),
        setting(name="-"),
        setting(keys=[]),
        setting(keys=[jwk_of(SHOP), jwk_of(SHOP)]),
        setting(keys=[SHOP.as_dict(private=False)]),
        setting(keys=[{**SHOP.as_dict(private=True), "kid": "x"}]),
        setting(keys=[{**OctKey.import_key("secret" * 8).as_dict(), "kid": "x"}]),
        setting(keys=[{**ECKey.generate_key("P-384").as_dict(private=False), "kid": "x"}]),
        setting(scopes=[]),
        setting(scopes=["everything"]),
        setting(scopes=["gateway"], tenants=["*"]),
        setting(name="gateway", scopes=["gateway"]),
        setting(tenants=[]),
        setting(tenants=["Acme"]),
        setting(calls_per_second=-1),
        setting(admin=True),
        f"[{setting()[1:-1]},{setting()[1:-1]}]",
    ],
)
def test_invalid_callers_are_rejected(value: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        callers(value)


def test_callers_are_parsed() -> None:
    (shop,) = callers(setting(tenants=["acme", "beta"], calls_per_second=7))
    assert (shop.name, shop.scopes, shop.tenants, shop.calls_per_second) == ("shop", ["messages:read"], ["acme", "beta"], 7)


@pytest.mark.parametrize(
    ("host", "production", "optional"),
    [
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("[::1]", False, True),
        ("localhost", False, True),
        ("127.0.0.1", True, False),
        ("0.0.0.0", False, False),
        ("10.0.0.7", False, False),
        ("messages", False, False),
    ],
)
def test_callers_are_optional_on_loopback_only_and_never_in_production(host: str, production: bool, optional: bool) -> None:
    require_callers(KNOWN, Address(host, 1), production=production)
    if optional:
        require_callers([], Address(host, 1), production=production)
    else:
        with pytest.raises(ConfigError, match="HUBBUB_CALLERS is required"):
            require_callers([], Address(host, 1), production=production)
