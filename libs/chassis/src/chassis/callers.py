"""Authenticates and authorizes calling services: their keys, scopes, tenants and quotas. `scopes` says what each RPC requires.

A call carries one JWT, signed with the caller's own key: `iss` is the caller's name, `aud` the called service, `exp` at most
ten minutes after `iat`. An optional `scope` narrows the caller's scopes. Verified tokens are cached until they expire, so a
caller that reuses its token costs one lookup per call.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from google.protobuf.message import Message
from msgspec import Meta

from chassis import jwt
from chassis.config import Address, ConfigError, is_loopback
from chassis.errors import CallerNotAllowed, CallerTooFast, CallerUnknown
from chassis.identity import GATEWAY
from chassis.ids import TENANT
from chassis.jwt import InvalidTokenError, NumericDate, VerificationKey, verification_keys
from chassis.scopes import Requirement, Scope
from chassis.tenancy import tenants

LIFETIME_SECONDS = 600.0
LEEWAY_SECONDS = 30.0
BURST_SECONDS = 10.0
"""Size of the rate limit's burst, in seconds of calls at the sustained rate."""
COST_BYTES = 4 * 1024
"""Bytes of a request that cost as much as one more call."""
TENANT_PART = 0.5
"""The part of its quota that a caller of several tenants may use for one of them."""
KNOWN_TENANTS = 10_000
"""Tenants of one caller whose calls are counted; the least recently used one is forgotten."""
CACHED_TOKENS = 1_024
EVERY_TENANT = "*"
_BEARER = "Bearer "
_ROUNDING = 1e-6
"""Seconds; absorbs floating-point rounding."""
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "k"})
"""JWK members of private and symmetric keys (RFC 7518)."""


class CallerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A service that may call, as configured in HUBBUB_CALLERS."""

    name: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{0,31}\Z")]
    keys: Annotated[list[dict[str, object]], Meta(min_length=1, max_length=4)]
    """Public JWKs, each with a `kid`; more than one during a key rotation."""
    scopes: Annotated[list[Scope], Meta(min_length=1)]
    tenants: Annotated[list[Annotated[str, Meta(pattern=rf"\A({TENANT}|\*)\Z")]], Meta(min_length=1)]
    """Tenants that it may act for; `*` for all."""
    calls_per_second: Annotated[int, Meta(ge=0, le=1_000_000)] = 50
    """Sustained rate per called process, by the costs of `scopes.COSTS`; 0 for no limit."""

    def problems(self) -> list[str]:
        """Return the errors that the types do not catch."""
        found = []
        try:
            usable = len(verification_keys(self.keys))
        except ValueError as error:
            found.append(f"{self.name}: {error}")
        else:
            if usable != len(self.keys):
                found.append(f"{self.name}: each key must be a JWK with `kid`, of Ed25519, P-256, or RSA with 2,048 bits or more")
        if any(_PRIVATE_MEMBERS & key.keys() for key in self.keys):
            found.append(f"{self.name}: private keys are not allowed here")
        if Scope.GATEWAY in self.scopes and (self.name != GATEWAY or EVERY_TENANT not in self.tenants):
            found.append(f'{self.name}: the scope {Scope.GATEWAY} is for the caller {GATEWAY}, with the tenants ["*"]')
        return found


class Claims(msgspec.Struct, frozen=True):
    """The claims that a token must carry besides `iss`. Others are ignored."""

    aud: str | list[str]
    iat: NumericDate
    exp: NumericDate
    scope: str | None = None
    nbf: NumericDate = 0


class Quota:
    """A rate limit by virtual scheduling (GCRA): a burst of `BURST_SECONDS`, then the sustained rate."""

    __slots__ = ("_paid_until", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        """Calls per second."""
        self._paid_until = float("-inf")
        """When the calls made so far would have ended at the sustained rate."""

    def charge(self, now: float, cost: float) -> None:
        """Charge a call, at most a burst. Raises `CallerTooFast`."""
        seconds = min(cost / self._rate, BURST_SECONDS)
        paid_until = max(self._paid_until, now - BURST_SECONDS) + seconds
        if paid_until > now + _ROUNDING:
            raise CallerTooFast(retry_after=round(paid_until - now + 0.001, 3))
        self._paid_until = paid_until


class Caller:
    """A known service and the state of its rate limits."""

    def __init__(self, config: CallerConfig, clock: Callable[[], float]) -> None:
        self.name = config.name
        self.keys: dict[str, VerificationKey] = verification_keys(config.keys)
        """By `kid`."""
        self.scopes = frozenset(config.scopes)
        self.tenants = None if EVERY_TENANT in config.tenants else frozenset(config.tenants)
        """None for all tenants."""
        self._rate = config.calls_per_second
        self._clock = clock
        self._quota = Quota(self._rate)
        self._by_tenant: OrderedDict[str, Quota] = OrderedDict()
        """Least recently used first; empty for a caller of one tenant."""

    def count_call(self, cost: float) -> None:
        """Charge one call to the rate limit. Raises `CallerTooFast`."""
        if self._rate:
            self._quota.charge(self._clock(), cost)

    def count_message(self, message: object, cost: float) -> None:
        """Charge the bytes of a call's request, and the call to each tenant that it names. Raises `CallerTooFast`."""
        if not self._rate or not isinstance(message, Message):
            return
        size = message.ByteSize() // COST_BYTES
        if size:
            self.count_call(size)
        if self.tenants is None or len(self.tenants) > 1:
            for tenant in set(tenants(message)):
                self._quota_of(tenant).charge(self._clock(), cost + size)

    def _quota_of(self, tenant: str) -> Quota:
        quota = self._by_tenant.setdefault(tenant, Quota(self._rate * TENANT_PART))
        self._by_tenant.move_to_end(tenant)
        if len(self._by_tenant) > KNOWN_TENANTS:
            self._by_tenant.popitem(last=False)
        return quota

    def require_tenants(self, request: object) -> None:
        """Raise `CallerNotAllowed` unless the caller may act for every tenant in the request.

        A caller of certain tenants may send neither requests without a tenant nor streams.
        """
        if self.tenants is None:
            return
        named = list(tenants(request)) if isinstance(request, Message) else []
        if not named or not self.tenants.issuperset(named):
            raise CallerNotAllowed("The calling service may not act for this tenant")


