"""A whole gateway in the test's own loop: real sockets, real HTTP, a real Valkey as its bus, `world.Store` for the services."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
import msgspec
import redis.asyncio
import websockets

from bus.bus import Bus
from bus.connect import open_bus, open_signals
from bus.gateway_leases import open_gateway_leases
from bus.topics import commands, events, partition_of, replies, revocations
from chassis.config import Address, Secret
from chassis.errors import HubbubError
from chassis.lifecycle import Lifecycle
from gateway.app import Gateway
from gateway.clients import Clients
from gateway.config import Config
from gateway.door.server import bind
from gateway.identity.authentication import issue
from gateway.identity.issuers import DEV_AUDIENCE, DEV_ISSUER, DevIssuer, dev_key
from hubbub.events.v1.events_pb2 import CommandBatch, EventBatch, Reply, ReplyBatch, Revocation, RevocationBatch
from hubbub.messages.v1 import messages_service_pb2 as rpc
from hubbub.messages.v1.messages_pb2 import User
from services.gateway.tests.world import TENANT, Store

PARTITIONS = 2


class Services(Store):
    """The messages service's API and worker, on the model of the store."""

    def __init__(self) -> None:
        super().__init__()
        self.failure: HubbubError | None = None
        """Raised by every call while set."""
        self.listed = 200
        """Channels in `hello`."""
        self.void: set[str] = set()
        """Users who are blocked."""

    async def OpenSessions(self, request: rpc.OpenSessionsRequest, **_: object) -> rpc.OpenSessionsResponse:  # noqa: N802
        self._fail()
        sessions = [self._session(each.caller.user) for each in request.sessions]
        return rpc.OpenSessionsResponse(sessions=sessions, epoch=self.epoch, first_epoch=self.first_epoch)

    async def AdmitUser(self, request: rpc.AdmitUserRequest, **_: object) -> rpc.AdmitUserResponse:  # noqa: N802
        self._fail()
        return rpc.AdmitUserResponse(user=User(id=request.caller.user, name=request.name or request.caller.user))

    async def GetHeads(self, request: rpc.GetHeadsRequest, **_: object) -> rpc.GetHeadsResponse:  # noqa: N802
        self._fail()
        return await super().GetHeads(request)

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _session(self, user: str) -> rpc.Session:
        if user in self.void:
            return rpc.Session(reason="NOT_AUTHENTICATED")
        views = self.views(user)
        return rpc.Session(
            user=User(id=user, name=user),
            memberships=json.dumps([(each.view.id, each.view.seq, each.floor) for each in views]).encode(),
            hello_channels=msgspec.json.encode([each.view for each in views[: self.listed]]),
            more=len(views) > self.listed,
        )

    async def work(self, bus: Bus) -> None:
        """Store and publish posts to existing channels; refuse other commands."""
        async with bus.work([commands(number) for number in range(PARTITIONS)], "messages", "worker") as deliveries:
            async for delivery in deliveries:
                for entry in delivery.entries:
                    for command in CommandBatch.FromString(entry.payload).commands:
                        await self._do(bus, command)
                await deliveries.complete([delivery])

    async def _do(self, bus: Bus, command: Any) -> None:
        if command.channel not in self.logs:
            refused = ReplyBatch(replies=[Reply(command=command.id, reason="NOT_FOUND", detail="none")])
            await bus.publish([(replies(command.gateway), refused.SerializeToString())])
            return
        event = self.append(command.channel)
        event.command, event.gateway, event.at, event.message = command.id, command.gateway, "now", "m"
        await self.publish(bus, event)

    async def publish(self, bus: Bus, *happened: Any, epoch: str = "") -> None:
        for event in happened:
            topic = events(partition_of(event.channel, PARTITIONS))
            await bus.publish([(topic, EventBatch(events=[event], epoch=epoch or self.epoch).SerializeToString())])


class _Away(grpc.aio.AioRpcError):
    def __init__(self) -> None:
        super().__init__(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())


