"""Handshakes: those that RFC 6455 allows, those that it forbids, and hostile ones."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from tests.client import Api
from tests.client.wire import TEXT, Wire, accepts, handshake, spell, upgrade, wire
from tests.flow.world import World

ASKED = json.dumps({"type": "ping", "ref": "?"}).encode()


@pytest.fixture
async def ann(world: World) -> Api:
    return await world.person("ann")


async def lives(connection: Wire) -> None:
    await connection.send(spell(TEXT, ASKED))
    assert (await connection.message())["type"] == "pong"


async def replies(url: str, sent: bytes) -> bytes:
    """Everything that the server answers to these bytes until it ends the connection."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(15):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_the_handshake_is_answered_as_the_rfc_says(ann: Api) -> None:
    offered = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    status, fields, _, writer = await handshake(ann.url, {**upgrade(ann), **offered})
    writer.close()
    assert status == 101
    assert fields["sec-websocket-accept"] == accepts("dGhlIHNhbXBsZSBub25jZQ==").lower()
    assert (fields["upgrade"], fields["connection"]) == ("websocket", "upgrade")
    assert fields["sec-websocket-protocol"] == "hubbub.v1"
    assert "sec-websocket-extensions" not in fields


@pytest.mark.parametrize(
    "changed",
    [
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Version": ""},
        {"Sec-WebSocket-Key": ""},
        {"Sec-WebSocket-Key": "c2hvcnQ="},
        {"Sec-WebSocket-Key": "not base64 at all!!!!!!!"},
        {"Sec-WebSocket-Key": "eHh4eHh4eHh4eHh4eHh4"},  # 15 bytes
        {"Connection": "keep-alive"},
        {"Upgrade": "h2c"},
    ],
    ids=str,
)
async def test_an_invalid_handshake_is_refused_over_http(ann: Api, changed: dict[str, str]) -> None:
    status, fields, _, writer = await handshake(ann.url, {**upgrade(ann), **changed})
    writer.close()
    assert status in (400, 426)
    if changed.get("Sec-WebSocket-Version") == "12":
        assert fields["sec-websocket-version"] == "13"


@pytest.mark.parametrize("start", ["POST /v1/connect HTTP/1.1", "GET /v1/connect HTTP/1.0", "HEAD /v1/connect HTTP/1.1"])
async def test_only_a_get_of_http_1_1_is_a_handshake(ann: Api, start: str) -> None:
    status, _, _, writer = await handshake(ann.url, upgrade(ann), start=start)
    writer.close()
    assert status in (400, 405)


@pytest.mark.parametrize(
    "changed",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Upgrade": "WebSocket"},
        {"Connection": "UPGRADE"},
        {"Sec-WebSocket-Protocol": "chat, hubbub.v1"},
    ],
    ids=str,
)
async def test_a_handshake_may_be_written_in_several_ways(ann: Api, changed: dict[str, str]) -> None:
    async with wire(ann, headers=changed) as connection:
        await lives(connection)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        b"GET /v1/me HTTP/1.1\r\nHost: x\r\nBroken header\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /v1/channels HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/channels HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/channels HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx",
        b"GET /v1/me HTTP/9.9\r\nHost: x\r\n\r\n",
    ],
    ids=["TLS", "no header", "raw bytes in the target", "a negative length", "two framings", "two lengths", "a version to come"],
)
async def test_invalid_http_is_refused_and_the_connection_ends(ann: Api, sent: bytes) -> None:
    answer = await replies(ann.url, sent)
    assert answer.split(b" ")[1] in {b"400", b"401", b"404", b"505"}, answer[:200]
    assert b"500 " not in answer[:20]


async def test_two_hundred_unfinished_handshakes_do_not_keep_others_out(ann: Api) -> None:
    address = urlsplit(ann.url)
    writers = []
    for _ in range(200):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(b"GET /v1/connect HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        writers.append(writer)
    async with wire(ann) as connection:
        await lives(connection)
    for writer in writers:
        writer.close()
