"""Two gateways behind a proxy without stickiness: what reaches the wrong one is handed on to the gateway of the session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import websockets

from bus.gateway_leases import open_gateway_leases
from chassis.config import Address, ConfigError, Secret
from chassis.identity import GATEWAY, make_key
from gateway.config import Config
from hubbub.gateway.v1.gateway_service_pb2 import HandOverRequest, RelayRequest
from hubbub.gateway.v1.gateway_service_pb2_grpc import GatewayServiceStub
from services.gateway.tests.house import House
from services.gateway.tests.socketio.conftest import closed, received, refused, until
from services.gateway.tests.socketio.pair import PEER, Pair, third
from services.gateway.tests.socketio.stock import CHANNEL, TRANSPORTS, by_header, post, stock

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning"),
]
PATH = "/socket.io/"
NAMED = {"EIO": "4", "transport": "polling"}
UNKNOWN = {"code": 1, "message": "Session ID unknown"}
GIVEN: dict[str, Any] = {
    "listen": PEER,
    "bus_url": Secret("redis://x"),
    "messages_target": "-",
    "presence_target": "-",
    "media_target": "-",
    "integrations_target": "-",
}


def waits(pair: Pair) -> bool:
    """Whether the only session has a poll that waits."""
    [session] = pair.sessions().values()
    return session.polling is not None and session.polling.waiting


class Polling:
    """A session of one gateway, reached through another one."""

    def __init__(self, sid: str, through: House, user: str = "ann") -> None:
        self.named = {**NAMED, "sid": sid}
        self.http = httpx.AsyncClient(base_url=through.url, headers=through.bearer(user), timeout=30)
        self.house = through

    async def get(self) -> httpx.Response:
        return await self.http.get(PATH, params=self.named)

    async def post(self, content: str | bytes) -> httpx.Response:
        return await self.http.post(PATH, params=self.named, content=content)

    async def told(self, prefix: str) -> str:
        """Poll until a packet begins so."""
        while True:
            for packet in (await self.get()).text.split("\x1e"):
                if packet.startswith(prefix):
                    return packet


@asynccontextmanager
async def polling(pair: Pair, **headers: str) -> AsyncIterator[Polling]:
    """A session of the first gateway, reached through the second."""
    async with httpx.AsyncClient(base_url=pair.one.url) as http:
        opened = await http.get(PATH, params=NAMED, headers=headers or pair.one.bearer("ann"))
    session = Polling(json.loads(opened.text[1:])["sid"], pair.two)
    async with session.http:
        yield session


def websocket(house: House, sid: str, **options: Any) -> Any:
    query = httpx.QueryParams({"EIO": "4", "transport": "websocket", "sid": sid})
    return websockets.connect(f"ws://127.0.0.1:{house.port}{PATH}?{query}", ping_interval=None, compression=None, **options)


async def test_a_session_is_served_through_another_gateway(pair: Pair) -> None:
    async with polling(pair) as session:
        assert (await session.post("40")).text == "ok"
        assert json.loads((await session.told("42"))[2:])[0] == "hello"
        async with asyncio.TaskGroup() as group:
            told = group.create_task(session.told("42"))
            await until(lambda: waits(pair))
            await pair.one.store.publish(pair.one.bus, pair.one.store.append(CHANNEL))
        assert json.loads(told.result()[2:])[1]["seq"] == 3
        await session.post("421" + json.dumps(["send", post("k")]))
        assert json.loads((await session.told("431"))[3:])[0]["ok"] is True


async def test_a_poll_that_its_client_gives_up_ends_the_session_at_its_gateway(pair: Pair) -> None:
    async with polling(pair) as session:
        waiting = asyncio.create_task(session.get())
        await until(lambda: waits(pair))
        waiting.cancel()
        await until(lambda: not pair.sessions())


async def test_what_a_session_refuses_is_refused_through_another_gateway(pair: Pair) -> None:
    async with polling(pair) as session:
        stranger = Polling(session.named["sid"], pair.two, "bob")
        async with stranger.http:
            assert (await stranger.get()).status_code == 403
        assert (await session.post("x")).json() == {"code": 3, "message": "Bad request"}
    async with polling(pair) as session:
        too_large = await session.post(b"4" * 65_537)
        assert too_large.status_code == 413
        await until(lambda: not pair.sessions())


async def test_a_session_of_no_gateway_is_unknown(pair: Pair) -> None:
    """The id names a gateway, and never an address."""
    dialled = asyncio.Event()

    async def accept(_reader: object, writer: asyncio.StreamWriter) -> None:
        dialled.set()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = (f"127.0.0.1:{port}", "0123456789ab", pair.two.gateway.id, pair.one.gateway.id, "")
    async with server, httpx.AsyncClient(base_url=pair.two.url, headers=pair.two.bearer("ann")) as http:
        for name in names:
            for method in ("GET", "POST"):
                answer = await http.request(method, PATH, params={**NAMED, "sid": f"{name}.{'0' * 32}"})
                assert (answer.status_code, answer.json()) == (400, UNKNOWN)
            assert await refused(websocket(pair.two, f"{name}.{'0' * 32}")) == 400
    assert not dialled.is_set()


async def test_the_session_of_a_gateway_that_has_left_is_unknown(pair: Pair) -> None:
    async with third(pair) as house, httpx.AsyncClient(base_url=house.url) as http:
        opened = await http.get(PATH, params=NAMED, headers=house.bearer("ann"))
        named = {**NAMED, "sid": json.loads(opened.text[1:])["sid"]}
        async with httpx.AsyncClient(base_url=pair.two.url, headers=house.bearer("ann")) as other:
            assert (await other.post(PATH, params=named, content="40")).text == "ok"
    async with httpx.AsyncClient(base_url=pair.two.url, headers=pair.two.bearer("ann")) as http:
        answer = await http.get(PATH, params=named)
        assert (answer.status_code, answer.json()) == (400, UNKNOWN)


async def test_an_upgrade_is_carried_to_the_gateway_of_the_session(pair: Pair) -> None:
    async with polling(pair) as session:
        await session.post("40")
        async with websocket(pair.two, session.named["sid"]) as socket:
            await socket.send("2probe")
            assert await received(socket) == "3probe"
            await session.told("6")
            await socket.send("5")
            await socket.send("421" + json.dumps(["ping", {}]))
            assert await received(socket) == '431[{"ok":true}]'
            pair.one.store.append(CHANNEL)
            async with websocket(pair.two, session.named["sid"]) as second:
                assert await closed(second) == 1000
        await until(lambda: not pair.sessions())


async def test_a_gateway_that_stops_closes_the_websockets_that_it_carries(pair: Pair) -> None:
    async with polling(pair) as session:
        await session.post("40")
        async with third(pair) as house:
            socket = await websocket(house, session.named["sid"])
            await socket.send("2probe")
            assert await received(socket) == "3probe"
        await closed(socket)


async def test_only_gateways_may_call(pair: Pair) -> None:
    async with open_gateway_leases(pair.one.config.bus_url) as leases:
        address = (await leases.addresses())[pair.one.gateway.id]
    async with grpc.aio.insecure_channel(address) as channel:
        stub = GatewayServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.HandOver(HandOverRequest(method="GET", query="EIO=4&transport=polling"), timeout=5)
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.Relay(aiter_of(RelayRequest(handshake=HandOverRequest())), timeout=5).read()
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def aiter_of(*messages: RelayRequest) -> AsyncIterator[RelayRequest]:
    for message in messages:
        yield message


async def test_a_peer_port_that_others_can_reach_needs_a_key(tmp_path: Path) -> None:
    Config(**GIVEN, peer_listen=PEER)
    with pytest.raises(ConfigError, match="HUBBUB_GATEWAY_KEY"):
        Config(**GIVEN, peer_listen=Address("10.0.0.7", 9000))
    make_key(tmp_path / "key.pem")
    [caller] = Config(**GIVEN, gateway_key=Secret((tmp_path / "key.pem").read_text())).peers
    assert (caller.name, list(caller.scopes)) == (GATEWAY, ["gateway"])


@pytest.mark.parametrize(
    ("host", "address"),
    [("", "127.0.0.1:9"), ("10.0.0.7", "10.0.0.7:9"), ("fd00::7", "[fd00::7]:9"), ("[fd00::7]", "[fd00::7]:9")],
)
async def test_a_gateway_gives_its_host_as_an_address(host: str, address: str) -> None:
    assert Config(**GIVEN, peer_listen=PEER, peer_host=host).peer_address(9) == address


@TRANSPORTS
async def test_a_stock_client_needs_no_stickiness(pair: Pair, transports: list[str]) -> None:
    async with stock(pair.url, transports=transports, **by_header(pair.one)) as client:
        await client.told("hello")
        for number in range(10):
            [answer] = await client.answer("send", post(str(number)))
            assert answer["ok"] is True
        while len(client.seqs) < 10:
            await client.told("event")
        assert client.seqs == list(range(3, 13))
        upgraded = transports != ["polling"]
        await until(lambda: [session.polling is None for session in pair.sessions().values()] == [upgraded])