class _NoPresence:
    away = True

    async def Attach(self, _requests: object) -> AsyncIterator[object]:  # noqa: N802
        if self.away:
            raise _Away
        yield None


class House:
    """A running gateway, its bus and its store."""

    def __init__(self, config: Config, key: DevIssuer, port: int, bus: Bus, store: Services) -> None:
        self.config = config
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}/v1/connect"
        self.bus = bus
        self.store = store
        self.lifecycle = Lifecycle()
        self.gateway: Gateway
        self._issuer = key

    def token(self, user: str, *, seconds: float = 600, **claims: Any) -> str:
        now = time.time()
        return issue(
            self._issuer,
            {"iss": DEV_ISSUER, "aud": DEV_AUDIENCE, "iat": now, "exp": now + seconds, "sub": user, "tenant": TENANT, **claims},
        )

    def bearer(self, user: str, **claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(user, **claims)}"}

    def connect(self, user: str, **options: Any) -> Any:
        options.setdefault("additional_headers", self.bearer(user))
        return websockets.connect(self.socket_url, subprotocols=["hubbub.v1"], ping_interval=None, **options)  # type: ignore[list-item]

    async def refused(self, **options: Any) -> websockets.Response:
        """The HTTP answer to a rejected handshake."""
        try:
            async with websockets.connect(options.pop("url", self.socket_url), **options):
                raise AssertionError("let through")
        except websockets.InvalidStatus as error:
            return error.response

    async def decide(self, user: str, *, revoked_before: float = 0.0, blocked: bool = False) -> None:
        decision = Revocation(id=uuid.uuid4().hex, tenant=TENANT, user=user, revoked_before=revoked_before, blocked=blocked)
        await self.bus.publish([(revocations(), RevocationBatch(users=[decision]).SerializeToString())])

    async def wipe(self) -> None:
        """Remove everything from the bus."""
        async with redis.asyncio.from_url(self.config.bus_url) as client:
            await client.flushall()

    async def raw(self, data: bytes) -> bytes:
        """Send bytes, and read until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def open_house(bus_url: str, folder: Path, *, store: Services | None = None, **settings: Any) -> AsyncIterator[House]:
    """Run a gateway inside the block; leaving stops it as SIGTERM does. A second gateway is given the store of the first."""
    key_file = folder / "dev.pem"
    config = Config(
        listen=Address("127.0.0.1", 0),
        bus_url=Secret(bus_url),
        bus_partitions=PARTITIONS,
        messages_target="-",
        presence_target="-",
        media_target="-",
        integrations_target="-",
        dev_login=True,
        dev_key_file=str(key_file),
        **{"drain_seconds": 1, **settings},
    )
    listening = bind(config.listen)
    async with (
        open_bus(bus_url) as bus,
        open_signals(bus_url) as signals,
        open_gateway_leases(bus_url) as leases,
        asyncio.TaskGroup() as group,
    ):
        house = House(config, DevIssuer(dev_key(key_file)), listening.getsockname()[1], bus, store or Services())
        clients = Clients(cast(Any, house.store), cast(Any, _NoPresence()), cast(Any, None), cast(Any, None))
        house.gateway = Gateway(config, house.lifecycle, bus=bus, signals=signals, leases=leases, clients=clients, group=group)
        serving = group.create_task(house.gateway.serve(listening))
        working = None if store else group.create_task(house.store.work(bus))
        await _until_ready(house)
        try:
            yield house
        finally:
            house.lifecycle.stop()
            await serving
            if working is not None:
                working.cancel()


async def _until_ready(house: House) -> None:
    """Get a health endpoint, as an orchestrator does."""
    async with httpx.AsyncClient() as client, asyncio.timeout(10):
        while (await client.get(f"{house.url}/readyz")).status_code != httpx.codes.OK:  # noqa: ASYNC110 - HTTP has no events
            await asyncio.sleep(0.01)
