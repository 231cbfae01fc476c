"""Creates users and channels in Hubbub over gRPC."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TypeVar

import grpc.aio

from bench.people import TENANT, People
from hubbub.messages.v1 import messages_pb2, messages_service_pb2, messages_service_pb2_grpc

_ADMIT_BATCH = 200
_ADD_BATCH = 200
"""The maximum of AddMembers."""
_CONCURRENT_CALLS = 16
_CALL_SECONDS = 60

_Item = TypeVar("_Item")


async def provision(channel: grpc.aio.Channel, people: People) -> list[list[str]]:
    """Admit every user and create every room. Return the channel ids by layer. Raises grpc.aio.AioRpcError."""
    messages = messages_service_pb2_grpc.MessagesServiceStub(channel)
    for numbers in _batches(range(people.users), _ADMIT_BATCH):
        sessions = [messages_service_pb2.AdmitUserRequest(caller=_caller(people.user(number))) for number in numbers]
        await messages.OpenSessions(messages_service_pb2.OpenSessionsRequest(sessions=sessions), timeout=_CALL_SECONDS)
    limit = asyncio.Semaphore(_CONCURRENT_CALLS)
    ids: list[list[str]] = []
    for number, rooms in enumerate(people.rooms):
        names = [[people.user(member) for member in members] for members in rooms]
        made = (_make(messages, limit, f"{people.name} {number}", members) for members in names)
        ids.append(list(await asyncio.gather(*made)))
    return ids


async def _make(
    messages: messages_service_pb2_grpc.MessagesServiceStub, limit: asyncio.Semaphore, name: str, members: Sequence[str]
) -> str:
    owner = _caller(members[0])
    first, *others = list(_batches(members[1:], _ADD_BATCH)) or [[]]
    async with limit:
        create = messages_service_pb2.CreateChannelRequest(
            caller=owner, kind=messages_pb2.CHANNEL_KIND_GROUP, name=name, members=first
        )
        channel: str = (await messages.CreateChannel(create, timeout=_CALL_SECONDS)).channel.id
        for users in others:
            add = messages_service_pb2.AddMembersRequest(caller=owner, channel=channel, users=users)
            await messages.AddMembers(add, timeout=_CALL_SECONDS)
    return channel


def _caller(user: str) -> messages_pb2.Caller:
    return messages_pb2.Caller(tenant=TENANT, user=user)


def _batches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
