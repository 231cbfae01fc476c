"""Presence as a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from hubbub.presence.v1 import presence_pb2
from hubbub.presence.v1 import presence_service_pb2 as messages
from hubbub.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from presence.app import SERVICE
from services.presence.tests.conftest import user
from stack import ports, probes


@pytest.fixture
def environment(valkey_url: str) -> dict[str, str]:
    listen, ops = ports.free(2)
    return {
        **os.environ,
        "HUBBUB_PRESENCE_REDIS_URL": valkey_url,
        "HUBBUB_PRESENCE_LISTEN": f"127.0.0.1:{listen}",
        "HUBBUB_OPS_LISTEN": f"127.0.0.1:{ops}",
        "HUBBUB_INSTANCE": "presence",
    }


@contextlib.asynccontextmanager
async def _process(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run presence and yield the process once its health check reports SERVING."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "presence", env=environment)
    try:
        async with _channel(environment) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)  # ships no types
            request = health_pb2.HealthCheckRequest(service=SERVICE)
            answer = await health.Check(request, wait_for_ready=True, timeout=60)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _channel(environment: dict[str, str]) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(environment["HUBBUB_PRESENCE_LISTEN"])


def _state() -> messages.AttachRequest:
    ada = messages.ConnectionChange(user=user("ada"), connection="c", status=presence_pb2.STATUS_ONLINE)
    return messages.AttachRequest(lease=messages.Lease(gateway="g"), changes=[ada], watch=[user("ada")])


async def test_stopping_ends_attachments_and_exits_with_0(environment: dict[str, str]) -> None:
    async with _process(environment) as process, _channel(environment) as channel:
        call = PresenceServiceStub(channel).Attach()
        await call.write(_state())
        await call.read()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
            assert await process.wait() == 0


async def test_presences_survive_a_killed_process(environment: dict[str, str]) -> None:
    async with _process(environment) as process, _channel(environment) as channel:
        call = PresenceServiceStub(channel).Attach()
        await call.write(_state())
        await call.read()
        process.kill()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
    async with _process(environment), _channel(environment) as channel:
        request = messages.GetPresenceRequest(users=[user("ada")])
        answer = await PresenceServiceStub(channel).GetPresence(request, timeout=5)
        assert answer.presences[0].status == presence_pb2.STATUS_ONLINE


async def test_readiness_and_metrics_are_served(environment: dict[str, str]) -> None:
    host, _, port = environment["HUBBUB_OPS_LISTEN"].partition(":")
    async with _process(environment), asyncio.timeout(15):
        while not await probes.http_ok(host, int(port), "/readyz"):
            pass  # each request takes the time of a pause
        assert await probes.http_ok(host, int(port), "/metrics")


async def test_invalid_settings_are_named(environment: dict[str, str]) -> None:
    del environment["HUBBUB_PRESENCE_REDIS_URL"]
    environment["HUBBUB_PRESENCE_LISTEN"] = "nowhere"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "presence", env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, problems = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 2
    assert b"HUBBUB_PRESENCE_REDIS_URL" in problems
    assert b"HUBBUB_PRESENCE_LISTEN" in problems
