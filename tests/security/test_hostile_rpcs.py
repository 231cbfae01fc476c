"""Hostile values in every field of every RPC: an expected status, never an internal error, and no effect on others.

The requests are generated from the protos, so a new RPC is tested as soon as it is added.
"""

import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chassis.identity import GATEWAY
from hubbub.events.v1.events_pb2 import Role
from hubbub.integrations.v1 import integrations_service_pb2
from hubbub.media.v1 import media_service_pb2
from hubbub.media.v1.media_pb2 import LinkVariant
from hubbub.messages.v1 import feed_service_pb2, messages_service_pb2
from hubbub.messages.v1.messages_pb2 import ChannelKind, History, ReportResolution
from hubbub.presence.v1 import presence_service_pb2
from stack.callers import PRODUCT
from tests.flow.world import World
from tests.security.hostile import MEGABYTE, STRANGE

SERVICES = {
    name: module.DESCRIPTOR.services_by_name[f"{name.capitalize()}Service"]
    for name, module in (
        ("messages", messages_service_pb2),
        ("feed", feed_service_pb2),
        ("media", media_service_pb2),
        ("presence", presence_service_pb2),
        ("integrations", integrations_service_pb2),
    )
}
CALLERS = {"feed": PRODUCT}
"""Who may call a service, if not a gateway."""
METHODS = [(name, method) for name, service in SERVICES.items() for method in service.methods if not method.server_streaming]
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
}
HOSTILE = {"a NUL": "a\x00b", "a megabyte": MEGABYTE, "nothing": "", "129 characters": "x" * 129, **STRANGE}
LARGEST = {
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT64: ((1 << 64) - 1,),
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_UINT32: ((1 << 32) - 1,),
    FieldDescriptor.CPPTYPE_DOUBLE: (float("nan"), float("inf"), -1e308),
    FieldDescriptor.CPPTYPE_ENUM: (99, -1),
}

NUMBERS = {
    "size": 1,
    "limit": 1,
    "page_size": 1,
    "seconds": 5,
    "slow_mode_seconds": 0,
    "kind": ChannelKind.CHANNEL_KIND_GROUP,
    "history": History.HISTORY_ALL,
    "role": Role.ROLE_MEMBER,
    "resolution": ReportResolution.REPORT_RESOLUTION_ACTED,
    "variant": LinkVariant.LINK_VARIANT_ORIGINAL,
}
"""Numbers that a request needs to be valid."""


def places(message: type[Message], depth: int = 3) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every scalar field of a request, as a path of names."""
    fields: list[Any] = list(message.DESCRIPTOR.fields)
    for field in fields:
        if field.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE:
            yield (field.name,), field
        elif depth and not field.message_type.full_name.startswith("google."):
            for path, inner in places(GetMessageClass(field.message_type), depth - 1):
                yield (field.name, *path), inner


def fit(message: Message, values: dict[str, str]) -> Message:
    """Fill in what a valid request needs: the caller, channel, message, user and upload."""
    fields: list[Any] = list(message.DESCRIPTOR.fields)
    for field in fields:
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            if not field.is_repeated and not field.containing_oneof and not field.message_type.full_name.startswith("google."):
                fit(getattr(message, field.name), values)
                getattr(message, field.name).SetInParent()
        elif field.name in values and not field.is_repeated and field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            setattr(message, field.name, values[field.name])
        elif field.name in NUMBERS and not field.is_repeated:
            setattr(message, field.name, NUMBERS[field.name])
    return message


def put(message: Any, path: tuple[str, ...], value: Any) -> None:
    """Set the field at a path; a repeated one gets one item."""
    for name in path[:-1]:
        inner = getattr(message, name)
        message = inner.add() if hasattr(inner, "add") else inner
    found = getattr(message, path[-1])
    if hasattr(found, "append"):
        found.append(value)
    else:
        setattr(message, path[-1], value)


async def status(channel: grpc.aio.Channel, method: MethodDescriptor, request: Message) -> tuple[grpc.StatusCode, str]:
    """The status of a call."""
    call: Any = channel.unary_unary(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    try:
        await call(request, timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


async def named(world: World) -> dict[str, str]:
    """Existing objects."""
    ann = await world.person("ann", roles=["admin"])
    await world.person("bob")
    room = await ann.create("group", name="a room", members=["bob"])
    message = (await ann.post(room, "x"))["message"]
    upload = await ann.ok("POST", "/v1/uploads", {"name": "a", "size": 1, "type": "text/plain", "channel": room}, 201)
    return {
        "tenant": world.tenant,
        "user": "ann",
        "key": "k",
        "text": "x",
        "emoji": "x",
        "channel": room,
        "message": message,
        "upload": upload["id"],
        "thread": message,
        "name": "a.txt",
        "type": "text/plain",
        "query": "x",
        "reason": "r",
        "url": "https://hooks.example.com/",
        "webhook": str(uuid.uuid4()),
        "command": str(uuid.uuid4()),
        "endpoint": str(uuid.uuid4()),
        "block": "b",
        "value": "v",
        "bot": "bot:x",
        "token": "x",
        "delivery": "",
    }


@pytest.mark.parametrize(("service", "method"), METHODS, ids=[f"{name}.{method.name}" for name, method in METHODS])
async def test_a_hostile_value_in_any_field_gets_an_expected_status(world: World, service: str, method: MethodDescriptor) -> None:
    values = await named(world)
    make = GetMessageClass(method.input_type)
    async with world.stack.channel(service, CALLERS.get(service, GATEWAY)) as channel:
        for path, field in places(make):
            text = field.cpp_type == FieldDescriptor.CPPTYPE_STRING and field.type == FieldDescriptor.TYPE_STRING
            numbers = {str(number): number for number in LARGEST.get(field.cpp_type, ())}
            for what, value in (HOSTILE if text else numbers).items():
                request = fit(make(), values)
                put(request, path, value)
                code, details = await status(channel, method, request)
                assert code in EXPECTED, (".".join(path), what, code, details)


async def test_bytes_that_are_no_request_are_refused(world: World) -> None:
    for service, method in METHODS:
        if not method.input_type.fields:  # any field is an unknown one, which protobuf accepts
            continue
        async with world.stack.channel(service, CALLERS.get(service, GATEWAY)) as channel:
            call: Any = channel.unary_unary(f"/{method.containing_service.full_name}/{method.name}")
            for junk in (b"\xff" * 64, b"\x0a\xff\xff\xff\x7f", b"\x0a\x02\xed\xa0", b"\x0b" * 500):
                with pytest.raises(grpc.aio.AioRpcError):
                    await call(junk, timeout=10)
