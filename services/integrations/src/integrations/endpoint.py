"""Sends one request to a receiver's server: to a public address, within a deadline, following nothing and reading little.

Every connection goes to the address that was checked (`addresses`); a connection that is used again still leads there. Proxies of
the environment are ignored. Names are resolved by c-ares, because a thread per name would let slow name servers delay others.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
from aiohttp.resolver import AsyncResolver
from yarl import URL

from integrations.addresses import Allowed, ForbiddenAddressError, UnfitUrlError, checked_socket, require_endpoint
from integrations.webhook import Ending, Outcome

DEADLINE_SECONDS = 10.0
"""For the name, the connection, the request and the status of the answer."""
ANSWER_BYTES = 1_024
"""Of an answer's body that are read and kept."""
_ANSWER_SECONDS = 1.0
"""For these, after the status."""
_IDLE_SECONDS = 15.0
_USER_AGENT = "Hubbub-Webhooks/1"


class Endpoints:
    """An HTTP client for servers of others."""

    def __init__(self, session: aiohttp.ClientSession, *, plain_http: bool, deadline_seconds: float) -> None:
        self._session = session
        self._plain_http = plain_http
        self._deadline_seconds = deadline_seconds

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, seconds: float = math.inf, answer_bytes: int = ANSWER_BYTES
    ) -> Outcome:
        """Post JSON. Every failure is an outcome. `seconds` may shorten the deadline; `answer_bytes` are read of the answer."""
        try:
            target = require_endpoint(url, plain_http=self._plain_http)
            sent = {**headers, "content-type": "application/json"}
            return await self._post(target, sent, body, min(seconds, self._deadline_seconds), answer_bytes)
        except TimeoutError:  # also aiohttp's
            return Outcome(Ending.TIMEOUT)
        except aiohttp.ClientConnectorError as error:
            return Outcome(Ending.FORBIDDEN_ADDRESS if isinstance(error.os_error, ForbiddenAddressError) else Ending.UNREACHABLE)
        except UnfitUrlError:
            return Outcome(Ending.FORBIDDEN_ADDRESS)
        except (aiohttp.ClientError, OSError, ValueError):
            return Outcome(Ending.UNREACHABLE)

    async def _post(self, url: URL, headers: Mapping[str, str], body: bytes, seconds: float, answer_bytes: int) -> Outcome:
        async with asyncio.timeout(seconds):
            answer = await self._session.post(url, headers=headers, data=body, allow_redirects=False)
        try:
            beginning = await _beginning(answer, answer_bytes)
        finally:
            if not answer.content.at_eof():
                answer.close()  # its rest is not read, so the connection cannot be used again
            answer.release()
        return Outcome(_ending(answer.status), answer.status, beginning, _retry_after(answer.headers.get("retry-after", "")))


@asynccontextmanager
async def open_endpoints(
    allowed: Allowed,
    *,
    plain_http: bool = False,
    nameservers: Sequence[str] = (),
    deadline_seconds: float = DEADLINE_SECONDS,
) -> AsyncIterator[Endpoints]:
    """Open a client that connects to `allowed` addresses only. `nameservers` (host:port) replace those of the system."""
    resolver = AsyncResolver(nameservers=list(nameservers)) if nameservers else AsyncResolver()
    connector = aiohttp.TCPConnector(
        limit=0,  # the deliverer bounds its requests
        use_dns_cache=False,
        resolver=resolver,
        socket_factory=checked_socket(allowed),
        keepalive_timeout=_IDLE_SECONDS,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"user-agent": _USER_AGENT},
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
        read_bufsize=ANSWER_BYTES,
    ) as session:
        try:
            yield Endpoints(session, plain_http=plain_http, deadline_seconds=deadline_seconds)
        finally:
            await resolver.close()


async def _beginning(answer: aiohttp.ClientResponse, most: int) -> bytes:
    """The first bytes of the body; what came of them if it is slow, ends early, or is longer or shorter than announced."""
    found = b""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while len(found) < most and (piece := await answer.content.read(most - len(found))):
                found += piece
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    return found


def _ending(status: int) -> Ending:
    match status:
        case _ if 200 <= status < 300:  # noqa: PLR2004
            return Ending.DELIVERED
        case 410:
            return Ending.GONE
        case _ if 300 <= status < 400:  # noqa: PLR2004
            return Ending.REDIRECTED
        case _:
            return Ending.REFUSED


def _retry_after(value: str) -> float:
    """The seconds of a `Retry-After`; 0 for none, and for a date."""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 10 else 0.0  # noqa: PLR2004
