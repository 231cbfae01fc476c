"""Users who do all that they may as fast as they may: `python -m bench.greedy`, which `bench.neighbour` starts.

A refusal with `retry_after` is obeyed, since that is what "as fast as allowed" means. At SIGTERM the counts of all answers are
written as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import websockets

OPENAPI = Path(__file__).parents[1] / "docs" / "openapi.json"
METHODS = {"get", "post", "put", "patch", "delete"}
SOCKETS, REQUESTS = 4, 6
"""Sockets for frames, and loops of requests; beside them one loop opens sockets and one uploads."""
SOCKET_FRAMES = 60.0
"""Frames a second and socket: a fifth more than the limit."""
CROWD_FRAMES = 55.0
FILE = b"not much to see here\n" * 50
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/channels": {"kind": "group", "name": "another", "members": ["cat"]},
    "PATCH /v1/channels/{channel}": {"topic": "changed again"},
    "POST /v1/channels/{channel}/members": {"users": ["cat"]},
    "PATCH /v1/channels/{channel}/members/{user}": {"role": "moderator"},
    "PUT /v1/channels/{channel}/mute": {"muted": True},
    "PUT /v1/channels/{channel}/bans/{user}": {"reason": "loud", "seconds": 60},
    "PUT /v1/channels/{channel}/silences/{user}": {"reason": "loud", "seconds": 60},
    "POST /v1/channels/{channel}/messages": {"text": "posted over HTTP"},
    "POST /v1/channels/{channel}/messages/{message}/reports": {"reason": "spam"},
    "POST /v1/channels/{channel}/reports/{report}/resolve": {"resolution": "dismissed"},
    "POST /v1/channels/{channel}/messages/{message}/actions": {"block": "b", "value": "v", "key": "k"},
    "POST /v1/channels/{channel}/commands": {"command": "deploy", "text": "now", "key": "k"},
    "POST /v1/channels/{channel}/hooks": {"name": "builds"},
    "POST /v1/hooks/{hook}/{secret}": {"text": "posted by a program"},
    "POST /v1/commands/answers/{answer}": {"text": "answered late"},
    "POST /v1/uploads": {"name": "note.txt", "size": len(FILE), "type": "text/plain", "channel": "{channel}"},
}
QUERIES = {"GET /v1/search": "?q=frame", "GET /v1/users": "?q=a", "GET /v1/channels/{channel}/messages": "?limit=100"}
NOT_FOR_USERS = ("/v1/admin/", "/v1/signin", "/v1/signout", "/v1/dev/", "/metrics", "/readyz", "/healthz")
ENDS_OWN_SESSIONS = "/v1/me/sessions"
UPLOAD = "/v1/uploads"


def operations() -> list[str]:
    """Every operation that a user may call, as `METHOD path`. Raises `KeyError` if one needs a body and has none here."""
    found = []
    for path, methods in json.loads(OPENAPI.read_text())["paths"].items():
        for method in METHODS & methods.keys():
            name = f"{method.upper()} {path}"
            if path.startswith(NOT_FOR_USERS) or (path.startswith(ENDS_OWN_SESSIONS) and method == "delete"):
                continue
            if "requestBody" in methods[method] and name not in BODIES:
                raise KeyError(name)
            found.append(name)
    return sorted(found)


class Greedy:
    """One user at every gateway."""

    def __init__(self, urls: list[str], token: str, answers: Counter[str]) -> None:
        self._urls = urls
        self._token = token
        self._headers = {"Authorization": f"Bearer {token}"}
        self._answers = answers
        """Number of answers by what was asked and what came."""
        unknown = ("session", "report", "hook", "secret", "answer")
        self.names = {"user": "cat", **{name: str(uuid.uuid4()) for name in unknown}}
        """What the places in paths and bodies stand for."""
        self._seq = 0

    async def settle(self, client: httpx.AsyncClient) -> None:
        """Make the channel, the message and the upload that the operations are about."""
        made = await self._call(client, "POST", "/v1/channels", {"kind": "group", "name": "greedy", "members": ["cat"]})
        self.names["channel"] = made["id"]
        posted = await self._call(client, "POST", f"/v1/channels/{made['id']}/messages", {"text": "the first frame"})
        self.names["message"] = posted["message"]
        upload = await self._call(client, "POST", UPLOAD, self._placed(BODIES[f"POST {UPLOAD}"]))
        self.names["upload"] = upload["id"]

    async def everything(self, client: httpx.AsyncClient) -> None:
        """Use every frame and operation, until cancelled."""
        asked = itertools.cycle(operations())
        async with asyncio.TaskGroup() as tasks:
            for number in range(SOCKETS):
                tasks.create_task(self.frames(self._urls[number % len(self._urls)], self.every_frame(), SOCKET_FRAMES))
            for _ in range(REQUESTS):
                tasks.create_task(self._requests(client, asked))
            tasks.create_task(self._uploads(client))
            tasks.create_task(self._reconnects())

    async def frames(self, url: str, frames: Iterator[dict[str, Any]], per_second: float) -> None:
        """Send frames over one socket after the other, until cancelled."""
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException):
                async with websockets.connect(_socket(url), additional_headers=self._headers, max_size=None) as socket:
                    await socket.send(json.dumps({"type": "sync", "positions": {}}))
                    reading = asyncio.create_task(self._read(socket))
                    try:
                        for frame in frames:
                            await socket.send(json.dumps(frame))
                            await asyncio.sleep(1 / per_second)
                    finally:
                        reading.cancel()
            await asyncio.sleep(0.1)

    def posts_and_changes(self) -> Iterator[dict[str, Any]]:
        """Commands without end: one post, then four changes of it."""
        channel, message = self.names["channel"], self.names["message"]
        for number in itertools.count():
            yield {"type": "send", "channel": channel, "key": str(uuid.uuid4()), "text": f"number {number}", "ref": 0}
            for change in range(2):
                yield {"type": "edit", "channel": channel, "message": message, "text": f"{number}-{change}", "ref": 0}
                yield {"type": "react", "channel": channel, "message": message, "emoji": "👍", "remove": bool(change), "ref": 0}

    def every_frame(self) -> Iterator[dict[str, Any]]:
        """Every type of frame in turn, without end."""
        channel, message = self.names["channel"], self.names["message"]
        about = {"channel": channel, "message": message, "ref": 0}
        for number in itertools.count():
            yield {"type": "send", "channel": channel, "key": str(uuid.uuid4()), "text": f"frame {number}", "ref": 1}
            yield {"type": "edit", **about, "text": f"edited {number}"}
            yield {"type": "react", **about, "emoji": "👍", "remove": bool(number % 2)}
            yield {"type": "pin", **about, "remove": bool(number % 2)}
            yield {"type": "delete", "channel": channel, "message": self.names.get("last", message), "ref": 0}
            yield {"type": "read", "channel": channel, "seq": self._seq}
            yield {"type": "sync", "positions": {channel: max(self._seq - 1_000, 0)}}
            yield {"type": "typing", "channel": channel}
            yield {"type": "watch", "users": [f"user-{number % 7}-{n}" for n in range(500)]}
            yield {"type": "status", "status": ("online", "away", "dnd")[number % 3]}
            yield {"type": "token", "token": self._token}
            yield {"type": "ping"}

    async def _read(self, socket: websockets.ClientConnection) -> None:
        async for data in socket:
            frame = json.loads(data)
            self._answers[f"frame {frame['type']} {frame.get('reason', '')}".rstrip()] += 1
            if frame["type"] == "ack":
                self._seq = max(self._seq, frame["seq"])
                if frame.get("ref") == 1:
                    self.names["last"] = frame["message"]

    async def _reconnects(self) -> None:
        """Connect, resume everything from the beginning, and go."""
        for url in itertools.cycle(self._urls):
            wait = 0.0
            try:
                async with websockets.connect(_socket(url), additional_headers=self._headers, max_size=None) as socket:
                    await socket.send(json.dumps({"type": "sync", "positions": {self.names["channel"]: 0}}))
                    async for data in socket:
                        if json.loads(data)["type"] in {"synced", "error"}:
                            break
                self._answers["GET /v1/connect 101"] += 1
            except websockets.InvalidStatus as refused:
                self._answers[f"GET /v1/connect {refused.response.status_code}"] += 1
                wait = float(refused.response.headers.get("Retry-After", 1))
            except (OSError, websockets.WebSocketException) as error:
                self._answers[f"GET /v1/connect {type(error).__name__}"] += 1
            await asyncio.sleep(wait)

    async def _requests(self, client: httpx.AsyncClient, asked: Iterator[str]) -> None:
        for operation in asked:
            method, path = operation.split(" ")
            path = path.format(**self.names) + QUERIES.get(operation, "")
            await self._call(client, method, path, self._placed(BODIES.get(operation)), operation)

    async def _uploads(self, client: httpx.AsyncClient) -> None:
        """Upload small files, look at them, and post them."""
        while True:
            made = await self._call(client, "POST", UPLOAD, self._placed(BODIES[f"POST {UPLOAD}"]))
            if "upload" not in made:
                await asyncio.sleep(1)
                continue
            form = made["upload"]
            with contextlib.suppress(httpx.HTTPError):
                await client.request(form["method"], form["url"], data=form["fields"], files={"file": FILE})
            await self._call(client, "POST", f"{UPLOAD}/{made['id']}/complete", None, "POST /v1/uploads/{upload}/complete")
            self.names["upload"] = made["id"]

    async def _call(
        self, client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None, name: str = ""
    ) -> dict[str, Any]:
        """Make a call; wait as long as a refusal says. Returns the JSON object, or an empty one."""
        url = self._urls[sum(self._answers.values()) % len(self._urls)]
        name = name or f"{method} {path}"
        try:
            response = await client.request(method, url + path, json=body, headers=self._headers)
        except httpx.HTTPError as error:
            self._answers[f"{name} {type(error).__name__}"] += 1
            return {}
        self._answers[f"{name} {response.status_code}"] += 1
        if "retry-after" in response.headers:
            await asyncio.sleep(float(response.headers["retry-after"]))
        if response.is_success and response.headers.get("content-type", "").startswith("application/json"):
            return dict(response.json())
        return {}

    def _placed(self, body: dict[str, Any] | None) -> dict[str, Any] | None:
        if body is None:
            return None
        return {field: value.format(**self.names) if isinstance(value, str) else value for field, value in body.items()}


def _socket(url: str) -> str:
    return url.replace("http", "ws", 1) + "/v1/connect"


async def main(given: dict[str, Any]) -> None:
    """Use the given URLs and tokens. One token does everything, several only post and change."""
    answers: Counter[str] = Counter()
    users = [Greedy(given["urls"], token, answers) for token in given["tokens"]]
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    async with httpx.AsyncClient(timeout=30) as client:
        for user in users:
            await user.settle(client)
        if len(users) == 1:
            running = [asyncio.create_task(users[0].everything(client))]
        else:
            urls = itertools.cycle(given["urls"])
            running = [asyncio.create_task(user.frames(next(urls), user.posts_and_changes(), CROWD_FRAMES)) for user in users]
        await stopping.wait()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
