"""Measures what one user's use of everything costs the others: `python -m bench.neighbour --minutes 10`.

Four users of one tenant chat over two gateways, and their pings, deliveries and requests are timed. Beside them, in a process of
its own, one user does everything that a user may (`bench.greedy`): a user of another tenant, then one of the same tenant. In the
last run forty users of another tenant post and change more than the worker can store.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from typing import Any

import httpx
import websockets

from bench import machine, processes
from stack import Stack

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "bench" / "results" / "neighbour.md"
CHATTING = "ann", "bob", "cat", "dan"
CROWD = 40
SEND_SECONDS, PING_SECONDS, READ_SECONDS = 0.2, 0.05, 0.5
"""Pauses of each chatting user."""
UNANSWERED_SECONDS = 10.0
SETTLE_SECONDS = 5.0
"""Time for the greedy to begin."""


@dataclass
class Times:
    """What the chatting users saw, in milliseconds."""

    ping: list[float] = field(default_factory=list)
    delivery: list[float] = field(default_factory=list)
    """From sending to the event at another user, at the other gateway for half of them."""
    history: list[float] = field(default_factory=list)
    """A page of history over HTTP."""
    faults: Counter[str] = field(default_factory=Counter)
    """Answers of status 5xx, `error` frames, and lost connections."""


class Chatting:
    """One user who chats."""

    def __init__(self, url: str, token: str, channel: str, times: Times) -> None:
        self._url = url
        self._channel = channel
        self._times = times
        self._headers = {"Authorization": f"Bearer {token}"}
        self._pinged: dict[int, float] = {}
        """When each ping without an answer was sent."""
        self._own: set[str] = set()
        """Texts of own messages."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Chat until stopped."""
        socket_url = self._url.replace("http", "ws", 1) + "/v1/connect"
        async with (
            websockets.connect(socket_url, additional_headers=self._headers) as socket,
            httpx.AsyncClient(headers=self._headers, timeout=UNANSWERED_SECONDS) as client,
        ):
            await socket.send(json.dumps({"type": "sync", "positions": {}}))
            receiving = asyncio.create_task(self._receive(socket))
            path = f"{self._url}/v1/channels/{self._channel}/messages"
            await asyncio.gather(self._send(socket, stopping), self._ping(socket, stopping), self._read(client, path, stopping))
            async with asyncio.timeout(UNANSWERED_SECONDS):
                while self._pinged:  # noqa: ASYNC110 - the last pongs
                    await asyncio.sleep(PING_SECONDS)
            receiving.cancel()

    async def _receive(self, socket: websockets.ClientConnection) -> None:
        async for data in socket:
            frame, now = json.loads(data), time.perf_counter()
            match frame:
                case {"type": "pong", "ref": ref}:
                    self._times.ping.append((now - self._pinged.pop(ref)) * 1e3)
                case {"type": "event", "channel": channel, "kind": "message.posted", "data": {"text": str(text)}}:
                    if channel == self._channel and text not in self._own and text[0].isdigit():
                        self._times.delivery.append((now - float(text)) * 1e3)
                case {"type": "error", "reason": reason}:
                    self._times.faults[f"error {reason}"] += 1

    async def _send(self, socket: websockets.ClientConnection, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            text = str(time.perf_counter())
            self._own.add(text)
            await socket.send(json.dumps({"type": "send", "channel": self._channel, "key": str(uuid.uuid4()), "text": text}))
            await asyncio.sleep(SEND_SECONDS)

    async def _ping(self, socket: websockets.ClientConnection, stopping: asyncio.Event) -> None:
        for number in count():
            if stopping.is_set():
                return
            self._pinged[number] = time.perf_counter()
            await socket.send(json.dumps({"type": "ping", "ref": number}))
            await asyncio.sleep(PING_SECONDS)

    async def _read(self, client: httpx.AsyncClient, path: str, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            began = time.perf_counter()
            response = await client.get(path)
            self._times.history.append((time.perf_counter() - began) * 1e3)
            if not response.is_success:
                self._times.faults[f"history {response.status_code}"] += 1
            await asyncio.sleep(READ_SECONDS)


async def run(
    urls: list[str], client: httpx.AsyncClient, seconds: float, greedy: list[tuple[str, str]]
) -> tuple[Times, Counter[str]]:
    """Chat for so long beside greedy users, given by tenant and name. Returns the times, and the answers to the greedy."""
    tokens = [await signed_in(client, urls[0], "quiet", user) for user in CHATTING]
    channel = await room(client, urls[0], tokens)
    times, stopping = Times(), asyncio.Event()
    async with beside(client, urls, greedy) as answers:
        asyncio.get_running_loop().call_later(seconds, stopping.set)
        places = cycle(urls)
        chats = [Chatting(next(places), token, channel, times).run(stopping) for token in tokens]
        ended = await asyncio.gather(*chats, return_exceptions=True)
    times.faults.update(type(each).__name__ for each in ended if each is not None)
    return times, answers


@asynccontextmanager
async def beside(client: httpx.AsyncClient, urls: list[str], greedy: list[tuple[str, str]]) -> AsyncIterator[Counter[str]]:
    """Run greedy users inside the block. The answers to them are counted at its end."""
    answers: Counter[str] = Counter()
    if not greedy:
        yield answers
        return
    for tenant, _ in greedy[:1]:
        await signed_in(client, urls[0], tenant, "cat")
    given = {"urls": urls, "tokens": [await signed_in(client, urls[0], *each) for each in greedy]}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(given, file)
        file.flush()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.greedy", file.name, stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        await asyncio.sleep(SETTLE_SECONDS)
        yield answers
        process.terminate()
        output, _ = await process.communicate()
    answers.update(json.loads(output))


async def room(client: httpx.AsyncClient, url: str, tokens: list[str]) -> str:
    """A public channel of these users."""
    owner, *others = ({"Authorization": f"Bearer {token}"} for token in tokens)
    made = await client.post(f"{url}/v1/channels", json={"kind": "public", "name": "chat"}, headers=owner)
    channel = str(made.raise_for_status().json()["id"])
    for headers in others:
        (await client.post(f"{url}/v1/channels/{channel}/join", headers=headers)).raise_for_status()
    return channel


async def signed_in(client: httpx.AsyncClient, url: str, tenant: str, user: str) -> str:
    """A token of a user, who has been here before."""
    body = {"user": user, "tenant": tenant}
    token = str((await client.post(f"{url}/v1/dev/login", json=body)).raise_for_status().json()["token"])
    (await client.get(f"{url}/v1/me", headers={"Authorization": f"Bearer {token}"})).raise_for_status()
    return token


def row(name: str, minutes: float, times: Times) -> str:
    """A line of the table."""
    cells = [name, f"{minutes:g}"]
    for each in (times.ping, times.delivery, times.history):
        ordered = sorted(each) or [float("nan")]
        cells.append(" / ".join(f"{ordered[int((len(ordered) - 1) * part)]:.1f}" for part in (0.5, 0.99, 1)))
    cells.append(", ".join(f"{number} {what}" for what, number in times.faults.items()) or "none")
    return f"| {' | '.join(cells)} |"


def answered(answers: Counter[str]) -> list[str]:
    """A paragraph about what the greedy did, by kinds of answers."""
    kinds: Counter[str] = Counter()
    for what, number in answers.items():
        status = what.rpartition(" ")[2]
        if what.startswith("frame error"):
            kinds[f"`{status}` over sockets"] += number
        elif what.startswith("frame"):
            kinds[f"frames `{status}`"] += number
        else:
            kinds[f"HTTP {status}" if status.isdigit() else status] += number
    faults = {what: number for what, number in answers.items() if what.rpartition(" ")[2].startswith("5")}
    parts = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    return [f"The greedy received {parts}.", *([f"5xx: {faults}."] if faults else [])]


def spending(stack: Stack) -> dict[str, float]:
    """Processor seconds by role: of the product's processes and of the greedy users' own."""
    spent: dict[str, float] = {}
    for name, pid in stack.pids.items():
        role = name.rstrip("-0123456789")
        spent[role] = spent.get(role, 0.0) + processes.tree_seconds(pid)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent["the greedy's client"] = usage.ru_utime + usage.ru_stime
    return spent


async def main() -> None:
    """Print a line for each run and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of the run beside a user of another tenant")
    parser.add_argument("--short", type=float, default=3, help="minutes of the other runs")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    runs: list[tuple[str, float, list[tuple[str, str]]]] = [
        ("no neighbour", given.short, []),
        ("one user of another tenant", given.minutes, [("loud", "mallory")]),
        ("one user of the same tenant", given.short, [("quiet", "mallory")]),
        (f"{CROWD} users of another tenant", given.short, [("crowd", f"user-{number}") for number in range(CROWD)]),
    ]
    rows, notes = [], []
    with tempfile.TemporaryDirectory() as folder:
        async with Stack(Path(folder), gateways=2) as stack, httpx.AsyncClient(timeout=30) as client:
            urls = [gateway.url for gateway in stack.gateways]
            for name, minutes, greedy in runs:
                before, spent = os.getloadavg()[0], spending(stack)
                times, answers = await run(urls, client, minutes * 60, greedy)
                used = {role: (now - spent.get(role, 0.0)) / minutes / 0.6 for role, now in spending(stack).items()}
                rows.append(row(name, minutes, times))
                notes += [
                    "",
                    f"Beside {name}: load average {before:.1f} before and {os.getloadavg()[0]:.1f} after; percent of a core: "
                    + ", ".join(f"{role} {percent:.0f}" for role, percent in sorted(used.items()) if percent >= 1)
                    + ".",
                    *(answered(answers) if greedy else []),
                ]
                print(rows[-1], *notes[-3:], sep="\n", flush=True)
    described: dict[str, Any] = await machine.describe(ROOT)
    given.out.write_text(
        "\n".join(
            [
                "# What one user's use of everything costs the others",
                "",
                f"`python -m bench.neighbour`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, revision {described['revision']}.",
                f"{described['processor']}, which also run the product, the chatting users and the greedy.",
                "",
                "Median / 99th percentile / longest, in milliseconds, of four users who chat over two gateways.",
                "",
                "| beside | minutes | ping | delivery | history over HTTP | faults |",
                "|---|---|---|---|---|---|",
                *rows,
                "",
                *notes[1:],
                "",
            ]
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
