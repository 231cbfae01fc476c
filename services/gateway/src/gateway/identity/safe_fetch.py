"""Fetches small documents from servers of others: https, public addresses, no redirects, a deadline, a maximum size.

The address that was checked is the one that is connected to. Only a local stack may use http and private addresses.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx

DOCUMENT_BYTES = 64 * 1024
ANSWER_SECONDS = 5.0


class FetchError(Exception):
    """The document could not be fetched."""


class Answer(NamedTuple):
    """A server's answer."""

    status: int
    body: bytes


async def ask(
    method: str, url: str, *, public_only: bool, headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> Answer:
    """Send one request. Raises `FetchError`, and `OSError` (of which `TimeoutError` is one)."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await _ask(method, url, public_only, dict(headers or {}), content)
    except httpx.HTTPError as error:
        raise FetchError("no answer") from error


async def _ask(method: str, url: str, public_only: bool, headers: dict[str, str], content: bytes | None) -> Answer:
    parts = urlsplit(url)
    target = httpx.URL(url).copy_with(host=await _address(url, public_only=public_only))
    headers["Host"] = parts.netloc.rpartition("@")[2]
    named = {"sni_hostname": parts.hostname or ""}
    async with (
        httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=ANSWER_SECONDS) as client,
        client.stream(method, target, headers=headers, content=content, extensions=named) as answer,
    ):
        body = b""
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > DOCUMENT_BYTES:
                raise FetchError("too large")
        return Answer(answer.status_code, body)


async def _address(url: str, *, public_only: bool) -> str:
    """The address of the URL's host. Raises `FetchError`."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if parts.scheme != "https" and (public_only or parts.scheme != "http"):
        raise FetchError("not https")
    found = await asyncio.get_running_loop().getaddrinfo(parts.hostname or "", port, proto=6)
    addresses = [ipaddress.ip_address(info[4][0]) for info in found]
    if not addresses or (public_only and not all(address.is_global for address in addresses)):
        raise FetchError("not a public address")
    return str(addresses[0])
