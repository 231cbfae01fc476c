"""Handshakes that the gateway refuses although they are correct, and request heads that are too large or never end.

Each is answered over HTTP. Credentials and origins: tests/flow/test_ways_in.py. RFC 6455: tests/security/test_handshake.py.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.errors import Unavailable
from gateway.door import http_connection
from services.gateway.tests.house import House, open_house
from services.gateway.tests.world import JOINED

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: gw\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n{more}\r\n"
)
KEY = base64.b64encode(b"0123456789abcdef").decode()


def handshake(path: str = "/v1/connect", key: str = KEY, more: str = "") -> bytes:
    return HANDSHAKE.format(path=path, key=key, more=more).encode()


def answer(data: bytes) -> tuple[int, dict[str, str], Any]:
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(status.split()[1]), headers, json.loads(body)


async def hello(connection: Any) -> Any:
    return json.loads(await asyncio.wait_for(connection.recv(), 5))


async def test_a_token_in_the_header_is_accepted_and_hello_comes_first(house: House) -> None:
    async with house.connect("ann") as ann:
        first = await hello(ann)
        assert ann.subprotocol == "hubbub.v1"
        assert (first["type"], first["user"], first["channels"]) == ("hello", "ann", [])
        assert ann.response.headers.get("Sec-WebSocket-Extensions") is None


async def test_a_channel_that_hello_has_no_room_for_is_live_and_can_be_resumed(house: House) -> None:
    house.store.listed = 1
    for channel in ("c", "d"):
        house.store.append(channel, JOINED, "ann")
    async with house.connect("ann") as ann:
        first = await hello(ann)
        assert ([each["id"] for each in first["channels"]], first["more"]) == (["c"], True)
        await ann.send(json.dumps({"type": "sync", "positions": {}}))
        assert (await hello(ann))["channels"] == {}
        await house.store.publish(house.bus, house.store.append("d"))
        event = await hello(ann)
        assert (event["channel"], event["seq"]) == ("d", 2)
        await ann.send(json.dumps({"type": "sync", "positions": {"d": 1}, "epoch": first["epoch"]}))
        assert (await hello(ann))["channels"] == {"d": {"status": "complete", "seq": 2}}


async def test_hello_says_more_only_if_there_is_more(house: House) -> None:
    house.store.append("c", JOINED, "ann")
    async with house.connect("ann") as ann:
        assert "more" not in await hello(ann)


async def test_an_invalid_token_in_the_query_is_refused_beside_a_valid_one(house: House) -> None:
    refused = await house.refused(url=f"{house.socket_url}?token=x", additional_headers=house.bearer("ann"))
    assert refused.status_code == 401


async def test_a_blocked_user_is_401(house: House) -> None:
    house.store.void.add("ann")
    assert (await house.refused(additional_headers=house.bearer("ann"))).status_code == 401


async def test_unavailable_services_are_503_and_open_sockets_stay(house: House) -> None:
    async with house.connect("ann") as ann:
        await hello(ann)
        house.store.failure = Unavailable()
        refused = await house.refused(additional_headers=house.bearer("bob"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        await ann.send('{"type":"ping","ref":1}')
        assert await hello(ann) == {"type": "pong", "ref": 1}


@pytest.mark.parametrize(
    "more",
    [
        "X-Long: " + "x" * 17_000 + "\r\n",
        "X-Long: " + "x" * 200_000 + "\r\n",
        "".join(f"X-{number}: {'x' * 1000}\r\n" for number in range(70)),
        "Cookie: " + "x" * 70_000,  # without an end
        "X" * 100_000,
    ],
)
async def test_too_many_or_too_large_headers_are_431(house: House, more: str) -> None:
    status, headers, body = answer(await house.raw(handshake(more=more)))
    assert (status, headers["connection"], body["reason"]) == (431, "close", "TOO_LARGE")


async def test_headers_within_the_bounds_are_accepted(house: House) -> None:
    more = "".join(f"X-{number}: {'x' * 15_000}\r\n" for number in range(4))
    assert answer(await house.raw(handshake(more=more)))[0] == 401


async def test_a_long_request_line_is_431(house: House) -> None:
    assert answer(await house.raw(handshake("/v1/connect?x=" + "x" * 17_000)))[0] == 431


async def test_a_head_that_never_ends_is_answered_in_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.2)
    assert answer(await house.raw(b"GET /v1/connect HTTP/1.1\r\nHost: gw\r\n"))[0] == 408
    assert await house.raw(b"") == b""


HOST = b"Host: gw\r\n"
CHUNKED = b"POST /v1/none HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "silence": [],
    "half a head": [b"GET /healthz HTTP/1.1\r\n"],
    "empty lines": [b"\r\n"],
    "silence after an answer": [b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"],
    "empty lines after an answer": [b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", b"\r\n"],
    "half a head after an answer": [b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", b"G"],
    "a body of which nothing comes": [b"POST /v1/none HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n"],
    "a body that stops": [b"POST /v1/channels HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nxx"],
    "half a chunk": [CHUNKED + b"5\r\nab"],
    "a chunk size": [CHUNKED, b"5"],
    "trailers that stop": [CHUNKED + b"0\r\na: b\r\n"],
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_a_connection_whose_client_falls_silent_ends_in_every_phase(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for phase in ("HEAD_SECONDS", "BODY_SECONDS", "IDLE_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(http_connection, phase, 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    async with asyncio.timeout(10):
        for piece in ENDLESS[name]:
            writer.write(piece)
            if piece.endswith(b"\r\n\r\n") and b"Length" not in piece and b"Transfer" not in piece:
                assert (await reader.readuntil(b"ok\n")).startswith(b"HTTP/1.1 200 ")
        await reader.read()
    writer.close()


@pytest.mark.parametrize("drop", [b"\r\n", b"5\r\nhello\r\n", b"a: b\r\n"], ids=["empty lines", "chunks", "trailers"])
async def test_bytes_without_end_do_not_keep_a_connection_open(
    house: House, monkeypatch: pytest.MonkeyPatch, drop: bytes
) -> None:
    """A whole request alone counts as activity: not what precedes one, and not a body that never ends."""
    for phase in ("HEAD_SECONDS", "BODY_TOTAL_SECONDS", "IDLE_SECONDS"):
        monkeypatch.setattr(http_connection, phase, 0.3)
    start = {b"\r\n": b"", b"a: b\r\n": CHUNKED + b"0\r\n"}.get(drop, CHUNKED)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(start)
    reading = asyncio.create_task(reader.read())
    async with asyncio.timeout(10):
        while not reading.done():
            writer.write(drop)
            await asyncio.wait([reading], timeout=0.02)
    writer.close()


async def test_an_answer_that_is_not_read_ends_its_connection(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "WRITE_SECONDS", 0.2)
    (tmp_path / "index.html").write_bytes(b"x" * 20_000_000)  # more than the kernel buffers
    async with open_house(valkey_url, tmp_path, web_root=tmp_path) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port, limit=1)
        writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await reader.read(1)
        async with asyncio.timeout(10):
            while house.gateway.capacity.open:  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.01)
        writer.close()


async def test_connections_beyond_the_limit_are_refused_aloud_and_probes_are_answered(valkey_url: str, tmp_path: Path) -> None:
    async with open_house(valkey_url, tmp_path, max_connections=4) as house:
        sockets = [house.connect(name) for name in ("ann", "bob", "cat", "dan")]
        opened = [await each for each in sockets]
        refused = await house.refused(additional_headers=house.bearer("eve"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        status, _, body = answer(await house.raw(b"GET /v1/me HTTP/1.1\r\n" + HOST + b"\r\n"))
        assert (status, body["reason"]) == (503, "UNAVAILABLE")
        assert (await house.raw(b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")).startswith(b"HTTP/1.1 200 ")
        ready = await house.raw(b"GET /readyz HTTP/1.1\r\n" + HOST + b"\r\n")
        assert ready.startswith(b"HTTP/1.1 503 ")
        assert ready.endswith(b"\r\n\r\nfull\n")
        idle = [await asyncio.open_connection("127.0.0.1", house.port) for _ in range(40)]
        assert (await idle[-1][0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 503 ")  # beyond what is kept for the probes
        for _, writer in idle:
            writer.close()
        for each in opened:
            await each.close()
        async with asyncio.timeout(5):
            while not house.lifecycle.ready:  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0.01)
        async with house.connect("eve") as eve:
            await hello(eve)


async def test_at_the_limit_a_new_connection_takes_the_place_of_the_one_that_has_been_idle_for_longest(
    valkey_url: str, tmp_path: Path
) -> None:
    request = b"GET /v1/me HTTP/1.1\r\n" + HOST + b"\r\n"
    async with open_house(valkey_url, tmp_path, max_connections=3) as house, house.connect("ann") as ann:
        await hello(ann)
        idle = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
            writer.write(request)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 401 ")
            idle.append((reader, writer))
        assert not house.gateway.capacity.full
        async with house.connect("bob") as bob:
            await hello(bob)
            async with asyncio.timeout(5):
                await idle[0][0].read()  # to the end
            idle[1][1].write(request)
            assert b"HTTP/1.1 401 " in await idle[1][0].readuntil(b"401 ")
        for _, writer in idle:
            writer.close()


@pytest.mark.parametrize("path", ["/v1/signin", "/v1/signin/callback"])
async def test_an_address_that_signs_in_too_often_gets_429(valkey_url: str, tmp_path: Path, path: str) -> None:
    async with open_house(valkey_url, tmp_path, unauthenticated_per_second=1) as house, httpx.AsyncClient() as client:
        answers = [await client.get(f"{house.url}{path}") for _ in range(30)]
    assert [answer.status_code for answer in answers[:10]] == [404] * 10  # without a provider
    assert answers[-1].status_code == 429
    assert answers[-1].json()["reason"] == "RATE_LIMITED"
    assert int(answers[-1].headers["Retry-After"]) >= 1


async def test_a_client_that_leaves_during_the_handshake_leaves_nothing_behind(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(handshake(more=f"Authorization: Bearer {house.token('ann')}\r\n"))
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.close()
    del reader
    async with house.connect("bob") as bob:
        await hello(bob)
        assert {account.user for account in house.gateway.registry.accounts.values()} <= {"ann", "bob"}
