"""Errors over a real gRPC connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from chassis import errors
from chassis.config import Address, ProcessConfig, load
from chassis.context import current_request_id, request
from chassis.grpc_client import call, open_channel
from chassis.grpc_server import serve
from hubbub.presence.v1 import presence_service_pb2 as presence
from hubbub.presence.v1 import presence_service_pb2_grpc as presence_grpc

NAME = "hubbub.presence.v1.PresenceService"
Context = grpc.aio.ServicerContext[Any, Any]


class Scripted(presence_grpc.PresenceServiceServicer):
    """Answers a call as the test sets it up."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.seen: str | None = None

    async def GetPresence(  # noqa: N802 - the proto's name
        self,
        request: presence.GetPresenceRequest,  # noqa: ARG002 - the proto's signature
        context: Context,  # noqa: ARG002
    ) -> presence.GetPresenceResponse:
        self.seen = current_request_id()
        await self.hold.wait()
        if self.error:
            raise self.error
        return presence.GetPresenceResponse()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Scripted, grpc.aio.Channel]]:
    service = Scripted()  # type: ignore[abstract]  # only GetPresence is called
    config = load(ProcessConfig, {"HUBBUB_DRAIN_SECONDS": "1"})
    add = lambda server: presence_grpc.add_PresenceServiceServicer_to_server(service, server)  # noqa: E731
    async with (
        serve(config, Address("127.0.0.1", 0), add, [NAME], callers=None) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield service, channel


async def ask(channel: grpc.aio.Channel, seconds: float = 5.0) -> None:
    stub = presence_grpc.PresenceServiceStub(channel)
    await call(stub.GetPresence, presence.GetPresenceRequest(), timeout=seconds)


@pytest.mark.parametrize("error", errors.ALL, ids=lambda error: error.reason)
async def test_an_expected_error_arrives_as_itself(
    error: type[errors.HubbubError], served: tuple[Scripted, grpc.aio.Channel]
) -> None:
    service, channel = served
    service.error = error("because", retry_after=2.5)
    with pytest.raises(error) as caught:
        await ask(channel)
    assert type(caught.value) is error
    assert (caught.value.detail, caught.value.retry_after) == ("because", 2.5)


async def test_a_defect_arrives_as_internal_without_details(served: tuple[Scripted, grpc.aio.Channel]) -> None:
    service, channel = served
    service.error = ZeroDivisionError("the secret is 42")
    with pytest.raises(errors.Internal) as caught:
        await ask(channel)
    assert "42" not in caught.value.detail


async def test_a_call_past_its_deadline_is_unavailable(served: tuple[Scripted, grpc.aio.Channel]) -> None:
    service, channel = served
    service.hold.clear()
    with pytest.raises(errors.Unavailable):
        await ask(channel, seconds=0.05)


async def test_an_unreachable_service_is_unavailable() -> None:
    async with open_channel("127.0.0.1:1") as channel:
        with pytest.raises(errors.Unavailable):
            await ask(channel)


async def test_the_request_id_is_passed_on(served: tuple[Scripted, grpc.aio.Channel]) -> None:
    service, channel = served
    with request("g1-7.3"):
        await ask(channel)
    assert service.seen == "g1-7.3"


async def test_health_is_served(served: tuple[Scripted, grpc.aio.Channel]) -> None:
    _, channel = served
    answer = await health_pb2_grpc.HealthStub(channel).Check(  # type: ignore[attr-defined]  # ships no types
        health_pb2.HealthCheckRequest(service=NAME), timeout=5
    )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
