"""Who is let in, and what a handshake that is not let in hears: always an HTTP answer, never 101 and never silence."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from chassis.errors import Unavailable
from gateway.door import http_connection
from services.gateway.tests.house import House, open_house

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


async def test_a_token_in_the_header_lets_in_and_hello_comes_first(house: House) -> None:
    async with house.connect("ann") as ann:
        first = await hello(ann)
        assert ann.subprotocol == "hubbub.v1"
        assert (first["type"], first["user"], first["channels"]) == ("hello", "ann", [])
        assert ann.response.headers.get("Sec-WebSocket-Extensions") is None


async def test_a_token_in_the_subprotocols_lets_in(house: House) -> None:
    offered = ["hubbub.v1", f"bearer.{house.token('ann')}"]
    async with websockets.connect(house.socket_url, subprotocols=offered) as ann:  # type: ignore[arg-type]
        assert (await hello(ann))["user"] == "ann"
        assert ann.subprotocol == "hubbub.v1"


async def test_a_ticket_lets_in_once(house: House) -> None:
    async with httpx.AsyncClient() as client:
        bought = await client.post(f"{house.url}/v1/tickets", headers=house.bearer("ann"))
    assert bought.status_code == 201
    url = f"{house.socket_url}?ticket={bought.json()['ticket']}"
    async with websockets.connect(url) as ann:
        assert (await hello(ann))["user"] == "ann"
    assert (await house.refused(url=url)).status_code == 401


@pytest.mark.parametrize("query", ["", "?ticket=", "?ticket=" + "x" * 32, "?ticket=%00", "?token=TOKEN", "?access_token=TOKEN"])
async def test_without_a_credential_the_answer_is_401(house: House, query: str) -> None:
    refused = await house.refused(url=house.socket_url + query.replace("TOKEN", house.token("ann")))
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert json.loads(refused.body or b"").keys() == {"status", "title", "reason", "detail"}


async def test_a_token_beside_its_query_is_refused_all_the_same(house: House) -> None:
    refused = await house.refused(url=f"{house.socket_url}?token=x", additional_headers=house.bearer("ann"))
    assert refused.status_code == 401


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", "Bearer x.y.z", "bearer TOKEN TOKEN"])
async def test_a_wrong_authorization_is_401(house: House, value: str) -> None:
    headers = {"Authorization": value.replace("TOKEN", house.token("ann"))}
    assert (await house.refused(additional_headers=headers)).status_code == 401


async def test_a_blocked_user_is_401(house: House) -> None:
    house.store.void.add("ann")
    assert (await house.refused(additional_headers=house.bearer("ann"))).status_code == 401


async def test_a_foreign_origin_is_403_and_our_own_is_not(house: House) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{house.port}.evil.example"):
        refused = await house.refused(additional_headers=house.bearer("ann"), origin=origin)
        assert (refused.status_code, json.loads(refused.body or b"")["reason"]) == (403, "NOT_ALLOWED")
    async with house.connect("ann", origin=house.url) as ann:
        await hello(ann)


async def test_services_that_are_away_are_503_and_open_sockets_stay(house: House) -> None:
    async with house.connect("ann") as ann:
        await hello(ann)
        house.store.failure = Unavailable()
        refused = await house.refused(additional_headers=house.bearer("bob"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        await ann.send('{"type":"ping","ref":1}')
        assert await hello(ann) == {"type": "pong", "ref": 1}


async def test_an_upgrade_elsewhere_is_404(house: House) -> None:
    for path in ("/", "/v1/other", "/v1/connect/", "/v1/connectx"):
        status, headers, body = answer(await house.raw(handshake(path)))
        assert (status, headers["content-type"], body["reason"]) == (404, "application/problem+json", "NOT_FOUND")


@pytest.mark.parametrize("key", ["", "short", "!" * 24, base64.b64encode(b"x" * 15).decode()])
async def test_an_unfit_key_is_400(house: House, key: str) -> None:
    more = f"Authorization: Bearer {house.token('ann')}\r\n"
    assert answer(await house.raw(handshake(key=key, more=more)))[0] == 400


async def test_another_version_is_400_and_names_ours(house: House) -> None:
    request = handshake(more=f"Authorization: Bearer {house.token('ann')}\r\n").replace(b"Version: 13", b"Version: 8")
    status, headers, _ = answer(await house.raw(request))
    assert (status, headers["sec-websocket-version"]) == (400, "13")


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
async def test_a_handshake_with_another_method_is_400(house: House, method: str) -> None:
    more = f"Authorization: Bearer {house.token('ann')}\r\n"
    data = await house.raw(handshake(more=more).replace(b"GET", method.encode(), 1))
    assert b" 400 " in data.split(b"\r\n")[0]


@pytest.mark.parametrize(
    "more",
    [
        "X-Long: " + "x" * 17_000 + "\r\n",
        "X-Long: " + "x" * 200_000 + "\r\n",
        "".join(f"X-{number}: {'x' * 1000}\r\n" for number in range(70)),
        "Cookie: " + "x" * 70_000,  # and it never ends
        "X" * 100_000,
    ],
)
async def test_a_header_bomb_is_431(house: House, more: str) -> None:
    status, headers, body = answer(await house.raw(handshake(more=more)))
    assert (status, headers["connection"], body["reason"]) == (431, "close", "TOO_LARGE")


async def test_headers_within_the_bounds_are_read(house: House) -> None:
    more = "".join(f"X-{number}: {'x' * 15_000}\r\n" for number in range(4))
    assert answer(await house.raw(handshake(more=more)))[0] == 401


async def test_a_long_request_line_is_431(house: House) -> None:
    assert answer(await house.raw(handshake("/v1/connect?x=" + "x" * 17_000)))[0] == 431


async def test_what_is_no_http_is_400(house: House) -> None:
    assert answer(await house.raw(b"\x16\x03\x01 nonsense\r\n\r\n"))[0] == 400


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


@pytest.mark.parametrize("path", ["/v1/signin", "/v1/signin/callback"])
async def test_an_address_that_signs_in_all_the_time_is_told_to_wait(valkey_url: str, tmp_path: Path, path: str) -> None:
    async with open_house(valkey_url, tmp_path, unauthenticated_per_second=1) as house, httpx.AsyncClient() as client:
        answers = [await client.get(f"{house.url}{path}") for _ in range(30)]
    assert [answer.status_code for answer in answers[:10]] == [404] * 10  # there is no provider here
    assert answers[-1].status_code == 429
    assert answers[-1].json()["reason"] == "RATE_LIMITED"
    assert int(answers[-1].headers["Retry-After"]) >= 1


async def test_frames_sent_before_the_answer_are_taken_after_hello(house: House) -> None:
    ping = bytes([0x81, 0x80 + 15, 0, 0, 0, 0]) + b'{"type":"ping"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(handshake(more=f"Authorization: Bearer {house.token('ann')}\r\n") + ping)
    received = b""
    async with asyncio.timeout(5):
        while b"pong" not in received:
            received += await reader.read(4096)
    assert received.startswith(b"HTTP/1.1 101 ")
    assert received.index(b'"hello"') < received.index(b'"pong"')
    writer.close()


async def test_a_client_that_leaves_during_the_handshake_leaves_nothing_behind(house: House) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    writer.write(handshake(more=f"Authorization: Bearer {house.token('ann')}\r\n"))
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.close()
    del reader
    async with house.connect("bob") as bob:
        await hello(bob)
        assert {account.user for account in house.gateway.registry.accounts.values()} <= {"ann", "bob"}
