"""How much one user, or one address, may ask for: token buckets by a key that nobody chooses for themselves, within a bound.

Every kind is counted together over all ways in and over the gateways: each gateway tells the others once a second who has spent
much at it, and they take that off. So the sharing is a second late and costs nothing per message; with the bus away each gateway
counts by itself. What one socket may send is `inbound.limits`'.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec
import structlog

from bus.bus import BusUnavailable
from bus.signals import Signals
from chassis.errors import RateLimited
from gateway.backoff import delays
from gateway.config import Config
from gateway.inbound.limits import Bucket
from gateway.spending import Spent, decode, encode

log = structlog.get_logger()
KNOWN = 50_000
"""Buckets kept of one kind; beyond it those are forgotten that were used least recently, and begin full again."""
SHARE_SECONDS = 1.0
SHARED_PART = 0.125
"""Of the rate: who spends less at one gateway is not worth telling the others."""
SIGNAL = "spending"
IPV6_PREFIX = 64
"""What one customer of a provider holds."""


class Allowance:
    """Buckets of one kind."""

    def __init__(self, rate: float, burst: float, detail: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        """A second."""
        self._burst = burst
        self._detail = detail
        """What a refusal says."""
        self._clock = clock
        self.buckets: OrderedDict[tuple[str, ...], Bucket] = OrderedDict()
        """Least recently used first."""
        self._spent: dict[tuple[str, ...], float] = {}
        """Granted since that was last told."""

    def take(self, *key: str, cost: float = 1.0) -> None:
        """Take from one's bucket. Raises `RateLimited`."""
        wait = self._bucket(key).take(cost)
        if wait:
            raise RateLimited(self._detail, retry_after=round(wait + 0.001, 3))
        self._spent[key] = self._spent.get(key, 0.0) + cost

    def spend(self, key: tuple[str, ...], cost: float) -> None:
        """Take off what was spent elsewhere."""
        self._bucket(key).spend(cost)

    def told(self) -> list[tuple[tuple[str, ...], float]]:
        """Who has spent much since this was last asked, and how much. Ask once in `SHARE_SECONDS`."""
        spent, self._spent = self._spent, {}
        least = self.rate * SHARED_PART * SHARE_SECONDS
        return [(key, cost) for key, cost in spent.items() if cost >= least]

    def _bucket(self, key: tuple[str, ...]) -> Bucket:
        bucket = self.buckets.get(key)
        if bucket is None:
            bucket = self.buckets[key] = Bucket(self.rate, self._burst, self._clock)
            if len(self.buckets) > KNOWN:
                self.buckets.popitem(last=False)
        else:
            self.buckets.move_to_end(key)
        return bucket


@dataclass(frozen=True, slots=True)
class Allowances:
    """All kinds."""

    strangers: Allowance
    """By address: logins of the local stack, sign-ins that are begun or come back, and credentials that were refused."""
    sends: Allowance
    """By tenant and user: frames and posts."""
    rooms: Allowance
    """By tenant and user: channels made and joined."""
    proxies: tuple[IPv4Network | IPv6Network, ...]
    """Whose word about an address counts."""

    @property
    def kinds(self) -> dict[str, Allowance]:
        """All that gateways share, by the names they use among themselves."""
        return {"strangers": self.strangers, "sends": self.sends, "rooms": self.rooms}

    @classmethod
    def of(cls, config: Config) -> Allowances:
        """What the settings say; a burst is ten seconds' worth where there is no setting for it."""
        strangers, rooms = config.strangers_per_second, config.joins_per_second
        sends = config.user_sends_per_second or 4 * config.sends_per_second
        return cls(
            Allowance(strangers, 10 * strangers, "Too many attempts from this address"),
            Allowance(sends, sends * config.burst / config.sends_per_second, "This user sends too much, over all connections"),
            Allowance(rooms, 10 * rooms, "Too many channels made or joined"),
            tuple(ip_network(each) for each in config.trusted_proxies),
        )

    def address(self, peer: str, forwarded: str) -> str:
        """Whom a request came from: the peer, or what the nearest trusted proxy has seen (the end of `X-Forwarded-For`)."""
        for each in (peer, *(part.strip() for part in reversed(forwarded.split(",")))):
            try:
                found = ip_address(each)
            except ValueError:
                break
            peer = str(found) if found.version == 4 else str(ip_network((found, IPV6_PREFIX), strict=False))  # noqa: PLR2004
            if not any(found in network for network in self.proxies):
                break
        return peer


class Sharing:
    """What is spent, told between gateways."""

    def __init__(self, kinds: Mapping[str, Allowance], signals: Signals, gateway: str) -> None:
        self._kinds = kinds
        """By name."""
        self._signals = signals
        self._gateway = gateway

    async def tell(self) -> None:
        """Tell the others, for ever."""
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            told = {name: much for name, allowance in self._kinds.items() if (much := allowance.told())}
            if not told:
                continue
            try:
                await self._signals.send(SIGNAL, encode(Spent(self._gateway, told)))
            except BusUnavailable:
                log.debug("spending_not_told")

    async def listen(self) -> None:
        """Take off what the others tell, for ever."""
        async for _attempt in delays(math.inf):  # until the bus is there; afterwards it never ends by itself
            try:
                async with self._signals.listen([SIGNAL]) as signals:
                    async for signal in signals:
                        self.heard(signal.payload)
            except BusUnavailable:
                log.debug("spending_not_heard")

    def heard(self, payload: bytes) -> None:
        """Take off what one gateway tells."""
        try:
            spent = decode(payload)
        except msgspec.DecodeError:
            log.warning("spending_unreadable")
            return
        if spent.gateway == self._gateway:
            return
        for name in spent.kinds.keys() & self._kinds.keys():
            for key, cost in spent.kinds[name]:
                self._kinds[name].spend(key, cost)
