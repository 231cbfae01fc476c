"""A tenant for one test on the running stack, with helpers that create users, channels and messages."""

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from stack import Stack
from tests.client import Api, Closed, Refusal, Socket, connect, login
from tests.client.socket import Way


@dataclass(frozen=True, slots=True)
class World:
    """One test's tenant."""

    stack: Stack
    urls: list[str]
    """Addresses of the two gateways."""
    http: httpx.AsyncClient
    tenant: str

    async def person(self, user: str = "ann", gateway: int = 0, **fields: Any) -> Api:
        """A user who has signed in at a gateway."""
        return await login(self.http, self.urls[gateway], user, **{"tenant": self.tenant, **fields})

    async def people(self, *names: str) -> list[Api]:
        """Several users, alternating between the two gateways."""
        return [await self.person(name, number % 2) for number, name in enumerate(names)]

    async def room(self, owner: Api, *members: Api, kind: str = "group", **fields: Any) -> str:
        """A channel with these members."""
        name = {} if kind == "direct" else {"name": "a room"}
        return await owner.create(kind, **{**name, "members": [member.user for member in members], **fields})

    def elsewhere(self, api: Api) -> Api:
        """The same user at the other gateway."""
        return api.at(next(url for url in self.urls if url != api.url))

    def target(self, service: str = "messages") -> str:
        """The address of a service's gRPC server."""
        services = self.stack.endpoints["services"]
        assert isinstance(services, dict)
        return str(services[service])

    async def metrics(self, process: str = "gateway-0") -> str:
        """A process's metrics, at most a second old."""
        return (await self.http.get(f"{self.stack.ops_url(process)}/metrics")).text

    def anonymous(self, gateway: int = 0) -> Api:
        """A caller without a token."""
        return Api(self.urls[gateway], None, self.http)


@contextlib.asynccontextmanager
async def live(api: Api, **positions: int) -> AsyncIterator[Socket]:
    """An open connection whose flow is open."""
    async with connect(api) as socket:
        await socket.open(**positions)
        yield socket


async def keep_alive(socket: Socket) -> None:
    """Send heartbeats until the connection ends."""
    with contextlib.suppress(Closed):
        while True:
            await socket.round_trip()
            await asyncio.sleep(socket.hello["heartbeat_seconds"] / 3)


async def refusal(api: Api, way: Way = "header", **options: Any) -> Refusal:
    """The refusal of the upgrade; fails if the gateway accepts it."""
    with pytest.raises(Refusal) as caught:
        async with connect(api, way, **options):
            pass
    return caught.value


async def eventually(look: Callable[[], Awaitable[Any]], within: float = 10.0) -> Any:
    """Poll until `look` returns something true, and return it. For state that no frame announces."""
    async with asyncio.timeout(within):
        while not (found := await look()):  # noqa: ASYNC110 (nothing announces it)
            await asyncio.sleep(0.05)
        return found


async def flood(authors: list[Api], channel: str, count: int, text: str = "flood") -> int:
    """Post `count` messages over sockets, as fast as the rate limit allows; returns the head afterwards."""
    numbers = itertools.count()

    async def write(author: Api) -> int:
        seq = 0
        async with connect(author) as socket:
            while next(numbers) < count:
                seq = await insist(socket, channel, text)
        return seq

    return max(await asyncio.gather(*map(write, authors)))


async def insist(socket: Socket, channel: str, text: str, key: str = "") -> int:
    """Post a message and retry while the server asks to wait; returns its number."""
    key = key or str(uuid.uuid4())
    while True:
        answer = await socket.post(channel, key, text)
        if answer["type"] == "ack":
            return int(answer["seq"])
        await asyncio.sleep(answer["retry_after"])


def texts(messages: list[dict[str, Any]]) -> list[str | None]:
    """The texts on a page of history, oldest first."""
    return [message["text"] for message in reversed(messages)]
