"""Judges who calls: the services that are known here, their keys, and what each of them may. Which RPC needs what is `scopes`'.

A call carries one token, signed with the caller's own key: `iss` is its name, `aud` the service that is called, `exp` at most
ten minutes after `iat`, and `scope`, where it is there, less than it may. A token that was found good is remembered until it
ends, so that a caller which sends the same one with every call costs a look-up.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

import msgspec
from google.protobuf.message import Message
from msgspec import Meta

from chassis import jwt
from chassis.config import Address, ConfigError
from chassis.errors import CallerNotAllowed, CallerTooFast, CallerUnknown
from chassis.identity import GATEWAY
from chassis.ids import TENANT
from chassis.jwt import InvalidTokenError, Moment, VerificationKey, usable_keys
from chassis.scopes import Needed, Scope
from chassis.tenancy import tenants

LIFETIME_SECONDS = 600.0
LEEWAY_SECONDS = 30.0
BURST_SECONDS = 10.0
"""A caller that was silent for this long may make so many seconds' calls at once."""
REMEMBERED = 1_024
EVERY_TENANT = "*"
_BEARER = "Bearer "
_ROUNDING = 1e-6
"""Seconds, for what sums of fractions lack."""
_PRIVATE = frozenset({"d", "p", "q", "k"})


class CallerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service that may call."""

    name: Annotated[str, Meta(pattern=r"\A[a-z][a-z0-9-]{0,31}\Z")]
    keys: Annotated[list[dict[str, object]], Meta(min_length=1, max_length=4)]
    """Public JWKs, each with its `kid`; two while one replaces the other."""
    scopes: Annotated[list[Scope], Meta(min_length=1)]
    tenants: Annotated[list[Annotated[str, Meta(pattern=rf"\A({TENANT}|\*)\Z")]], Meta(min_length=1)]
    """For whose users it may speak; `*` for everybody's."""
    calls_per_second: Annotated[int, Meta(ge=0, le=1_000_000)] = 50
    """To one process, sustained; 0 for no bound."""

    def problems(self) -> list[str]:
        """What is wrong with it beyond its shape."""
        found = []
        try:
            usable = len(usable_keys(self.keys))
        except ValueError as error:
            found.append(f"{self.name}: {error}")
        else:
            if usable != len(self.keys):
                found.append(f"{self.name}: each key must be a JWK with `kid`, of Ed25519, P-256, or RSA with 2,048 bits or more")
        if any(_PRIVATE & key.keys() for key in self.keys):
            found.append(f"{self.name}: a private key does not belong here")
        if Scope.GATEWAY in self.scopes and (self.name != GATEWAY or EVERY_TENANT not in self.tenants):
            found.append(f'{self.name}: the scope {Scope.GATEWAY} is for the caller {GATEWAY}, with the tenants ["*"]')
        return found


class Claims(msgspec.Struct, frozen=True):
    """What a token must say besides its issuer; further claims are ignored."""

    aud: str | list[str]
    iat: Moment
    exp: Moment
    scope: str | None = None
    nbf: Moment = 0


class Caller:
    """One known service, and how much of its quota is left."""

    def __init__(self, config: CallerConfig, clock: Callable[[], float]) -> None:
        self.name = config.name
        self.keys: dict[str, VerificationKey] = usable_keys(config.keys)
        """By `kid`."""
        self.scopes = frozenset(config.scopes)
        self._tenants = None if EVERY_TENANT in config.tenants else frozenset(config.tenants)
        """None for every tenant."""
        self._rate = config.calls_per_second
        self._clock = clock
        self._spent_until = float("-inf")
        """When all calls until now would have been made, had they been made at the rate."""

    def spend(self) -> None:
        """Count a call. Raises `CallerTooFast`."""
        if not self._rate:
            return
        now, cost = self._clock(), 1 / self._rate
        spent_until = max(self._spent_until, now - BURST_SECONDS) + cost
        if spent_until > now + _ROUNDING:
            raise CallerTooFast(retry_after=round(spent_until - now + 0.001, 3))
        self._spent_until = spent_until

    def speak(self, request: object) -> None:
        """Let it speak for the tenants that a request names. Raises `CallerNotAllowed`, also where it names none or streams."""
        if self._tenants is None:
            return
        named = list(tenants(request)) if isinstance(request, Message) else []
        if not named or not self._tenants.issuperset(named):
            raise CallerNotAllowed("The calling service may not speak for this tenant")


@dataclass(frozen=True, slots=True)
class Credential:
    """A token that was found good."""

    caller: Caller
    audiences: frozenset[str]
    scopes: frozenset[str]
    """What the caller may, and the token is for."""
    ends: float
    """Unix seconds."""

    def admit(self, needed: Needed | None) -> None:
        """Let it make a call. Raises `CallerUnknown`, `CallerTooFast`, `CallerNotAllowed`."""
        if needed is None:
            raise CallerNotAllowed
        if needed.audience not in self.audiences:
            raise CallerUnknown
        self.caller.spend()
        if needed.scope not in self.scopes:
            raise CallerNotAllowed(f"The calling service needs the scope {needed.scope}")


class Callers:
    """Every service that may call this process."""

    def __init__(
        self,
        known: Sequence[CallerConfig],
        *,
        clock: Callable[[], float] = time.time,
        pace: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callers = {each.name: Caller(each, pace) for each in known}
        self._clock = clock
        self._remembered: OrderedDict[str, Credential] = OrderedDict()
        """By token, least recently used first."""

    def identify(self, metadata: Sequence[tuple[str, str | bytes]]) -> Credential:
        """Whose token a call carries. Raises `CallerUnknown`, which never says why."""
        given = [value for key, value in metadata if key == "authorization"]
        if len(given) != 1 or not isinstance(given[0], str) or not given[0].startswith(_BEARER):
            raise CallerUnknown
        token = given[0].removeprefix(_BEARER)
        credential = self._remembered.get(token)
        if credential is None:
            credential = self._remembered[token] = self._judge(token)
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        else:
            self._remembered.move_to_end(token)
        if credential.ends <= self._clock():
            del self._remembered[token]
            raise CallerUnknown
        return credential

    def _judge(self, token: str) -> Credential:
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
    """A JSON list of `{name, keys, scopes, tenants, calls_per_second}`."""
    try:
        found = msgspec.json.decode(value, type=tuple[CallerConfig, ...])
    except msgspec.DecodeError as error:
        msg = f"must be a JSON list of callers: {error}"
        raise ValueError(msg) from error
    problems = [problem for each in found for problem in each.problems()]
    if len({each.name for each in found}) != len(found):
        problems.append("two callers of one name")
    if problems:
        msg = f"must be right: {', '.join(problems)}"
        raise ValueError(msg)
    return found


NO_CALLERS: tuple[CallerConfig, ...] = ()


def require_callers(known: Sequence[CallerConfig], listen: Address, *, production: bool) -> None:
    """Raise `ConfigError` where anybody could call, and it is not somebody's laptop that nobody else reaches."""
    if not known and (production or not _loopback(listen.host)):
        raise ConfigError(["HUBBUB_CALLERS is required, except where HUBBUB_ENV=local and the service listens on loopback"])


def judge_of(known: Sequence[CallerConfig]) -> Callers | None:
    """Who judges calls; None where anybody may call."""
    return Callers(known) if known else None


def _loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
