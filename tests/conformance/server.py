"""The scripted server: handshakes wait for the script to accept or refuse them, frames for the script to expect them.

It also answers the few HTTP calls that a client makes beside its socket.
"""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aiohttp import WSMsgType, web

USER, TENANT = "me", "kit"
SUBPROTOCOL = "hubbub.v1"
_LIMITS = {
    "frame_bytes": 65_536,
    "text_bytes": 16_384,
    "sync_events": 1_000,
    "sends_per_second": 50,
    "burst": 200,
    "connections": 20,
    "named_members": 100,
}
_DECISION_SECONDS = 30.0
_MESSAGE_BYTES = 1 << 20


def token(number: int, life_seconds: float = 3_600.0) -> str:
    """A token of the kit: its claims can be read, and its signature says which one it is."""
    now = int(time.time())
    claims = {"sub": USER, "tenant": TENANT, "iat": now, "exp": now + int(life_seconds)}
    parts = [{"alg": "EdDSA", "kid": "kit"}, claims]
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), f"token-{number}"]
    )


def moment() -> str:
    """Now, as the protocol writes times."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class Handshake:
    """A client's request for a socket. It is answered by what `decision` is set to: None accepts it."""

    credential: str
    """The token that it showed, or the one that bought its ticket."""
    decision: "asyncio.Future[web.Response | None]"
    line: "asyncio.Future[Line]"
    """The connection, once accepted."""


