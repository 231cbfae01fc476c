"""The people of a day: who is connected, and what each of them can do."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field

import httpx

from bench.people import Issuer, People
from bench.socket_client import Frame, SocketClient
from bench.systems.hubbub import Hubbub

LAYERS = (*[10] * 6, *[30] * 3, 100)
"""Sizes of the rooms of each person."""
MEMBERS, READERS_PER_MESSAGE = 24, 3
"""Connected members whom a message reaches, and how many of them read it at once."""
_AT_ONCE = 64
_CONNECT_SECONDS = 30
_WORDS = [
    "release",
    "deploy",
    "invoice",
    "meeting",
    "coffee",
    "budget",
    "review",
    "ticket",
    "customer",
    "lunch",
    "design",
    "sprint",
    "outage",
    "backup",
    "report",
]


@dataclass(slots=True)
class Crowd:
    """The connected people, and what they do."""

    system: Hubbub
    issuer: Issuer
    people: People
    rooms: list[list[str]]
    """Ids of rooms by layer."""
    http: httpx.AsyncClient
    frames: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    clients: dict[int, SocketClient] = field(default_factory=dict)
    reading: bool = False
    """Whether some of those who receive a message read it at once."""
    dice: random.Random = field(default_factory=lambda: random.Random(1))
    _tokens: dict[int, str] = field(default_factory=dict)
    _rooms_of: dict[int, list[str]] = field(default_factory=dict)
    _near: dict[int, list[str]] = field(default_factory=dict)
    """The other members of the first small room of each person, whose presence they watch."""

    def __post_init__(self) -> None:
        for layer, (ids, members_of) in enumerate(zip(self.rooms, self.people.rooms, strict=True)):
            for room, members in zip(ids, members_of, strict=True):
                for member in members:
                    self._rooms_of.setdefault(member, []).append(room)
                    if layer == 0:
                        self._near[member] = [self.people.user(other) for other in members if other != member]

    def token(self, number: int) -> str:
        """A person's token, always the same."""
        if number not in self._tokens:
            self._tokens[number] = self.issuer.token(self.people.user(number))
        return self._tokens[number]

    async def enter(self, number: int) -> SocketClient:
        """Connect, open the flow, and watch the presence of those near."""
        loop = asyncio.get_running_loop()
        host, port = self.system.targets[0].split(":")
        _, client = await loop.create_connection(
            lambda: SocketClient(self.frames, self.token(number), self._read), host, int(port)
        )
        await asyncio.wait_for(client.opened, _CONNECT_SECONDS)
        client.send(type="watch", users=self._near[number])
        self.clients[number] = client
        return client

    def _read(self, client: SocketClient, event: Frame) -> None:
        """About three of those who receive a message read it."""
        if self.reading and event["kind"] == "message.posted" and self.dice.random() < READERS_PER_MESSAGE / MEMBERS:
            client.send(type="read", channel=event["channel"], seq=event["seq"])
            self.done["read"] += 1

    async def everyone(self) -> None:
        """Connect all."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int) -> None:
            async with slots:
                await self.enter(number)

        await asyncio.gather(*(one(number) for number in range(self.people.users)))

    def _someone(self) -> int:
        return self.dice.randrange(self.people.users)

    async def message(self) -> None:
        """Post into one of one's rooms."""
        number = self._someone()
        text = " ".join(self.dice.choices(_WORDS, k=25))
        room = self.dice.choice(self._rooms_of[number])
        self.clients[number].send(type="send", ref=1, channel=room, key=str(uuid.UUID(int=self.dice.getrandbits(128))), text=text)

    async def typing(self) -> None:
        """Type in one of one's rooms."""
        number = self._someone()
        self.clients[number].send(type="typing", channel=self.dice.choice(self._rooms_of[number]))

    async def visit(self) -> None:
        """Leave and come back."""
        number = self._someone()
        if number in self.clients:
            left = self.clients.pop(number)
            left.close()
            await left.closed
            await self.enter(number)

    async def page(self) -> None:
        """Read the newest 50 messages of a room."""
        number = self._someone()
        await self._get(number, f"/v1/channels/{self.dice.choice(self._rooms_of[number])}/messages?limit=50")

    async def channels(self) -> None:
        """Read the first page of one's channels."""
        await self._get(self._someone(), "/v1/channels")

    async def find_people(self) -> None:
        """Find people by the beginning of a name."""
        await self._get(self._someone(), f"/v1/users?q=Person {self.dice.randrange(10, 1000)}")

    async def search(self) -> None:
        """Search for a word."""
        await self._get(self._someone(), f"/v1/search?q={self.dice.choice(_WORDS)}")

    async def _get(self, number: int, path: str) -> None:
        answer = await self.http.get(path, headers={"Authorization": f"Bearer {self.token(number)}"})
        answer.raise_for_status()
