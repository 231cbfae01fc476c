"""Rate limits by user, tenant and address, shared by all gateways.

Each gateway counts requests in token buckets and gossips once a second how much of each limit was used there; the others
subtract it from their own buckets. Sharing is therefore a second late and costs nothing per message. While the bus is away each
gateway counts for itself. `rates.bucket` has the limit of a single connection.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec
import structlog

from bus.bus import BusUnavailable
from bus.signals import Signals
from chassis.backoff import retrying
from chassis.errors import RateLimited
from gateway.config import Config
from gateway.rates.bucket import Tokens

log = structlog.get_logger()
KNOWN = 50_000
"""Buckets of one limit. Beyond it the least recently used are dropped; they start full again."""
SHARE_SECONDS = 1.0
SHARED_PART = 0.125
"""Usage below this part of the rate is not gossiped."""
SIGNAL = "spending"
IPV6_PREFIX = 64
"""The network that a provider assigns to one customer."""


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """The gossip of one gateway: its recent usage of each limit, by key."""

    gateway: str
    kinds: dict[str, list[tuple[tuple[str, ...], float]]]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Usage).decode


class SharedRate:
    """One limit: a bucket for each key."""

    def __init__(self, rate: float, burst: float, detail: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        """Per second."""
        self._burst = burst
        self._detail = detail
        """Detail of the error when the limit is exceeded."""
        self._clock = clock
        self.buckets: OrderedDict[tuple[str, ...], Tokens] = OrderedDict()
        """Least recently used first."""
        self._spent: dict[tuple[str, ...], float] = {}
        """Usage since the last gossip."""

    def take(self, *key: str, cost: float = 1.0) -> None:
        """Take tokens from a key's bucket. Raises `RateLimited`."""
        wait = self._bucket(key).take(cost)
        if wait:
            raise RateLimited(self._detail, retry_after=round(wait + 0.001, 3))
        self._spent[key] = self._spent.get(key, 0.0) + cost

    def spend(self, key: tuple[str, ...], cost: float) -> None:
        """Subtract usage at another gateway."""
        self._bucket(key).spend(cost)

    def take_usage(self) -> list[tuple[tuple[str, ...], float]]:
        """Keys with notable usage since the last call, and how much. Call once in `SHARE_SECONDS`."""
        spent, self._spent = self._spent, {}
        least = self.rate * SHARED_PART * SHARE_SECONDS
        return [(key, cost) for key, cost in spent.items() if cost >= least]

    def _bucket(self, key: tuple[str, ...]) -> Tokens:
        bucket = self.buckets.get(key)
        if bucket is None:
            bucket = self.buckets[key] = Tokens(self.rate, self._burst, self._clock)
            if len(self.buckets) > KNOWN:
                self.buckets.popitem(last=False)
        else:
            self.buckets.move_to_end(key)
        return bucket


@dataclass(frozen=True, slots=True)
class SharedRates:
    """All limits that gateways share."""

    unauthenticated: SharedRate
    """By address: development logins, and rejected credentials."""
    sign_ins: SharedRate
    """By address: sign-ins that begin, return or end. Apart from rejected credentials, which keep no one from signing in."""
    sends: SharedRate
    """By tenant and user: frames and posts."""
    tenant_sends: SharedRate
    """By tenant: the same."""
    catch_ups: SharedRate
    """By tenant and user: what syncs read."""
    requests: SharedRate
    """By tenant and user: HTTP requests and handshakes."""
    tenant_requests: SharedRate
    """By tenant: the same."""
    channel_joins: SharedRate
    """By tenant and user: channels created and joined."""
    proxies: tuple[IPv4Network | IPv6Network, ...]
    """Networks whose `X-Forwarded-For` is trusted."""

    @property
    def by_name(self) -> dict[str, SharedRate]:
        """The limits by the names that gateways use among themselves."""
        rates = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: rate for name, rate in rates.items() if isinstance(rate, SharedRate)}

    @classmethod
    def of(cls, config: Config) -> SharedRates:
        """The limits that the settings define. Without a setting of its own, a burst is ten seconds of the rate."""
        attempts, joins = config.unauthenticated_per_second, config.joins_per_second
        sends = config.user_sends_per_second or 4 * config.sends_per_second
        tenant_sends, tenant_requests = config.tenant_sends_per_second, config.tenant_requests_per_second
        return cls(
            unauthenticated=SharedRate(attempts, 10 * attempts, "Too many attempts from this address"),
            sign_ins=SharedRate(attempts, 10 * attempts, "Too many sign-ins from this address"),
            sends=SharedRate(
                sends, sends * config.burst / config.sends_per_second, "This user sends too much, over all connections"
            ),
            tenant_sends=SharedRate(tenant_sends, 10 * tenant_sends, "The users of this tenant send too much"),
            catch_ups=SharedRate(sends, 10 * sends, "This user reads too much"),
            requests=SharedRate(config.requests_per_second, config.request_burst, "This user requests too much"),
            tenant_requests=SharedRate(tenant_requests, 10 * tenant_requests, "The users of this tenant request too much"),
            channel_joins=SharedRate(joins, 10 * joins, "Too many channels made or joined"),
            proxies=tuple(ip_network(each) for each in config.trusted_proxies or ()),
        )

    def send(self, tenant: str, user: str, cost: float) -> None:
        """Charge frames or a post to the user and the tenant. Raises `RateLimited`."""
        self.sends.take(tenant, user, cost=cost)
        self.tenant_sends.take(tenant, cost=cost)

    def request(self, tenant: str, user: str, cost: float) -> None:
        """Charge a request or a handshake to the user and the tenant. Raises `RateLimited`."""
        self.requests.take(tenant, user, cost=cost)
        self.tenant_requests.take(tenant, cost=cost)

    def address(self, peer: str, forwarded: str) -> str:
        """The address of the client: the peer, or the one that the nearest trusted proxy saw (the end of `X-Forwarded-For`)."""
        for each in (peer, *(part.strip() for part in reversed(forwarded.split(",")))):
            try:
                found = ip_address(each)
            except ValueError:
                break
            peer = str(found) if found.version == 4 else str(ip_network((found, IPV6_PREFIX), strict=False))  # noqa: PLR2004
            if not any(found in network for network in self.proxies):
                break
        return peer


class UsageExchange:
    """Gossips usage between gateways."""

    def __init__(self, rates: Mapping[str, SharedRate], signals: Signals, gateway: str) -> None:
        self._rates = rates
        """By name."""
        self._signals = signals
        self._gateway = gateway

    async def send(self) -> None:
        """Send this gateway's usage to the others, forever."""
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            usage = {name: notable for name, rate in self._rates.items() if (notable := rate.take_usage())}
            if not usage:
                continue
            try:
                await self._signals.send(SIGNAL, _encode(Usage(self._gateway, usage)))
            except BusUnavailable:
                log.debug("usage_not_sent")

    async def listen(self) -> None:
        """Subtract what other gateways report, forever."""
        async for attempt in retrying(BusUnavailable):
            with attempt:
                async with self._signals.listen([SIGNAL]) as signals:
                    async for signal in signals:
                        self.received(signal.payload)

    def received(self, payload: bytes) -> None:
        """Subtract what one gateway reports."""
        try:
            usage = _decode(payload)
        except msgspec.DecodeError:
            log.warning("usage_unreadable")
            return
        if usage.gateway == self._gateway:
            return
        for name in usage.kinds.keys() & self._rates.keys():
            for key, cost in usage.kinds[name]:
                self._rates[name].spend(key, cost)
