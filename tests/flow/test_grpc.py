"""gRPC for other products: an identity and the protos are enough, and the program in docs/grpc.md runs as printed."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2
from joserfc.jwk import OKPKey

from chassis.grpc_client import open_channel
from chassis.identity import Identity
from chassis.scopes import NEEDED
from hubbub.events.v1.events_pb2 import PostMessage
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as calls
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from stack.callers import PRODUCT, key_file
from tests.flow.world import World, eventually, live, texts

PAGE = Path(__file__).parents[2] / "docs" / "grpc.md"


@pytest.fixture
async def messages(world: World) -> AsyncIterator[MessagesServiceStub]:
    async with world.stack.channel("messages") as channel:
        yield MessagesServiceStub(channel)


async def test_the_program_in_the_documentation_works(world: World) -> None:
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    variables = {"HUBBUB_MESSAGES_TARGET": world.target(), "HUBBUB_PRODUCT_KEY_FILE": str(key_file(world.stack.data, PRODUCT))}
    environment = {**os.environ, **variables}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", block.group(1), env=environment, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert re.search(r"\d+ \[.*\]", out.decode()), out


async def test_a_message_posted_over_grpc_reaches_sockets_and_history(world: World, messages: MessagesServiceStub) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    caller = nouns.Caller(tenant=world.tenant, user="ann")
    request = calls.PostMessageRequest(caller=caller, channel=room, key="once", message=PostMessage(text="over gRPC"))
    async with live(bob) as there, live(ann) as here:
        posted = await messages.PostMessage(request, timeout=5)
        event = await there.expect("event", kind="message.posted")
        assert (event["seq"], event["data"]["text"], event["data"]["key"]) == (posted.seq, "over gRPC", "once")
        again = await messages.PostMessage(request, timeout=5)
        assert (again.seq, again.duplicate) == (posted.seq, True)
        assert (await here.post(room, "once", "over gRPC"))["duplicate"] is True
    assert texts(await bob.messages(room)) == ["over gRPC"]
    history = await messages.ListMessages(calls.ListMessagesRequest(caller=caller, channel=room), timeout=5)
    assert [message.text for message in history.messages] == ["over gRPC"]


@pytest.mark.parametrize("channel", ["01900000-0000-7000-8000-000000000000", "no-uuid"])
async def test_errors_carry_the_protocols_reason(world: World, messages: MessagesServiceStub, channel: str) -> None:
    await world.person("ann")
    caller = nouns.Caller(tenant=world.tenant, user="ann")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await messages.GetChannel(calls.GetChannelRequest(caller=caller, channel=channel), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    trailers = {name: value for name, value in caught.value.trailing_metadata() if isinstance(value, bytes)}
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert (info.reason, info.domain) == ("NOT_FOUND", "hubbub")


@pytest.mark.parametrize("service", ["messages", "feed", "presence", "media", "integrations"])
async def test_every_service_answers_the_health_question(world: World, service: str) -> None:
    async with grpc.aio.insecure_channel(world.target(service)) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("service", ["messages", "feed", "presence", "media", "integrations"])
async def test_a_caller_without_an_identity_is_refused(world: World, service: str) -> None:
    unknown = Identity(PRODUCT, OKPKey.generate_key("Ed25519"))
    for identity in (None, unknown):
        async with open_channel(world.target(service), identity) as channel:
            for path in (path for path in NEEDED if f".{service.capitalize()}Service/" in path):
                call: Any = channel.unary_unary(path)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call(b"", timeout=5)
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED, path


async def test_a_product_may_call_what_its_scopes_allow_and_nothing_of_the_gateways(
    world: World, messages: MessagesServiceStub
) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    caller = nouns.Caller(tenant=world.tenant, user="ann")
    post = calls.PostMessageRequest(caller=caller, channel=room, key="k", message=PostMessage(text="a fine offer"))
    assert (await messages.PostMessage(post, timeout=5)).seq
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await messages.FetchEvents(calls.FetchEventsRequest(tenant=world.tenant, channel=room), timeout=5)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_products_calls_carry_its_name_in_logs_metrics_and_audit(world: World, messages: MessagesServiceStub) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    message = (await bob.post(room, "x"))["message"]
    caller = nouns.Caller(tenant=world.tenant, user="ann")
    delete = calls.DeleteMessageRequest(caller=caller, channel=room, message=message)
    marked = (("x-request-id", f"audit-{world.tenant}"),)
    await messages.DeleteMessage(delete, metadata=marked, timeout=5)
    await messages.BanUser(calls.BanUserRequest(caller=caller, channel=room, user="bob", reason="spam"), timeout=5)
    await ann.ok("DELETE", f"/v1/channels/{room}/bans/bob", status=204)

    root = await world.person("root", roles=["admin"])
    recorded = [
        (each["action"], json.loads(each["details"]).get("via")) for each in (await root.ok("GET", "/v1/admin/audit"))["items"]
    ]
    assert recorded == [("message.deleted", PRODUCT), ("member.banned", PRODUCT), ("member.unbanned", None)]
    line = await eventually(lambda: logged(world, marked[0][1]))
    assert f"caller={PRODUCT}" in line
    assert "method=/hubbub.messages.v1.MessagesService/DeleteMessage" in line
    counted = await world.metrics("messages-api")
    assert re.search(r'hubbub_rpc_calls_total\{caller="product",status="OK"\} [1-9]', counted)
    assert re.search(r'hubbub_rpc_calls_total\{caller="gateway",status="OK"\} [1-9]', counted)


async def logged(world: World, request_id: str) -> str:
    """The log line of a call, once it has been written."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", world.stack.log)
    return next((line for line in plain.splitlines() if "rpc_answered" in line and f"request_id={request_id}" in line), "")
