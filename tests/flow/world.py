"""Where a flow test lives: a tenant of its own on the session's stack, and the people it calls into being."""

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
    """Of the two gateways."""
    http: httpx.AsyncClient
    tenant: str

    async def person(self, user: str = "ann", gateway: int = 0, **fields: Any) -> Api:
        """Somebody who has signed in at a gateway, and so is known."""
        return await login(self.http, self.urls[gateway], user, **{"tenant": self.tenant, **fields})

    async def people(self, *names: str) -> list[Api]:
        """Several, at the two gateways in turn."""
        return [await self.person(name, number % 2) for number, name in enumerate(names)]

    async def room(self, owner: Api, *members: Api, kind: str = "group", **fields: Any) -> str:
        """A channel of these people."""
        name = {} if kind == "direct" else {"name": "a room"}
        return await owner.create(kind, **{**name, "members": [member.user for member in members], **fields})

    def elsewhere(self, api: Api) -> Api:
        """The same person at the other gateway."""
        return api.at(next(url for url in self.urls if url != api.url))

    def target(self, service: str = "messages") -> str:
        """Where a service answers gRPC."""
        services = self.stack.endpoints["services"]
        assert isinstance(services, dict)
        return str(services[service])

    async def metrics(self, process: str = "gateway-0") -> str:
        """A process's metrics, at most a second old."""
        return (await self.http.get(f"{self.stack.ops_url(process)}/metrics")).text

    def anonymous(self, gateway: int = 0) -> Api:
        """Nobody."""
        return Api(self.urls[gateway], None, self.http)


@contextlib.asynccontextmanager
async def live(api: Api, **positions: int) -> AsyncIterator[Socket]:
    """An open connection whose flow is open."""
    async with connect(api) as socket:
        await socket.open(**positions)
        yield socket


async def keep_alive(socket: Socket) -> None:
    """Be heard in every heartbeat, until the connection ends."""
    with contextlib.suppress(Closed):
        while True:
            await socket.round_trip()
            await asyncio.sleep(socket.hello["heartbeat_seconds"] / 3)


async def refusal(api: Api, way: Way = "header", **options: Any) -> Refusal:
    """How the upgrade is refused; fails when it is not."""
    with pytest.raises(Refusal) as caught:
        async with connect(api, way, **options):
            pass
    return caught.value


async def eventually(look: Callable[[], Awaitable[Any]], within: float = 10.0) -> Any:
    """Look again and again until something is there, where no frame could tell; returns it."""
    async with asyncio.timeout(within):
        while not (found := await look()):  # noqa: ASYNC110 (nothing else tells)
            await asyncio.sleep(0.05)
        return found


async def flood(authors: list[Api], channel: str, count: int, text: str = "flood") -> int:
    """Post `count` messages over sockets, as fast as their authors' allowance lets them; returns the head afterwards."""
    numbers = itertools.count()

    async def write(author: Api) -> int:
        seq = 0
        async with connect(author) as socket:
            while next(numbers) < count:
                seq = await insist(socket, channel, text)
        return seq

    return max(await asyncio.gather(*map(write, authors)))


async def insist(socket: Socket, channel: str, text: str, key: str = "") -> int:
    """Post a message, as often as the server asks to wait; returns its number."""
    key = key or str(uuid.uuid4())
    while True:
        answer = await socket.post(channel, key, text)
        if answer["type"] == "ack":
            return int(answer["seq"])
        await asyncio.sleep(answer["retry_after"])


def texts(messages: list[dict[str, Any]]) -> list[str | None]:
    """The texts of a page of history, oldest first."""
    return [message["text"] for message in reversed(messages)]
