"""Presence on a real Valkey: its state with a clock that the test sets, and whole instances behind gRPC."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import grpc
import pytest
import redis.asyncio

from chassis import grpc_server
from chassis.config import Address, Secret
from chassis.proto_enums import from_word, to_word
from hubbub.presence.v1 import presence_pb2
from hubbub.presence.v1 import presence_service_pb2 as messages
from hubbub.presence.v1.presence_service_pb2_grpc import PresenceServiceStub, add_PresenceServiceServicer_to_server
from presence import sweeper
from presence.app import SERVICE
from presence.config import Config
from presence.leases import Leases, Timing, connect
from presence.service import PresenceService
from presence.watch import Watch


class Clock:
    """Milliseconds, set by the test."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect(valkey_url) as client:
        yield client


@pytest.fixture
def leases(client: redis.asyncio.Redis, clock: Clock) -> Leases:
    return Leases(client, Timing(lease_milliseconds=7_000, grace_milliseconds=5_000), clock)


@dataclass
class Instance:
    """One presence instance in this process, and a stub that calls it."""

    stub: PresenceServiceStub
    stopping: asyncio.Event
    leases: Leases
    watch: Watch


@contextlib.asynccontextmanager
async def instance(url: str, timing: Timing) -> AsyncIterator[Instance]:
    """Run an instance as `app` does, with shorter times."""
    listen = Address("127.0.0.1", 0)
    config = Config(redis_url=Secret(url), listen=listen, drain_seconds=1)
    stopping = asyncio.Event()
    async with connect(url) as client, asyncio.TaskGroup() as tasks:
        leases = Leases(client, timing)
        watch = Watch(client, leases)
        running = [tasks.create_task(watch.run()), tasks.create_task(sweeper.run(leases))]
        await watch.subscribed.wait()
        service = PresenceService(leases, watch, stopping)
        async with grpc_server.serve(
            config, listen, lambda server: add_PresenceServiceServicer_to_server(service, server), [SERVICE], callers=None
        ) as port:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield Instance(PresenceServiceStub(channel), stopping, leases, watch)
            stopping.set()
        for task in running:
            task.cancel()


def user(name: str, tenant: str = "acme") -> presence_pb2.UserRef:
    return presence_pb2.UserRef(tenant=tenant, user=name)


@dataclass
class Gateway:
    """A gateway's end of an attachment."""

    call: grpc.aio.StreamStreamCall[messages.AttachRequest, messages.AttachResponse]
    seen: list[tuple[str, str]] = field(default_factory=list)
    """User and status of every presence received."""

    @classmethod
    async def attach(
        cls, instance: Instance, name: str, connections: dict[str, tuple[str, str]], watch: Sequence[str] = ()
    ) -> Gateway:
        """Attach and report connections: connection → user, status."""
        gateway = cls(instance.stub.Attach())
        await gateway.call.write(
            messages.AttachRequest(
                lease=messages.Lease(gateway=name),
                changes=[
                    messages.ConnectionChange(
                        user=user(who), connection=connection, status=from_word(presence_pb2.Status, status)
                    )
                    for connection, (who, status) in connections.items()
                ],
                watch=[user(who) for who in watch],
            )
        )
        return gateway

    async def change(self, who: str, connection: str, status: str) -> None:
        change = messages.ConnectionChange(user=user(who), connection=connection, status=from_word(presence_pb2.Status, status))
        await self.call.write(messages.AttachRequest(changes=[change]))

    async def watch(self, *names: str) -> None:
        await self.call.write(messages.AttachRequest(watch=[user(name) for name in names]))

    async def until(self, who: str, status: str) -> list[tuple[str, str]]:
        """Return the presences received up to a user's status."""
        seen: list[tuple[str, str]] = []
        async with asyncio.timeout(15):
            while (who, status) not in seen:
                answer = await self.call.read()
                assert isinstance(answer, messages.AttachResponse), "the attachment ended"
                seen += [(presence.user.user, to_word(presence_pb2.Status, presence.status)) for presence in answer.presences]
        self.seen += seen
        return seen

    async def end(self) -> grpc.StatusCode:
        """Return the status with which the attachment ended."""
        async with asyncio.timeout(15):
            with contextlib.suppress(grpc.aio.AioRpcError):
                while await self.call.read() is not grpc.aio.EOF:
                    pass
            return await self.call.code()
