"""After a loss, and without the bus, the store is asked about users at a cost that it can bear."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from bus.gateway_leases import MemoryGatewayLeases
from bus.memory import MemoryBus
from chassis.errors import Unavailable
from gateway.identity.access_cache import AccessCache
from gateway.model import Connection
from gateway.protocol.close_codes import Close
from gateway.revocation.apply import ASKED, RELOADED, Revocations
from gateway.revocation.lease import GatewayLease
from hubbub.events.v1.events_pb2 import Revocation
from hubbub.messages.v1 import messages_service_pb2 as rpc
from services.gateway.tests.house import Services
from services.gateway.tests.world import TENANT, World


class Asked(Services):
    """The messages service, which records what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[rpc.OpenSessionsRequest] = []

    async def OpenSessions(self, request: rpc.OpenSessionsRequest, **_: object) -> rpc.OpenSessionsResponse:  # noqa: N802
        self.requests.append(request)
        return await super().OpenSessions(request)

    def users(self, *, admission_only: bool) -> list[str]:
        return [
            each.caller.user for request in self.requests if request.admission_only is admission_only for each in request.sessions
        ]


class Gateway:
    """A cut-off gateway with its revocations and their loops."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.world = World(group, cut_off=lambda: self.lease.cut_off)
        self.store = Asked()
        self.lease = GatewayLease(MemoryGatewayLeases(lambda: 0.0), MemoryBus(), "g")
        stub = cast(Any, self.store)
        self.revocations = Revocations(self.world.hub, self.world.registry, AccessCache(stub), stub, self.lease)
        self.tasks = [group.create_task(loop()) for loop in (self.revocations.run, self.revocations.reload)]

    def connect(self, *users: str) -> list[Connection]:
        return [self.world.connect(user) for user in users]


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with asyncio.TaskGroup() as group:
        gateway = Gateway(group)
        yield gateway
        for connection in list(gateway.world.registry.connections.values()):
            gateway.world.registry.gone(connection)
        for task in gateway.tasks:
            task.cancel()


@contextlib.asynccontextmanager
async def _soon() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


async def test_without_the_bus_only_admission_is_asked_of_users_with_something_to_send(gateway: Gateway) -> None:
    ann, _ = gateway.connect("ann", "bob")
    gateway.lease.alone = True
    gateway.world.registry.writer.send(ann, b"{}")
    async with _soon():
        await gateway.world.registry.writer.flushed()
    assert gateway.world.transports[ann].frames() == [{}]
    assert set(gateway.store.users(admission_only=True)) == {"ann"}
    assert not gateway.store.users(admission_only=False)


async def test_a_revoked_user_gets_nothing_that_was_held(gateway: Gateway) -> None:
    (ann,) = gateway.connect("ann")
    gateway.store.void.add("ann")
    gateway.lease.alone = True
    gateway.world.registry.writer.send(ann, b"{}")
    async with _soon():
        await gateway.world.registry.writer.flushed()
    assert gateway.world.transports[ann].frames() == [Close.REVOKED.code]


async def test_after_a_loss_admission_of_all_comes_before_any_session_is_opened_again(gateway: Gateway) -> None:
    users = [f"user-{number}" for number in range(ASKED + 1)]
    gateway.connect(*users)
    gateway.revocations.doubt_all()
    async with _soon():
        while len(gateway.store.users(admission_only=False)) < len(users):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)
    kinds = [request.admission_only for request in gateway.store.requests]
    assert kinds == sorted(kinds, reverse=True)
    assert kinds.count(True) == 2
    assert sorted(gateway.store.users(admission_only=True)) == sorted(gateway.store.users(admission_only=False)) == sorted(users)
    assert max(len(request.sessions) for request in gateway.store.requests if not request.admission_only) == RELOADED


async def test_pongs_and_refusals_pass_while_the_bus_is_away_and_events_do_not(gateway: Gateway) -> None:
    (ann,) = gateway.connect("ann")
    gateway.lease.alone = True
    gateway.store.failure = Unavailable()
    writer = gateway.world.registry.writer
    writer.send(ann, b'{"type":"event"}')
    writer.send_unheld(ann, b'{"type":"pong"}')
    writer.answer(ann, b'{"type":"error"}')
    await gateway.world.settle()
    assert gateway.world.transports[ann].frames() == [{"type": "pong"}, {"type": "error"}]


async def test_a_gateway_that_was_paused_sends_no_pong_before_it_has_its_lease(gateway: Gateway) -> None:
    (ann,) = gateway.connect("ann")
    gateway.world.registry.writer.send_unheld(ann, b'{"type":"pong"}')
    await gateway.world.settle()
    assert not gateway.world.transports[ann].written


async def test_a_revoked_user_who_only_pings_is_found_without_the_bus(gateway: Gateway) -> None:
    (ann,) = gateway.connect("ann")
    gateway.store.void.add("ann")
    gateway.lease.alone = True
    gateway.world.registry.writer.send_unheld(ann, b'{"type":"pong"}')
    async with _soon():
        while ann.closing is None:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)
    assert gateway.world.transports[ann].frames() == [{"type": "pong"}, Close.REVOKED.code]


async def test_what_is_not_held_is_bounded_for_a_client_that_does_not_read(gateway: Gateway) -> None:
    (ann,) = gateway.connect("ann")
    gateway.lease.alone = True
    ann.paused = True
    gateway.world.transports[ann].unread = 2 << 20
    gateway.world.registry.writer.answer(ann, b"{}")
    assert ann.closing is None
    assert not gateway.world.transports[ann].written
    gateway.world.registry.writer.send_unheld(ann, b"{}")
    assert ann.closing is Close.SLOW_CONSUMER


async def test_the_erasure_of_a_user_ends_what_is_served_from_memory(gateway: Gateway) -> None:
    world = gateway.world
    world.join("c", "ann")
    world.connect("ann")
    world.say("c", 2)
    assert world.hub.tails.size > 0
    gateway.revocations.apply(Revocation(id="1", tenant=TENANT, user="erased-1", erased=True))
    assert world.hub.tails.size == 0
