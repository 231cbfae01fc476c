"""The HTTP client: a caller with a token at one gateway. Every answer is checked against the protocol."""

from dataclasses import dataclass
from typing import Any, Self

import httpx

from tests.client import shapes
from tests.client.shapes import Check, Mismatch

_TIMEOUT_SECONDS = 15.0
_WAITS = (429, 503)


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer that has passed the checks for every answer."""

    status: int
    headers: httpx.Headers
    body: Any
    """Parsed JSON; None where there is no body."""

    @property
    def reason(self) -> str:
        """The problem's reason; empty for a success."""
        return self.body["reason"] if self.status >= 400 else ""


class Api:
    """One user at one gateway."""

    def __init__(self, url: str, token: str | None, http: httpx.AsyncClient, user: str = "") -> None:
        self.user = user
        """The caller's user id, if given."""
        self.url = url
        """`http://host:port` of the gateway."""
        self.token = token
        """The caller's token; None calls without one."""
        self._http = http

    def at(self, url: str) -> Self:
        """The same user at another gateway."""
        return type(self)(url, self.token, self._http, self.user)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make one call. Raises Mismatch unless the answer obeys the rules for all answers; httpx's errors pass through."""
        head = {**({"Authorization": f"Bearer {self.token}"} if self.token is not None else {}), **(headers or {})}
        response = await self._http.request(
            method, self.url + path, json=body, content=content, headers=head, timeout=_TIMEOUT_SECONDS
        )
        answer = Answer(response.status_code, response.headers, _body(response))
        _check(answer, f"{method} {path}", authenticated=self.token is not None)
        return answer

    async def ok(self, method: str, path: str, body: Any = None, status: int = 200, shape: Check | None = None) -> Any:
        """Make a call that must succeed with this status and shape; returns the body."""
        answer = await self.call(method, path, body)
        if answer.status != status:
            raise Mismatch(f"{method} {path}: expected {status}, got {answer.status} {answer.body}")
        if shape is not None:
            shape(answer.body, f"{method} {path}")
        return answer.body

    async def refused(self, method: str, path: str, body: Any = None, *, reason: str) -> Answer:
        """Make a call that must be refused with this reason."""
        answer = await self.call(method, path, body)
        if answer.reason != reason:
            raise Mismatch(f"{method} {path}: expected {reason}, got {answer.status} {answer.body}")
        return answer

    async def channels(self) -> list[dict[str, Any]]:
        """The caller's channels."""
        page = await self.ok("GET", "/v1/channels", shape=shapes.items(shapes.channel))
        return page["items"]  # type: ignore[no-any-return]

    async def create(self, kind: str, status: int = 201, **fields: Any) -> str:
        """Create a channel; returns its id."""
        channel = await self.ok("POST", "/v1/channels", {"kind": kind, **fields}, status, shapes.channel_details)
        return channel["id"]  # type: ignore[no-any-return]

    async def post(self, channel: str, text: str, key: str | None = None, **fields: Any) -> dict[str, Any]:
        """Post a message for the first time."""
        headers = {"Idempotency-Key": key} if key is not None else {}
        answer = await self.call("POST", f"/v1/channels/{channel}/messages", {"text": text, **fields}, headers=headers)
        if answer.status != 201:
            raise Mismatch(f"post: expected 201, got {answer.status} {answer.body}")
        shapes.posted(answer.body, "posted")
        return answer.body  # type: ignore[no-any-return]

    async def messages(self, channel: str, query: str = "") -> list[dict[str, Any]]:
        """A page of history."""
        page = await self.ok("GET", f"/v1/channels/{channel}/messages{query}", shape=shapes.items(shapes.message))
        return page["items"]  # type: ignore[no-any-return]

    async def log(self, channel: str, after: int = 0) -> list[dict[str, Any]]:
        """The whole log from a position on, page by page."""
        found: list[dict[str, Any]] = []
        while True:
            position = found[-1]["seq"] if found else after
            path = f"/v1/channels/{channel}/events?after={position}&limit=1000"
            page = await self.ok("GET", path, shape=shapes.items(shapes.entry))
            if not page["items"]:
                return found
            found += page["items"]

    async def ticket(self) -> str:
        """A ticket for one socket."""
        made = await self.ok("POST", "/v1/tickets", status=201, shape=shapes.ticket)
        if made["expires_in"] > 30:
            raise Mismatch(f"a ticket lives at most 30 s, not {made['expires_in']}")
        return made["ticket"]  # type: ignore[no-any-return]


async def login(http: httpx.AsyncClient, url: str, user: str, **fields: Any) -> Api:
    """Sign in as any user. The server must run with HUBBUB_DEV_LOGIN=1."""
    anonymous = Api(url, None, http)
    made = await anonymous.ok("POST", "/v1/dev/login", {"user": user, **fields}, shape=shapes.login)
    return Api(url, made["token"], http, user)


def _body(response: httpx.Response) -> Any:
    if response.status_code == 204 or not response.content:
        return None
    kind = response.headers.get("content-type", "").split(";")[0]
    return response.json() if kind in {"application/json", "application/problem+json"} else response.text


def _check(answer: Answer, where: str, *, authenticated: bool) -> None:
    kind = answer.headers.get("content-type", "").split(";")[0]
    if answer.status >= 400:
        if kind != "application/problem+json":
            raise Mismatch(f"{where}: {answer.status} as {kind}: {answer.body!r}")
        shapes.problem(answer.body, where)
        if answer.body["status"] != answer.status:
            raise Mismatch(f"{where}: {answer.status} says {answer.body}")
        expected = shapes.REASONS[answer.reason]
        if answer.status not in (expected, 405, 431):
            raise Mismatch(f"{where}: {answer.reason} belongs to {expected}, not {answer.status}")
    if answer.status in _WAITS and not answer.headers.get("retry-after", "").isdigit():
        raise Mismatch(f"{where}: {answer.status} without Retry-After")
    if answer.status == 401 and "www-authenticate" not in answer.headers:
        raise Mismatch(f"{where}: 401 without WWW-Authenticate")
    if authenticated and answer.headers.get("cache-control") != "no-store":
        raise Mismatch(f"{where}: Cache-Control is {answer.headers.get('cache-control')!r}")
