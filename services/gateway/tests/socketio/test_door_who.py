"""The Socket.IO door of a whole gateway: who may open a session, and by whose name it connects."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from chassis.errors import Unavailable
from gateway.protocol.close_codes import Close
from gateway.socketio import client as socketio_client
from gateway.socketio import door as socketio_door
from services.gateway.tests.house import House, open_house
from services.gateway.tests.socketio.conftest import closed, received, refused, until
from services.gateway.tests.socketio.door_client import (
    CHANNEL,
    NAMED,
    PATH,
    connected,
    ended,
    event,
    opened,
    polling,
    sessions,
    socket_url,
    websocket,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning"),
]


async def test_the_door_is_closed_unless_it_is_configured(bus_url: str, tmp_path: Path) -> None:
    async with open_house(bus_url, tmp_path) as closed_house, httpx.AsyncClient(base_url=closed_house.url) as http:
        assert (await http.get(PATH, params=NAMED)).status_code == 404
        assert await refused(websocket(closed_house)) == 404


async def test_the_handshake_says_the_heartbeat_and_the_limit(house: House) -> None:
    async with websocket(house) as socket:
        value = json.loads((await received(socket))[1:])
        assert (value["pingInterval"], value["pingTimeout"], value["maxPayload"]) == (25_000, 20_000, 65_536)


async def test_a_token_in_the_first_request_opens_a_session(house: House) -> None:
    async with connected(house):
        assert len(house.gateway.registry.connections) == 1


async def test_a_ticket_in_the_first_request_opens_a_session_and_stays_in_its_requests(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as http:
        ticket = (await http.post("/v1/tickets", headers=house.bearer("ann"))).json()["ticket"]
        named = {**NAMED, "ticket": ticket}
        named["sid"] = json.loads((await http.get(PATH, params=named)).text[1:])["sid"]
        assert (await http.post(PATH, params=named, content="40")).text == "ok"
        assert (await http.get(PATH, params=named)).text.startswith("40{")


@pytest.mark.parametrize(
    ("headers", "query", "status", "body"),
    [
        ({"Authorization": "Bearer x"}, {}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({"Authorization": ""}, {}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({}, {"ticket": "x"}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({}, {"token": "x"}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({"Origin": "https://evil.example"}, {}, 403, {"code": 4, "message": "NOT_ALLOWED"}),
    ],
)
async def test_a_wrong_credential_or_origin_is_refused(
    house: House, headers: dict[str, str], query: dict[str, str], status: int, body: Any
) -> None:
    async with httpx.AsyncClient(base_url=house.url) as http:
        answer = await http.get(PATH, params=NAMED | query, headers=headers)
        assert (answer.status_code, answer.json()) == (status, body)
    connecting = websockets.connect(socket_url(house, **query), additional_headers=headers)
    assert await refused(connecting) == status
    assert not sessions(house)


async def test_a_gateway_that_stops_answers_503(bus_url: str, tmp_path: Path) -> None:
    async with open_house(bus_url, tmp_path, socketio=True) as house, httpx.AsyncClient(base_url=house.url) as http:
        house.lifecycle.stop()
        answer = await http.get(PATH, params=NAMED, headers=house.bearer("ann"))
    assert (answer.status_code, answer.json()) == (503, {"code": 3, "message": "UNAVAILABLE"})
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_client_that_begins_with_a_websocket_shows_its_token_first(house: House) -> None:
    assert await refused(websocket(house, None)) == 401


async def test_late_authentication_can_be_allowed(bus_url: str, tmp_path: Path) -> None:
    async with open_house(bus_url, tmp_path, socketio=True, socketio_late_auth=True) as late, opened(late, None) as socket:
        await socket.send("40" + json.dumps({"token": late.token("ann")}))
        assert (await received(socket)).startswith('40{"sid":')
        assert (await event(socket))[1]["user"] == "ann"


async def test_a_session_that_polls_connects_by_the_token_in_connect(house: House) -> None:
    async with polling(house) as poller:
        await poller.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await poller.recv()).startswith('40{"sid":')
        assert (await event(poller))[1]["user"] == "ann"


@pytest.mark.parametrize("auth", [{}, {"token": "x"}, {"ticket": "x"}])
async def test_a_connect_without_a_valid_credential_is_refused(house: House, auth: dict[str, str]) -> None:
    async with polling(house) as poller:
        await poller.send("40" + json.dumps(auth))
        packet = await poller.recv()
        assert packet.startswith("44{")
        answer = json.loads(packet[2:])
        assert answer["message"] == answer["data"]["reason"] == "NOT_AUTHENTICATED"
        assert answer["data"].keys() == {"reason", "detail"}


@pytest.mark.parametrize(
    "auth",
    [
        {"positions": []},
        {"positions": {CHANNEL: -1}},
        {"positions": None},
        {"hold": 1},
        {"token": 5},
        {"positions": {CHANNEL: "1"}},
    ],
)
async def test_a_connect_with_wrong_fields_is_refused(house: House, auth: dict[str, Any]) -> None:
    async with opened(house) as socket:
        await socket.send("40" + json.dumps(auth))
        packet = await received(socket)
        assert packet.startswith("44{")
        assert json.loads(packet[2:])["message"] == "INVALID_FRAME"
    assert not house.gateway.registry.connections


async def test_the_identity_of_the_first_request_wins(house: House) -> None:
    async with opened(house, "ann") as socket:
        await socket.send("40" + json.dumps({"token": house.token("bob")}))
        assert json.loads((await received(socket))[2:])["message"] == "NOT_AUTHENTICATED"
        await socket.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await received(socket)).startswith('40{"sid":')


async def test_a_request_with_the_credential_of_another_user_is_403_and_one_without_any_is_served(house: House) -> None:
    async with polling(house, **house.bearer("ann")) as poller:
        await poller.send("40")
        assert (await poller.get(**house.bearer("bob"))).status_code == 403
        assert (await poller.post("3", **house.bearer("bob"))).json() == {"code": 4, "message": "NOT_ALLOWED"}
        assert await refused(websocket(house, "bob", sid=poller.sid)) == 403
        assert (await poller.get(**house.bearer("ann", seconds=900))).status_code == 200


async def test_a_blocked_user_is_refused(house: House) -> None:
    house.store.void.add("ann")
    async with opened(house) as socket:
        await socket.send("40")
        assert json.loads((await received(socket))[2:])["message"] == "NOT_AUTHENTICATED"


async def test_what_passes_by_itself_closes_the_transport_so_that_clients_come_back(house: House) -> None:
    async with opened(house) as socket, polling(house, **house.bearer("ann")) as poller:
        house.store.failure = Unavailable()
        await socket.send("40")
        assert await closed(socket) == Close.RESTARTING.code
        await poller.send("40")
        await until(lambda: not sessions(house))
        assert (await poller.get()).json() == {"code": 1, "message": "Session ID unknown"}


async def test_an_unknown_namespace_is_refused_and_the_session_goes_on(house: House) -> None:
    async with polling(house) as poller:
        await poller.send("40/admin,{}")
        assert await poller.recv() == '44/admin,{"message":"Invalid namespace"}'
        await poller.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await poller.recv()).startswith('40{"sid":')


@pytest.mark.parametrize("packet", ['42["send",{}]', "41", "431[]", '44{"message":"x"}', '42/admin,["a"]'])
async def test_a_session_begins_with_connect(house: House, packet: str) -> None:
    async with opened(house) as socket:
        await socket.send(packet)
        assert await closed(socket) == Close.MALFORMED_FRAME.code


async def test_a_second_connect_ends_the_session(house: House) -> None:
    async with connected(house) as socket:
        await socket.send("40")
        assert (await ended(socket))[0]["code"] == Close.MALFORMED_FRAME.code


async def test_a_client_that_is_not_known_in_time_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_client, "CONNECT_SECONDS", 0.1)
    async with polling(house) as poller, opened(house) as socket:
        await poller.send("40/admin,{}")  # which does not make it known
        await until(lambda: not sessions(house))
        await closed(socket)


async def test_sessions_that_are_not_known_are_bounded_by_address(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_door, "STRANGERS", 2)
    async with polling(house) as first, polling(house), httpx.AsyncClient(base_url=house.url) as http:
        answer = await http.get(PATH, params=NAMED)
        assert (answer.status_code, answer.json()["message"]) == (503, "RATE_LIMITED")
        assert (await http.get(PATH, params=NAMED, headers=house.bearer("ann"))).status_code == 200
        await first.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await first.recv()).startswith("40{")
        assert (await http.get(PATH, params=NAMED)).status_code == 200
        assert (await http.get(PATH, params=NAMED)).status_code == 503


async def test_an_upgrade_waits_until_the_client_is_known(house: House) -> None:
    async with polling(house) as poller:
        upgrading = asyncio.create_task(websocket(house, None, sid=poller.sid).__aenter__())
        await poller.send("40" + json.dumps({"token": house.token("ann")}))
        socket = await upgrading
        await socket.send("2probe")
        assert await received(socket) == "3probe"
        await socket.close()


async def test_an_upgrade_of_a_client_that_stays_unknown_is_401(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_door, "CONNECT_SECONDS", 0.1)
    async with polling(house) as poller:
        assert await refused(websocket(house, None, sid=poller.sid)) == 401
