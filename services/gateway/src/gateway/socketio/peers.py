"""The other gateways: found by the leases that they hold, and called at the addresses that they gave with them."""

from __future__ import annotations

import asyncio
import math

import grpc
import structlog

from bus.bus import BusUnavailable
from bus.gateway_leases import GatewayLeases
from chassis.errors import Unavailable
from chassis.grpc_client import open_channel
from chassis.grpc_tls import TlsFiles
from chassis.identity import GATEWAY, Identity
from hubbub.gateway.v1.gateway_service_pb2_grpc import GatewayServiceStub

log = structlog.get_logger()
KNOWN_SECONDS = 1.0
"""How long the addresses are used before they are read again."""
UNKNOWN_SECONDS = 0.1
"""Likewise if the gateway is not among them: it may just have started. So names that clients invent cost few reads."""
CLOSING_SECONDS = 60.0
"""For the calls to a gateway whose lease has ended: it may have been paused."""


class Peers:
    """The gateways that can be called."""

    def __init__(
        self, leases: GatewayLeases, own: str, identity: Identity | None, tls: TlsFiles, group: asyncio.TaskGroup
    ) -> None:
        self._leases = leases
        self._own = own
        """This gateway."""
        self._identity = identity
        self._tls = tls
        self._group = group
        self._addresses: dict[str, str] = {}
        self._read_at = -math.inf
        """When they were read, in loop time."""
        self._reading = asyncio.Lock()
        self._channels: dict[str, grpc.aio.Channel] = {}
        """By address."""

    async def find(self, gateway: str) -> GatewayServiceStub | None:
        """Calls a gateway; None if it holds no lease. Raises `Unavailable` if that cannot be told."""
        await self._refresh(gateway)
        address = self._addresses.get(gateway)
        if address is None or gateway == self._own:
            return None
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = open_channel(address, self._identity, self._tls, server_name=GATEWAY)
        return GatewayServiceStub(channel)

    async def close(self) -> None:
        """Close every connection."""
        for channel in self._channels.values():
            await channel.close()

    async def _refresh(self, gateway: str) -> None:
        """Read the addresses again if they are old: one read at a time, for all who wait."""
        async with self._reading:
            age = asyncio.get_running_loop().time() - self._read_at
            if age < (KNOWN_SECONDS if gateway in self._addresses else UNKNOWN_SECONDS):
                return
            try:
                self._addresses = await self._leases.addresses()
            except BusUnavailable:
                raise Unavailable from None
            self._read_at = asyncio.get_running_loop().time()
        for address in self._channels.keys() - set(self._addresses.values()):
            self._group.create_task(self._channels.pop(address).close(CLOSING_SECONDS))