@dataclass(frozen=True, slots=True)
class Credential:
    """A verified token."""

    caller: Caller
    audiences: frozenset[str]
    scopes: frozenset[str]
    """Scopes that both the caller's configuration and the token grant."""
    expires: float
    """Unix seconds."""

    def authorize(self, requirement: Requirement | None) -> None:
        """Authorize one call. Raises `CallerUnknown`, `CallerTooFast`, `CallerNotAllowed`."""
        if requirement is None:
            raise CallerNotAllowed
        if requirement.audience not in self.audiences:
            raise CallerUnknown
        self.caller.count_call(requirement.cost)
        if requirement.scope not in self.scopes:
            raise CallerNotAllowed(f"The calling service needs the scope {requirement.scope}")


class Callers:
    """The services that may call this process."""

    def __init__(
        self,
        known: Sequence[CallerConfig],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callers = {each.name: Caller(each, monotonic) for each in known}
        self._clock = clock
        self._cache: OrderedDict[str, Credential] = OrderedDict()
        """By token, least recently used first."""

    def identify(self, metadata: Sequence[tuple[str, str | bytes]]) -> Credential:
        """Verify the token of a call. Raises `CallerUnknown`, without giving a reason."""
        given = [value for key, value in metadata if key == "authorization"]
        if len(given) != 1 or not isinstance(given[0], str) or not given[0].startswith(_BEARER):
            raise CallerUnknown
        token = given[0].removeprefix(_BEARER)
        credential = self._cache.get(token)
        if credential is None:
            credential = self._cache[token] = self._verify(token)
            if len(self._cache) > CACHED_TOKENS:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(token)
        if credential.expires <= self._clock():
            del self._cache[token]
            raise CallerUnknown
        return credential

    def _verify(self, token: str) -> Credential:
        try:
            read = jwt.read(token)
            caller = self._callers.get(read.issuer)
            if caller is None:
                raise CallerUnknown
            read.require_signature(caller.keys.get(read.kid))
            claims = msgspec.convert(read.claims, Claims)
        except (InvalidTokenError, msgspec.ValidationError):
            raise CallerUnknown from None
        latest = self._clock() + LEEWAY_SECONDS
        if claims.iat > latest or claims.nbf > latest or not 0 < claims.exp - claims.iat <= LIFETIME_SECONDS:
            raise CallerUnknown
        audiences = frozenset([claims.aud] if isinstance(claims.aud, str) else claims.aud)
        scopes = caller.scopes if claims.scope is None else caller.scopes & set(claims.scope.split())
        return Credential(caller, audiences, scopes, float(claims.exp))


def callers(value: str) -> tuple[CallerConfig, ...]:
    """Parse a JSON list of `{name, keys, scopes, tenants, calls_per_second}`. Raises ValueError."""
    try:
        found = msgspec.json.decode(value, type=tuple[CallerConfig, ...])
    except msgspec.DecodeError as error:
        msg = f"must be a JSON list of callers: {error}"
        raise ValueError(msg) from error
    problems = [problem for each in found for problem in each.problems()]
    if len({each.name for each in found}) != len(found):
        problems.append("two callers have the same name")
    if problems:
        msg = f"must be valid: {', '.join(problems)}"
        raise ValueError(msg)
    return found


NO_CALLERS: tuple[CallerConfig, ...] = ()


def require_callers(known: Sequence[CallerConfig], listen: Address, *, production: bool) -> None:
    """Raise `ConfigError` if callers are not authenticated, unless the service listens on loopback outside production."""
    if not known and (production or not is_loopback(listen.host)):
        raise ConfigError(["HUBBUB_CALLERS is required, except where HUBBUB_ENV=local and the service listens on loopback"])


def callers_of(known: Sequence[CallerConfig]) -> Callers | None:
    """Return the known callers, or None where any process may call."""
    return Callers(known) if known else None
