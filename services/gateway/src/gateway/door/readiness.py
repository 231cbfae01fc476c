"""Keeps `/readyz` up to date: ready means following the bus and reaching the bus and the messages service."""

from __future__ import annotations

import asyncio

import structlog

from bus.bus import Bus, BusError
from chassis.errors import HubbubError
from chassis.grpc_client import call
from chassis.lifecycle import Lifecycle
from hubbub.messages.v1.messages_service_pb2 import GetHeadsRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
EVERY_SECONDS = 1.0
ANSWER_SECONDS = 2.0


async def watch(lifecycle: Lifecycle, bus: Bus, messages: MessagesServiceStub, following: asyncio.Event) -> None:
    """Check every second, forever."""
    await following.wait()
    while True:
        before = lifecycle.state
        lifecycle.set_ready(await _reachable(bus, messages))
        if lifecycle.state is not before:
            log.info("readiness_changed", state=lifecycle.state.value)
        await asyncio.sleep(EVERY_SECONDS)


async def _reachable(bus: Bus, messages: MessagesServiceStub) -> bool:
    try:
        await bus.ping()
        await call(messages.GetHeads, GetHeadsRequest(), timeout=ANSWER_SECONDS)
    except (BusError, HubbubError):
        return False
    return True
