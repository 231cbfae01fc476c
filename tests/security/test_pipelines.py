"""Several requests on one connection, and requests whose end or host is in doubt: each is answered in order, or none is."""

import asyncio
import json
import re
from urllib.parse import urlsplit

import pytest

from tests.client import Api
from tests.client.wire import TEXT, Wire, spell, upgrade
from tests.flow.world import World

HOST = b"Host: localhost\r\n"
LAST = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\nX-Request-Id: last\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) .*?\r\n\r\n", re.DOTALL)
REBOUND = b"Host: rebind.evil.example:8080\r\n"


@pytest.fixture
async def ann(world: World) -> Api:
    return await world.person("ann")


async def replies(api: Api, data: bytes, *, one_by_one: bool = False) -> bytes:
    """Everything that comes back for these bytes until the server closes."""
    address = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        for piece in [data[index : index + 1] for index in range(len(data))] if one_by_one else [data]:
            writer.write(piece)
            await writer.drain()
            if one_by_one:
                await asyncio.sleep(0)
        async with asyncio.timeout(15):
            return await reader.read()
    finally:
        writer.close()


def statuses(data: bytes) -> list[int]:
    return [int(status) for status in ANSWER.findall(data)]


def request_ids(data: bytes) -> list[str]:
    return [found.decode() for found in re.findall(rb"x-request-id: (\S+)", data)]


def get(path: str, name: str = "x", more: bytes = b"") -> bytes:
    return f"GET {path} HTTP/1.1\r\nX-Request-Id: {name}\r\n".encode() + HOST + more + b"\r\n"


def bearer(api: Api) -> bytes:
    return f"Authorization: Bearer {api.token}\r\n".encode()


@pytest.mark.parametrize("one_by_one", [False, True], ids=["at once", "byte by byte"])
async def test_requests_on_one_connection_are_answered_in_their_order(ann: Api, *, one_by_one: bool) -> None:
    body = b'{\r\n\r\n"kind":"group","name":"x"\r\n\r\n}'  # line ends as in a head
    start = b"POST /v1/channels HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST + bearer(ann)
    data = b"".join(
        (
            b"\r\n" + get("/v1/me", "one", bearer(ann)),
            start + b"X-Request-Id: two\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
            start
            + b"X-Request-Id: three\r\n"
            + CHUNKED
            + b"\r\n%x;a=b\r\n" % len(body)
            + body
            + b"\r\n0\r\nX-Trailer: a\r\n\r\n",
            get("/v1/none", "four").replace(b"GET", b"HEAD"),
            LAST,
        )
    )
    came = await replies(ann, data, one_by_one=one_by_one)
    assert statuses(came) == [200, 201, 201, 404, 200]
    assert request_ids(came) == ["one", "two", "three", "four", "last"]


async def test_a_thousand_requests_sent_at_once_are_all_answered_in_order(ann: Api) -> None:
    names = [f"n{number}" for number in range(1_000)]
    came = await replies(ann, b"".join(get("/healthz", name) for name in names) + LAST)
    assert request_ids(came) == [*names, "last"]


async def test_a_request_in_a_body_is_no_request(ann: Api) -> None:
    inner = get("/v1/me", "inner", bearer(ann))
    for start in (b"Content-Length: %d\r\n\r\n" % len(inner), CHUNKED + b"\r\n%x\r\n" % len(inner)):
        end = b"\r\n0\r\n\r\n" if CHUNKED in start else b""
        came = await replies(ann, b"POST /v1/none HTTP/1.1\r\n" + HOST + start + inner + end + LAST)
        assert request_ids(came)[1:] == ["last"]
        assert statuses(came) == [404, 200]


@pytest.mark.parametrize("protocol", [b"h2c", b"TLS/1.0", b"other"])
async def test_nothing_behind_an_upgrade_to_another_protocol_is_a_request(ann: Api, protocol: bytes) -> None:
    """A proxy takes it for the body of the first request, so it is not for us to answer."""
    inner = get("/v1/me", "inner", bearer(ann))
    start = b"POST /v1/none HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    came = await replies(ann, start + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
    assert statuses(came) == [404]


async def test_a_websocket_behind_a_request_begins_after_its_answer(ann: Api) -> None:
    address = urlsplit(ann.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in upgrade(ann).items()).encode()
    ping = spell(TEXT, b'{"type":"ping","ref":1}')
    writer.write(get("/v1/me", "first", bearer(ann)) + b"GET /v1/connect HTTP/1.1\r\n" + HOST + head + b"\r\n" + ping)
    async with asyncio.timeout(10):
        first = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert first.startswith(b"http/1.1 200 ")
        length = re.search(rb"content-length: (\d+)", first)
        assert length is not None
        assert json.loads(await reader.readexactly(int(length[1])))["user"] == "ann"
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        connection = Wire(reader, writer)
        assert [(await connection.message())["type"] for _ in range(2)] == ["hello", "pong"]
    writer.close()


async def test_a_websocket_behind_a_request_without_an_end_never_begins(ann: Api) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in upgrade(ann).items()).encode()
    handshake = b"GET /v1/connect HTTP/1.1\r\n" + HOST + head + b"\r\n"
    start = b"POST /v1/channels HTTP/1.1\r\n" + HOST
    came = await replies(ann, start + b"Content-Length: %d\r\n\r\n" % len(handshake) + handshake + LAST)
    assert statuses(came) == [401, 200]