class Line:
    """One accepted connection."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request
        self.frames: asyncio.Queue[Any] = asyncio.Queue()
        """What the client sent, heartbeats excepted; None at its end."""
        self.silent = False
        """Do not answer pings."""
        self.heard = time.monotonic()
        """When the client's last frame arrived."""

    async def send(self, frame: Mapping[str, Any] | str) -> None:
        """Send a frame, or any text. A client that is gone is noticed elsewhere."""
        text = frame if isinstance(frame, str) else json.dumps(frame, ensure_ascii=False)
        with contextlib.suppress(ConnectionError):
            await self._socket.send_str(text)

    async def fragments(self, frame: Mapping[str, Any], count: int) -> None:
        """Send a frame in several fragments, each a TCP segment of its own."""
        data = json.dumps(frame).encode()
        size = -(-len(data) // count)
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        for index, piece in enumerate(pieces):
            first = (0x80 if index == len(pieces) - 1 else 0) | (0 if index else 1)
            self._write(bytes((first, 126)) + len(piece).to_bytes(2, "big") + piece)
            await asyncio.sleep(0.01)

    async def close(self, code: int) -> None:
        """End the connection with a code."""
        await self._socket.close(code=code, message=b"scripted")

    def abort(self) -> None:
        """End the connection without a close frame."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def cut(self, frame: Mapping[str, Any]) -> None:
        """Send the first half of a frame and end the connection."""
        data = json.dumps(frame).encode()
        self._write(bytes((0x81, 126)) + len(data).to_bytes(2, "big") + data[: len(data) // 2])
        if self._request.transport is not None:
            self._request.transport.close()

    async def read(self) -> None:
        """Read until the end; `Server` runs this."""
        try:
            async for message in self._socket:
                self.heard = time.monotonic()
                if message.type is not WSMsgType.TEXT:
                    self.frames.put_nowait(f"<{message.type.name}>")
                    continue
                if len(message.data.encode()) > _LIMITS["frame_bytes"]:
                    self.frames.put_nowait(f"<a frame above frame_bytes: {message.data[:40]} …>")
                    continue
                frame = _parsed(message.data)
                kind = frame.get("type") if isinstance(frame, dict) else None
                if kind == "ping" and not self.silent:
                    await self.send({"type": "pong", **({"ref": frame["ref"]} if "ref" in frame else {})})
                if kind != "ping":
                    self.frames.put_nowait(frame)
        finally:
            self.frames.put_nowait(None)

    def _write(self, data: bytes) -> None:
        if self._request.transport is not None:
            self._request.transport.write(data)


@dataclass(slots=True)
class Server:
    """One scripted server on a port of its own."""

    heads: dict[str, int]
    """The user's channels, with their heads."""
    epoch: str = "e-1"
    log: list[dict[str, Any]] = field(default_factory=list)
    """Events sent so far."""
    void: set[str] = field(default_factory=set)
    """Tokens that are no longer valid."""
    snapshot: dict[str, int] = field(default_factory=dict)
    """Heads that the HTTP API still shows: it was asked before the last events."""
    url: str = ""
    handshakes: "asyncio.Queue[Handshake]" = field(default_factory=asyncio.Queue)
    _tickets: dict[str, str] = field(default_factory=dict)
    """The token that bought each ticket."""

    def hello(self, **changes: Any) -> dict[str, Any]:
        """A `hello` with the channels as they are."""
        heads = [_head(channel, seq) for channel, seq in self.heads.items()]
        return {
            "type": "hello",
            "connection": f"c-{time.monotonic_ns()}",
            "user": USER,
            "tenant": TENANT,
            "heartbeat_seconds": 30,
            "limits": _LIMITS,
            "epoch": self.epoch,
            "channels": heads,
            **changes,
        }

    def after(self, channel: str, seq: int) -> list[dict[str, Any]]:
        """The events of a channel after a number."""
        return [event for event in self.log if event["channel"] == channel and event["seq"] > seq]

    def event(self, channel: str, seq: int, text: str | None = None, *, size: int = 0, **changes: Any) -> dict[str, Any]:
        """An event, remembered as part of the log; `size`: with a text of so many characters."""
        data = {
            "message": f"m-{channel}-{seq}",
            "key": f"k-{channel}-{seq}",
            "text": text or ("x" * size if size else f"text {seq}"),
        }
        whole: dict[str, Any] = {**data, "thread": None, "attachments": [], "mentions": []}
        found = {"channel": channel, "seq": seq, "kind": "message.posted", "actor": "other", "at": moment(), "data": whole}
        event = {"type": "event", **found, **changes}
        self.heads[channel] = max(seq, self.heads.get(channel, 0))
        self.log.append(event)
        return event

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve during the block."""
        application = web.Application()
        application.router.add_get("/v1/connect", self._connect)
        application.router.add_route("*", "/{rest:.*}", self._api)
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        credential = self._credential(request)
        if credential is None or credential in self.void:
            return problem(401, "NOT_AUTHENTICATED")
        loop = asyncio.get_running_loop()
        handshake = Handshake(credential, loop.create_future(), loop.create_future())
        self.handshakes.put_nowait(handshake)
        try:
            async with asyncio.timeout(_DECISION_SECONDS):
                refusal = await handshake.decision
        except TimeoutError:  # the script does not expect it
            refusal = problem(503, "UNAVAILABLE")
        if refusal is not None:
            return refusal
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), compress=False, max_msg_size=_MESSAGE_BYTES, timeout=1.0)
        await socket.prepare(request)
        line = Line(socket, request)
        handshake.line.set_result(line)
        await line.read()
        return socket

    def _credential(self, request: web.Request) -> str | None:
        """The token that a handshake shows, in one of the three ways of the protocol; None without one."""
        header = request.headers.get("Authorization", "")
        if header.startswith("Bearer "):
            return header.removeprefix("Bearer ")
        ticket = request.query.get("ticket")
        if ticket is not None:
            return self._tickets.pop(ticket, None)
        listed = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        return next((part.removeprefix("bearer.") for part in listed if part.startswith("bearer.")), None)

    def credential(self, frame: Mapping[str, Any]) -> str | None:
        """The token that a `token` frame shows."""
        shown = frame.get("token")
        return str(shown) if shown is not None else self._tickets.pop(str(frame.get("ticket")), None)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not shown or shown in self.void:
            return problem(401, "NOT_AUTHENTICATED")
        method, path = request.method, [unquote(part) for part in request.path.split("/")[2:]]
        if (method, path) == ("POST", ["tickets"]):
            return self._ticket(shown)
        body = self._body(path, int(request.query.get("after", "0"))) if method == "GET" else None
        return problem(404, "NOT_FOUND") if body is None else _json(body)

    def _ticket(self, shown: str) -> web.Response:
        ticket = f"ticket-{len(self._tickets)}-{time.monotonic_ns()}"
        self._tickets[ticket] = shown
        return _json({"ticket": ticket, "expires_in": 30}, 201)

    def _body(self, path: list[str], after: int) -> dict[str, Any] | None:
        """What a client may read; None for what there is not."""
        shown = {channel: self.snapshot.get(channel, seq) for channel, seq in self.heads.items()}
        match path:
            case ["me"]:
                return {"user": USER, "tenant": TENANT, "name": USER, "roles": []}
            case ["channels"]:
                return {"items": [_summary(channel, seq) for channel, seq in shown.items()]}
            case ["channels", channel, *_] if channel not in self.heads:
                return None
            case ["channels", channel]:
                return _summary(channel, shown[channel])
            case ["channels", channel, "events"]:
                return {"items": self.after(channel, after)}
            case _:
                return {"items": [], "total": 0}


def problem(status: int, reason: str, retry_after: int | None = None) -> web.Response:
    """A refusal over HTTP."""
    body = {"status": status, "title": reason, "reason": reason, "detail": "scripted"}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})


def _head(channel: str, seq: int) -> dict[str, Any]:
    return {"id": channel, "kind": "group", "name": f"room {channel}", "role": "member", "seq": seq, "read_seq": 0}


def _summary(channel: str, seq: int) -> dict[str, Any]:
    details = {"slow_mode_seconds": 0, "history": "all", "members": 2}
    return {**_head(channel, seq), "topic": "", "unread": 0, "muted": False, "last_message": None, **details}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return f"<not JSON: {text[:80]!r}>"
