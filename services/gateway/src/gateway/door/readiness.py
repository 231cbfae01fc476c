"""Keeps `/readyz` up to date: ready means that this gateway follows a bus on which it can work.

An outage of the bus or of the messages service is named in the body of `/readyz` and does not make the gateway unready: it would
be the same for every gateway, and what does not need the store or the bus that is away goes on.
"""

from __future__ import annotations

import asyncio

from bus.bus import Bus
from bus.usable import usable
from chassis.grpc_client import call
from chassis.lifecycle import Check, Lifecycle, Unusable, keep_ready
from gateway.config import Config
from gateway.hub.epoch import StoreEpoch
from hubbub.messages.v1.messages_service_pb2 import GetHeadsRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

ANSWER_SECONDS = 2.0


async def watch(
    lifecycle: Lifecycle,
    config: Config,
    bus: Bus,
    messages: MessagesServiceStub,
    *,
    epoch: StoreEpoch,
    following: asyncio.Event,
) -> None:
    """Check twice a second, until stopping. So a gateway learns of a new epoch of the store within a second, without traffic."""
    bus_usable = usable(bus, config.bus_partitions, durable=config.production)

    async def answers() -> None:
        answer = await call(messages.GetHeads, GetHeadsRequest(), timeout=ANSWER_SECONDS)
        if not epoch.accept(answer.epoch):
            raise Unusable("it reads a store of an earlier epoch than this gateway has seen")

    started = _started(following, bus_usable)
    await keep_ready(lifecycle, {"start": started}, {"bus": bus_usable, "messages api": answers})


def _started(following: asyncio.Event, bus_usable: Check) -> Check:
    """Return a check that passes for good once the gateway follows the bus and could use it."""
    passed = False

    async def check() -> None:
        nonlocal passed
        if passed:
            return
        if not following.is_set():
            raise Unusable("the bus is not followed yet")
        await bus_usable()
        passed = True

    return check
