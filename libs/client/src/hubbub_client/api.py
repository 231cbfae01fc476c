"""The HTTP API. Answers are the JSON of docs/protocol.md, typed as mappings; `call` reaches what has no method here."""

import asyncio
import hashlib
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from hubbub_client.errors import NoAnswer, Refused
from hubbub_client.settings import Settings
from hubbub_client.tokens import Tokens
from hubbub_client.updates import Event

_UNAUTHORIZED, _RATE_LIMITED, _UNAVAILABLE = 401, 429, 503
_REPEATS_MAX = 3
_WAIT_MAX_SECONDS = 30.0
_POLL_SECONDS = (0.25, 2.0)
Json = dict[str, Any]


class Api:
    """One user's calls. Each has a deadline, and raises Refused or NoAnswer.

    A read that the server cannot serve at the moment is repeated when it says so, up to three times; a change is not.
    """

    def __init__(self, url: Callable[[], str], tokens: Tokens, settings: Settings, tls: ssl.SSLContext | None = None) -> None:
        self._url = url
        """The server's origin at the moment."""
        self._tokens = tokens
        self._settings = settings
        self._tls = tls
        self._http: httpx.AsyncClient | None = None

    async def open(self) -> None:
        """Begin; `Client` does it."""
        self._http = httpx.AsyncClient(verify=self._tls if self._tls is not None else True, timeout=self._settings.answer_seconds)

    async def close(self) -> None:
        """End; `Client` does it."""
        if self._http is not None:
            await self._http.aclose()

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Make one call and return the answer's JSON; None where there is no body. `path` begins with `/v1/`."""
        for repeat in range(_REPEATS_MAX + 1):
            try:
                return _json(await self._request(method, path, body, query))
            except Refused as refused:
                wait = refused.retry_after
                passing = refused.status in (_RATE_LIMITED, _UNAVAILABLE) and wait is not None and wait <= _WAIT_MAX_SECONDS
                if method != "GET" or repeat == _REPEATS_MAX or not passing:
                    raise
                # Readers that were refused together do not come back together.
                await asyncio.sleep((wait or 0.0) * (1 + random.random() / 4))
        raise AssertionError  # the loop returns or raises

    async def me(self) -> Json:
        """The user: `user tenant name roles`."""
        return await self.call("GET", "/v1/me")  # type: ignore[no-any-return]

    async def channel(self, channel: str) -> Json:
        """One channel with its details."""
        return await self.call("GET", _path("channels", channel))  # type: ignore[no-any-return]

    def channels(self, q: str | None = None) -> AsyncIterator[Json]:
        """The user's channels, most recently active first."""
        return self._list("/v1/channels", q=q)

    async def create_channel(self, kind: str, *, name: str | None = None, members: Sequence[str] = (), **fields: Any) -> Json:
        """Create a channel. `kind` is `direct`, `group`, `public`, `broadcast` or `qa`."""
        body = {"kind": kind, "members": list(members), **fields}
        return await self.call("POST", "/v1/channels", body | ({"name": name} if name is not None else {}))  # type: ignore[no-any-return]

    async def join(self, channel: str) -> Json:
        """Join a public channel."""
        return await self.call("POST", _path("channels", channel, "join"))  # type: ignore[no-any-return]

    def members(self, channel: str, q: str | None = None) -> AsyncIterator[Json]:
        """The members of a channel: `user name role`."""
        return self._list(_path("channels", channel, "members"), q=q)

    async def add_members(self, channel: str, users: Sequence[str]) -> Json:
        """Add users to a channel."""
        return await self.call("POST", _path("channels", channel, "members"), {"users": list(users)})  # type: ignore[no-any-return]

    async def remove_member(self, channel: str, user: str) -> None:
        """Remove a member, or leave."""
        await self.call("DELETE", _path("channels", channel, "members", user))

    async def messages(self, channel: str, **query: Any) -> list[Json]:
        """A page of messages as they are now, newest first. Query: `before after limit thread pinned`."""
        page = await self.call("GET", _path("channels", channel, "messages"), None, **query)
        return page["items"]  # type: ignore[no-any-return]

    def mentions(self) -> AsyncIterator[Json]:
        """The messages that mention the user, newest first."""
        return self._list("/v1/me/mentions")

    async def log(self, channel: str, after: int = 0) -> AsyncIterator[Event]:
        """The entries after a position, oldest first, page by page, to the end of the log."""
        while True:
            page = await self.call("GET", _path("channels", channel, "events"), None, after=after, limit=1000)
            for item in page["items"]:
                after = item["seq"]
                yield Event(item["channel"], after, item["kind"], item["actor"], item["at"], item["data"])
            if not page["items"]:
                return

    async def upload(self, channel: str, name: str, content: bytes, type: str = "application/octet-stream") -> str:  # noqa: A002 - the field
        """Upload a file for this channel, wait for the scanner, and return the id for `attachments`.

        Raises Refused with BLOCKED_MEDIA and the scanner's reason as detail.
        """
        announced = {"name": name, "size": len(content), "type": type, "channel": channel}
        made = await self.call("POST", "/v1/uploads", announced | {"sha256": hashlib.sha256(content).hexdigest()})
        await self._transfer(made["upload"], name, content, type)
        state = await self.call("POST", _path("uploads", made["id"], "complete"))
        try:
            async with asyncio.timeout(self._settings.scan_seconds):
                wait, longest = _POLL_SECONDS
                while state["state"] in ("pending", "scanning"):
                    await asyncio.sleep(wait)
                    wait = min(wait * 1.5, longest)
                    state = await self.call("GET", _path("uploads", made["id"]))
        except TimeoutError:
            raise NoAnswer("the upload was not scanned in time") from None
        if state["state"] != "clean":
            raise Refused("BLOCKED_MEDIA", state.get("reason", ""))
        return made["id"]  # type: ignore[no-any-return]

    async def download(self, upload: str) -> bytes:
        """The bytes of an attachment."""
        answer = await self._request("GET", _path("media", upload), None, {})
        target = answer.headers.get("location")
        if target is None:
            return answer.content
        response = await self._send(lambda http: http.get(target, timeout=self._settings.transfer_seconds))
        if response.is_error:
            raise Refused("UNAVAILABLE", "the storage refused the download", status=response.status_code)
        return response.content

    async def _list(self, path: str, **query: Any) -> AsyncIterator[Json]:
        """Follow a list's pages to the end."""
        cursor = None
        while True:
            page = await self.call("GET", path, None, cursor=cursor, **query)
            for item in page["items"]:
                yield item
            cursor = page.get("next")
            if cursor is None:
                return

    async def _transfer(self, slot: Mapping[str, Any], name: str, content: bytes, type_: str) -> None:
        """Send the bytes straight to object storage, without the user's token."""
        seconds = self._settings.transfer_seconds
        form: Json = {"content": content}
        if "fields" in slot:
            form = {"data": slot["fields"], "files": {"file": (name, content, type_)}}
        response = await self._send(
            lambda http: http.request(slot["method"], slot["url"], headers=slot["headers"], timeout=seconds, **form)
        )
        if response.is_error:
            raise Refused("UNAVAILABLE", "the storage refused the file", status=response.status_code)

    async def _request(self, method: str, path: str, body: Any, query: Mapping[str, Any]) -> httpx.Response:
        """Make one request, and once more with a fresh token if this one is refused."""
        token = await self._tokens.current()
        response = await self._authorized(method, path, body, query, token)
        if response.status_code == _UNAUTHORIZED:
            response = await self._authorized(method, path, body, query, await self._tokens.after(token))
        if response.is_error:
            raise _refused(response)
        return response

    async def _authorized(self, method: str, path: str, body: Any, query: Mapping[str, Any], token: str) -> httpx.Response:
        given = {name: value for name, value in query.items() if value is not None}
        head = {"Authorization": f"Bearer {token}"}
        return await self._send(lambda http: http.request(method, self._url() + path, json=body, params=given, headers=head))

    async def _send(self, request: Callable[[httpx.AsyncClient], Any]) -> httpx.Response:
        if self._http is None:
            raise NoAnswer("the client is not open")
        try:
            return await request(self._http)  # type: ignore[no-any-return]
        except httpx.HTTPError as error:
            raise NoAnswer(f"no answer: {type(error).__name__}") from error


def _path(*segments: str) -> str:
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json() if response.content else None
    except ValueError as error:
        raise NoAnswer("the answer is not JSON") from error


def _refused(response: httpx.Response) -> Refused:
    wait = response.headers.get("retry-after", "")
    try:
        body = response.json()
    except ValueError:
        body = None
    problem = body if isinstance(body, dict) else {}
    reason = problem.get("reason") or ("UNAVAILABLE" if response.is_server_error else "INVALID_ARGUMENT")
    detail = problem.get("detail") or problem.get("title") or ""
    return Refused(reason, detail, status=response.status_code, retry_after=float(wait) if wait.isdigit() else None)
