"""The active users of a run: writers, who retry each post until it is answered, and registrars, who remove and readmit visitors.

Writers use the Python client, registrars the tests' own. All they do goes into the `Record`.
Readers are in `crowd`, faults in `nemesis`.
"""

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

import hubbub_client
from hubbub_client import Client, NoAnswer, Stored
from tests.client import Answer, Api, Closed, Mismatch, Refusal
from tests.faults import library
from tests.faults.grpc_door import Door
from tests.faults.library import Attempts
from tests.faults.record import TRANSIENT, Acked, Attempt, Fence, Outcome, Peek, Record, Refused

NO_ANSWER = (Closed, Refusal, OSError, TimeoutError, httpx.TransportError)
"""Exceptions of a server that is unreachable or goes away."""
_THINK_SECONDS = 0.05
_RETRY_SECONDS = 0.2
_ANSWER_SECONDS = 10.0
_ABSENCE_SECONDS = (0.3, 3.0)
_PEEK_SECONDS = 0.1
_EMOJI = ("👍", "🎉", "👀")


@dataclass(frozen=True, slots=True)
class Post:
    """A post without its final answer."""

    channel: str
    key: str
    text: str
    began: float


@dataclass(slots=True)
class Writer:
    """Sends one command after the other over the Python client, and retries each post with its key until its final answer."""

    api: Api
    urls: Sequence[str]
    """The gateways: each connection goes to the next one."""
    channels: Sequence[str]
    record: Record
    dice: random.Random
    stopping: asyncio.Event
    """Set when no new command may begin."""
    door: Door | None = None
    """The gRPC client, if there is one."""
    pending: Post | None = None
    """The post that has no final answer yet."""
    slowest_seconds: float = 0.0
    """The longest time from a post's first sending to its final answer."""
    _mine: list[tuple[str, str]] = field(default_factory=list)
    """Channel and id of its messages that are stored and not deleted."""
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    """Counter for its texts."""
    _turns: Iterator[str] = field(init=False)
    """The gateway for each post over HTTP."""

    def __post_init__(self) -> None:
        self._turns = itertools.cycle(self.urls)

    async def run(self) -> None:
        """Write until stopped and nothing is pending. Raises Ended if the client gives up, which no fault of a run allows."""
        async with library.client(self.api, self.urls, Attempts(self.api.user, self.record)) as client:
            while self.pending is not None or not self.stopping.is_set():
                if self.pending is None and self._mine and self.dice.random() < 0.25:
                    await self._change(client)
                else:
                    await self._post(client)
                await asyncio.sleep(self.dice.uniform(0, 2 * _THINK_SECONDS))

    async def _post(self, client: Client) -> None:
        if self.pending is None:
            text = f"{self.api.user} says {next(self._count)}: {'é' * self.dice.choice((0, 1, 500))}"
            self.pending = Post(self.dice.choice(self.channels), str(uuid.uuid4()), text, time.monotonic())
        post, way = self.pending, self.dice.random()
        if way < 0.1:
            outcome = await self._beside(post, lambda: _over_http(self.api.at(next(self._turns)), post))
        elif way < 0.2 and (door := self.door) is not None:
            outcome = await self._beside(post, lambda: door.post(post.channel, post.key, post.text))
        else:
            outcome = await _answer(client.send(post.channel, post.text, key=post.key, within=_ANSWER_SECONDS))
        if outcome is None or (isinstance(outcome, Refused) and outcome.reason in TRANSIENT):
            await asyncio.sleep(_RETRY_SECONDS)
            return
        self.pending = None
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - post.began)
        if isinstance(outcome, Acked):
            self._mine.append((post.channel, outcome.message))

    async def _change(self, client: Client) -> None:
        index = self.dice.randrange(len(self._mine))
        channel, message = self._mine[index]
        match self.dice.randrange(3):
            case 0:
                await _answer(client.edit(channel, message, f"edited {next(self._count)}"))
            case 1:
                await _answer(client.react(channel, message, self.dice.choice(_EMOJI)))
            case _:
                del self._mine[index]
                await _answer(client.delete(channel, message))

    async def _beside(self, post: Post, ask: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Post by another way than the client, and record the attempt."""
        began, outcome = time.monotonic(), None
        try:
            outcome = await ask()
        except NO_ANSWER:
            outcome = None
        finally:
            data = {"key": post.key, "text": post.text}
            attempt = Attempt(self.api.user, post.channel, "message.posted", data, post.key, began, time.monotonic(), outcome)
            self.record.attempts.append(attempt)
        return outcome


@dataclass(slots=True)
class Registrar:
    """Removes a visitor from a channel, checks what they still see, and lets them in again, repeatedly."""

    owner: Api
    visitor: Api
    urls: Iterator[str]
    channels: Sequence[str]
    record: Record
    dice: random.Random
    stopping: asyncio.Event
    """Set to end; the visitor then stays in or out."""

    async def run(self) -> None:
        """Repeat until stopped."""
        while not self.stopping.is_set():
            channel = self.dice.choice(self.channels)
            asked = time.monotonic()
            await self._insist("DELETE", f"/v1/channels/{channel}/members/{self.visitor.user}", (204, 404))
            removal = await self._removal(channel)
            fence = Fence(self.visitor.user, channel, removal, asked=asked)
            self.record.fences.append(fence)
            await self._peek(channel, self.dice.uniform(*_ABSENCE_SECONDS))
            if self.stopping.is_set():
                return
            fence.opened = time.monotonic()
            await self._insist("POST", f"/v1/channels/{channel}/members", (200,), {"users": [self.visitor.user]})
            await asyncio.sleep(self.dice.uniform(*_ABSENCE_SECONDS))

    async def _insist(self, method: str, path: str, wanted: Sequence[int], body: Any = None) -> Answer:
        """Repeat the request until it has this answer."""
        while True:
            try:
                answer = await self.owner.at(next(self.urls)).call(method, path, body)
            except NO_ANSWER:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if answer.status in wanted:
                return answer
            if answer.reason not in TRANSIENT:
                raise Mismatch(f"{method} {path}: {answer.status} {answer.body}")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _removal(self, channel: str) -> int:
        """Return the number of the visitor's last removal."""
        found, after = 0, 0
        while True:
            answer = await self._insist("GET", f"/v1/channels/{channel}/events?after={after}&limit=1000", (200,))
            for item in answer.body["items"]:
                after = item["seq"]
                if item["kind"] == "member.removed" and item["data"]["user"] == self.visitor.user:
                    found = after
            if not answer.body["items"]:
                return found

    async def _peek(self, channel: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            path = f"/v1/channels/{channel}/{self.dice.choice(('events?limit=1000', 'messages?limit=1'))}"
            try:
                answer = await self.visitor.at(next(self.urls)).call("GET", path)
            except NO_ANSWER:
                answer = None
            if answer is not None and answer.status == 200:
                highest = max((item["seq"] for item in answer.body["items"]), default=0)
                self.record.peeks.append(Peek(self.visitor.user, channel, time.monotonic(), highest))
            await asyncio.sleep(_PEEK_SECONDS)


async def _answer(asked: Awaitable[Stored]) -> Outcome:
    """The client's answer; `Attempts` records it, from the wire."""
    try:
        stored = await asked
    except hubbub_client.Refused as refused:
        return Refused(refused.reason)
    except NoAnswer:
        return None
    return Acked(stored.seq, stored.message, stored.duplicate)


async def _over_http(api: Api, post: Post) -> Outcome:
    path, headers = f"/v1/channels/{post.channel}/messages", {"Idempotency-Key": post.key}
    answer = await api.call("POST", path, {"text": post.text}, headers=headers)
    if answer.status in (200, 201):
        return Acked(answer.body["seq"], answer.body["message"], answer.body.get("duplicate", False))
    return Refused(answer.reason)
