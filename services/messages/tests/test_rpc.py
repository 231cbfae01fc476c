"""The service over gRPC, as another product calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from chassis.config import Address
from chassis.errors import NotFound, SlowMode, TooLarge
from chassis.grpc_client import call, open_channel, stream
from chassis.grpc_server import serve
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from messages.config import ApiConfig
from messages.revocations import Revocations
from messages.service import SERVICE_NAME, add_service
from services.messages.tests.conftest import Town, refused


@pytest.fixture
async def stub(town: Town) -> AsyncIterator[MessagesServiceStub]:
    listen = Address("127.0.0.1", 0)
    config = ApiConfig(database_url=town.url, bus_url="", listen=listen)  # type: ignore[arg-type]

    def add(server: grpc.aio.Server) -> None:
        add_service(server, town.database, town.publisher, Revocations(town.publisher, town.gateways))

    async with serve(config, listen, add, [SERVICE_NAME], callers=None) as port:
        channel = open_channel(f"127.0.0.1:{port}")
        yield MessagesServiceStub(channel)
        await channel.close()


async def test_another_product_posts_and_reads_with_only_the_protos(town: Town, stub: MessagesServiceStub) -> None:
    channel = await town.channel("ann")
    post = rpc.PostMessageRequest(caller=town.caller("ann"), channel=channel, key="k", message=events.PostMessage(text="hi"))
    posted = await call(stub.PostMessage, post, timeout=5)
    history = rpc.ListMessagesRequest(caller=town.caller("ann"), channel=channel)
    (message,) = (await call(stub.ListMessages, history, timeout=5)).messages
    assert (message.id, message.text, message.seq) == (posted.message, "hi", posted.seq)


async def test_catching_up_streams(town: Town, stub: MessagesServiceStub) -> None:
    channel = await town.channel("ann")
    request = rpc.CatchUpRequest(caller=town.caller("ann"), limit=10, positions=[rpc.Position(channel=channel, seq=0)])
    first, second = [answer async for answer in stream(stub.CatchUp, request, timeout=5)]
    assert [each.status for each in first.statuses] == [rpc.RESUME_STATUS_COMPLETE]
    assert [event.seq for event in second.events] == [1, 2]


async def test_errors_arrive_with_status_and_reason(town: Town, stub: MessagesServiceStub) -> None:
    channel = await town.channel("ann", "bob")
    update = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=channel, slow_mode_seconds=60)
    await call(stub.UpdateChannel, update, timeout=5)
    post = rpc.PostMessageRequest(caller=town.caller("bob"), channel=channel, message=events.PostMessage(text="x"))
    await call(stub.PostMessage, post, timeout=5)
    assert 0 < (await refused(call(stub.PostMessage, post, timeout=5), SlowMode)).retry_after <= 60
    post.message.text = "x" * 20_000
    await refused(call(stub.PostMessage, post, timeout=5), TooLarge)
    post.channel = "no-id"
    await refused(call(stub.PostMessage, post, timeout=5), NotFound)