@pytest.mark.parametrize("framing", [b"Content-Length: 2\r\n\r\n{}", CHUNKED + b"\r\n0\r\n\r\n"])
async def test_a_handshake_with_a_body_is_refused(ann: Api, framing: bytes) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in upgrade(ann).items()).encode()
    assert statuses(await replies(ann, b"GET /v1/connect HTTP/1.1\r\n" + HOST + head + framing)) == [400]


async def test_trailers_are_no_headers(ann: Api) -> None:
    for trailer in (bearer(ann), b"Cookie: hubbub=x\r\n", b"X-Forwarded-For: 10.0.0.1\r\n"):
        came = await replies(ann, b"POST /v1/tickets HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n0\r\n" + trailer + b"\r\n" + LAST)
        assert statuses(came) == [401, 200], trailer


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /v1/me HTTP/1.1\r\n", b""),
        (b"GET /v1/me HTTP/1.1\r\n", HOST + HOST),
        (b"GET /v1/me HTTP/1.1\r\n", HOST + REBOUND),
        (b"GET /v1/me HTTP/1.0\r\n", HOST + HOST),
        (b"GET /v1/me HTTP/1.1\r\n", b"Host:\r\n"),
        (b"GET /v1/me HTTP/1.1\r\n", b"Host: a b\r\n"),
        (b"GET /v1/me HTTP/1.1\r\n", b"Host: localhost, evil.example\r\n"),
        (b"GET /v1/me HTTP/1.1\r\n", b"Host: localhost/\r\n"),
        (b"GET http://evil.example/v1/me HTTP/1.1\r\n", HOST),
        (b"GET http://localhost@evil.example/v1/me HTTP/1.1\r\n", HOST),
        (b"GET evil.example:80 HTTP/1.1\r\n", HOST),
        (b"CONNECT localhost:80 HTTP/1.1\r\n", HOST),
        (b"GET /v1/me\r\n", b""),
        (b"GET /v1/me HTTP/2.0\r\n", HOST),
        (b"POST /v1/none HTTP/1.1\r\n", HOST + b"Transfer-Encoding: gzip, chunked\r\n"),
        (b"POST /v1/none HTTP/1.1\r\n", HOST + CHUNKED + CHUNKED),
        (b"POST /v1/none HTTP/1.0\r\n", HOST + CHUNKED),
    ],
    ids=str,
)
async def test_a_request_whose_host_or_end_is_in_doubt_is_a_bad_request(ann: Api, start: bytes, more: bytes) -> None:
    came = await replies(ann, start + more + b"\r\n")
    assert statuses(came) == [400], came
    assert b"INVALID_ARGUMENT" in came


async def test_a_client_of_http_1_0_needs_no_host_and_gets_one_answer(ann: Api) -> None:
    came = await replies(ann, b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + get("/healthz"))
    assert statuses(came) == [200]


async def test_a_target_in_absolute_form_is_read(ann: Api) -> None:
    came = await replies(ann, b"GET http://localhost/v1/me HTTP/1.1\r\nConnection: close\r\n" + HOST + bearer(ann) + b"\r\n")
    assert statuses(came) == [200]


async def test_a_page_whose_name_was_rebound_to_this_machine_gets_nothing(ann: Api) -> None:
    login = b'{"user":"eve"}'
    origin = b"Origin: http://rebind.evil.example:8080\r\n"
    sign_in = b"POST /v1/dev/login HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(login)
    socket = b"".join(f"{name}: {value}\r\n".encode() for name, value in upgrade(ann).items())
    for data in (
        b"GET / HTTP/1.1\r\n" + REBOUND + b"\r\n",
        b"GET /v1/me HTTP/1.1\r\n" + REBOUND + bearer(ann) + b"\r\n",
        sign_in + REBOUND + origin + b"\r\n" + login,
        b"GET /v1/connect HTTP/1.1\r\n" + REBOUND + origin + socket + b"\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n" + bearer(ann) + b"\r\n",
    ):
        came = await replies(ann, data)
        assert statuses(came) == [421], came
        assert b"NOT_ALLOWED" in came


async def test_a_large_body_that_nobody_reads_ends_the_connection_after_the_answer(ann: Api) -> None:
    start = b"POST /v1/channels HTTP/1.1\r\n" + HOST
    came = await replies(ann, start + b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000 + LAST)
    assert statuses(came) == [401]
    assert b"connection: close" in came.lower()
    chunks = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    assert statuses(await replies(ann, start + CHUNKED + b"\r\n" + chunks * 300 + b"0\r\n\r\n" + LAST)) == [401]
    assert statuses(await replies(ann, start + b"Content-Length: 7000\r\n\r\n" + b"x" * 7_000 + LAST)) == [401, 200]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v1/me HTTP/1.1\r\n" + HOST + b"a:b\r\n" * 200 + b"\r\n", 431),
        (b"POST /v1/channels HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n0\r\n" + b"a:b\r\n" * 200, 431),
        (b"GET /v1/me HTTP/1.1\r\n" + HOST + b"a:" + b"b" * 20_000, 431),
    ],
    ids=["many header lines", "many trailers", "one long line"],
)
async def test_too_much_of_a_head_is_refused_before_it_ends(ann: Api, data: bytes, status: int) -> None:
    found = statuses(await replies(ann, data))
    assert found in ([status], [401])  # where the answer came before the trailers
