"""Engine.IO protocol 4, by the topics of its public test suite, against the application that the suite expects.

Source: docs/engine.io-protocol of github.com/socketio/socket.io. The suite itself runs against
`python -m gateway.socketio.conformance`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.protocol.close_codes import Close
from gateway.socketio import polling as polling_transport
from gateway.socketio import websocket as engine_websocket
from gateway.wire.framing import text_frame
from services.gateway.tests.socketio.conftest import ENGINE, SOCKET, Application, closed, received, refused, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
both = pytest.mark.parametrize("path", [ENGINE, SOCKET])
echoes = pytest.mark.parametrize("path", [ENGINE])
OPENED = {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}


def opened(packet: str, upgrades: list[str]) -> dict[str, Any]:
    assert packet.startswith("0")
    value = json.loads(packet[1:])
    assert value.keys() == OPENED
    assert (value["upgrades"], value["maxPayload"]) == (upgrades, 1_000_000)
    assert isinstance(value["sid"], str)
    return dict(value)


# Handshake.


@both
async def test_a_request_opens_a_session(application: Application, path: str) -> None:
    answer = await application.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=UTF-8")
    assert answer.headers["cache-control"] == "no-store"
    opened(answer.text, ["websocket"])


@both
async def test_the_open_packet_says_the_heartbeat(fast_application: Application, path: str) -> None:
    value = opened((await fast_application.get(path)).text, ["websocket"])
    assert (value["pingInterval"], value["pingTimeout"]) == (300, 200)


@both
async def test_a_websocket_opens_a_session(application: Application, path: str) -> None:
    async with application.websocket(path) as socket:
        opened(await received(socket), [])


WRONG = [
    ({"transport": "polling"}, 5),
    ({"EIO": "abc", "transport": "polling"}, 5),
    ({"EIO": "3", "transport": "polling"}, 5),
    ({"EIO": "4"}, 0),
    ({"EIO": "4", "transport": "abc"}, 0),
    ({"EIO": "4", "transport": "websocket"}, 3),  # without the handshake of a WebSocket
    ({"EIO": "4", "transport": "polling", "sid": "none"}, 1),
    ({"EIO": "4", "transport": "polling", "sid": ""}, 1),
]


@both
@pytest.mark.parametrize(("parameters", "code"), WRONG)
async def test_a_request_with_wrong_parameters_is_400(
    application: Application, path: str, parameters: dict[str, str], code: int
) -> None:
    answer = await application.http.get(path, params=parameters)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not application.engines[path].sessions


@both
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
async def test_a_session_begins_with_get(application: Application, path: str, method: str) -> None:
    answer = await application.http.request(method, path, params={"EIO": "4", "transport": "polling"})
    assert answer.status_code == 400


@both
@pytest.mark.parametrize(
    "parameters", [{"EIO": "abc"}, {"EIO": ""}, {"transport": "abc"}, {"transport": "polling"}, {"sid": "x"}]
)
async def test_a_websocket_with_wrong_parameters_is_400(application: Application, path: str, parameters: dict[str, str]) -> None:
    assert await refused(application.websocket(path, **parameters)) == 400


# Messages.

TEXTS = ["4hello", "4test1\x1e4test2\x1e4test3", "4hello\x1ebAQIDBA==", "4" + "ä€😀"]


@echoes
@pytest.mark.parametrize("payload", TEXTS)
async def test_packets_that_are_posted_come_back(application: Application, path: str, payload: str) -> None:
    sid = await application.open_polling(path)
    posted = await application.post(path, sid, payload)
    assert (posted.status_code, posted.text) == (200, "ok")
    answer = await application.get(path, sid=sid)
    assert (answer.status_code, answer.content.decode()) == (200, payload)


@echoes
async def test_a_burst_of_packets_comes_back_whole_and_in_order(application: Application, path: str) -> None:
    """In answers of at most 16 packets, since python-engineio refuses more."""
    sid = await application.open_polling(path)
    sent = [f"4{number}" for number in range(1_000)]
    assert (await application.post(path, sid, "\x1e".join(sent))).text == "ok"
    found: list[str] = []
    while len(found) < len(sent):
        packets = (await application.get(path, sid=sid)).text.split("\x1e")
        assert len(packets) <= 16
        found += [packet for packet in packets if packet != "2"]
    assert found == sent


@both
@pytest.mark.parametrize("payload", [b"abc", b"", b"4a\x1e", b"b!!", b"4\xff", b"2", b"2probe", b"5", b"0{}"])
async def test_what_is_no_payload_of_a_client_ends_the_session(application: Application, path: str, payload: bytes) -> None:
    sid = await application.open_polling(path)
    assert (await application.post(path, sid, payload)).status_code == 400
    assert (await application.get(path, sid=sid)).status_code == 400


@both
async def test_a_payload_beyond_the_limit_ends_the_session(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    assert (await application.post(path, sid, b"4" * 1_000_001)).status_code == 413
    assert (await application.get(path, sid=sid)).status_code == 400


@both
async def test_a_second_poll_ends_the_session(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    async with application.polling(path, sid) as first:
        assert (await application.get(path, sid=sid)).status_code == 400
        answer = await first
        assert (answer.status_code, answer.text) == (200, "1")
    assert (await application.get(path, sid=sid)).status_code == 400


@both
async def test_a_second_post_ends_the_session(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    ready = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"4"
        await ready.wait()
        yield b"x"

    first = asyncio.create_task(application.post(path, sid, slowly()))
    session = application.session(sid)
    await until(lambda: session.posting)
    assert (await application.post(path, sid, "4b")).status_code == 400
    ready.set()
    assert (await first).status_code == 400
    assert not application.engines[path].sessions


@both
async def test_a_poll_that_the_client_gives_up_ends_the_session(application: Application, path: str) -> None:
    """What its answer would hold could be lost."""
    sid = await application.open_polling(path)
    session = application.session(sid)
    polling = session.polling
    assert polling is not None
    task = asyncio.create_task(application.get(path, sid=sid))
    await until(lambda: polling.waiting)
    task.cancel()
    await until(lambda: session.closing is not None)
    assert (await application.get(path, sid=sid)).status_code == 400


@echoes
async def test_a_text_sent_on_a_websocket_comes_back(application: Application, path: str) -> None:
    async with application.websocket(path) as socket:
        await received(socket)
        await socket.send("4hello")
        assert await received(socket) == "4hello"


@echoes
@pytest.mark.parametrize("size", [4, 200, 70_000])
async def test_binary_sent_on_a_websocket_comes_back(application: Application, path: str, size: int) -> None:
    async with application.websocket(path) as socket:
        await received(socket)
        await socket.send(bytes(size))
        assert await received(socket) == bytes(size)
        await socket.send([b"\xff", b"", b"\xfe" * size])  # in fragments, and not UTF-8
        assert await received(socket) == b"\xff" + b"\xfe" * size


@both
@pytest.mark.parametrize("packet", ["abc", "", "0{}", "2", "2probe", "5", "7"])
async def test_what_is_no_packet_of_a_client_closes_the_websocket(application: Application, path: str, packet: str) -> None:
    async with application.websocket(path) as socket:
        await received(socket)
        await socket.send(packet)
        assert await closed(socket) == Close.MALFORMED_FRAME.code


# Heartbeat.


@echoes
async def test_a_session_that_polls_is_pinged(fast_application: Application, path: str) -> None:
    sid = await fast_application.open_polling(path)
    for _ in range(3):
        assert (await fast_application.get(path, sid=sid)).text == "2"
        assert (await fast_application.post(path, sid, "3")).status_code == 200


@echoes
async def test_a_session_that_polls_ends_without_pongs(fast_application: Application, path: str) -> None:
    sid = await fast_application.open_polling(path)
    session = fast_application.session(sid)
    assert (await fast_application.get(path, sid=sid)).text == "2"
    assert (await fast_application.get(path, sid=sid)).text == "1"
    assert session.closing is Close.NO_HEARTBEAT
    assert (await fast_application.get(path, sid=sid)).status_code == 400


@both
async def test_a_session_that_nobody_polls_ends(fast_application: Application, path: str) -> None:
    await fast_application.open_polling(path)
    await until(lambda: not fast_application.engines[path].sessions)


@echoes
async def test_a_websocket_is_pinged(fast_application: Application, path: str) -> None:
    async with fast_application.websocket(path) as socket:
        await received(socket)
        for _ in range(3):
            assert await asyncio.wait_for(socket.recv(), 10) == "2"
            await socket.send("3")


@echoes
async def test_a_websocket_is_closed_without_pongs(fast_application: Application, path: str) -> None:
    async with fast_application.websocket(path) as socket:
        assert await closed(socket) == Close.NO_HEARTBEAT.code


# Close.


@both
async def test_a_client_that_closes_gets_a_noop_for_its_poll(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    async with application.polling(path, sid) as poll:
        assert (await application.post(path, sid, "1")).text == "ok"
        answer = await poll
        assert (answer.status_code, answer.text) == (200, "6")
    assert (await application.get(path, sid=sid)).status_code == 400


@both
async def test_a_poll_that_comes_after_the_close_gets_a_noop_too(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    assert (await application.post(path, sid, "1")).text == "ok"
    assert (await application.get(path, sid=sid)).text == "6"
    assert (await application.get(path, sid=sid)).status_code == 400


@both
async def test_a_session_that_was_closed_is_forgotten(
    application: Application, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling_transport, "LINGER_SECONDS", 0.01)
    sid = await application.open_polling(path)
    assert (await application.post(path, sid, "1")).text == "ok"
    await until(lambda: not application.engines[path].sessions)


@both
async def test_a_client_that_closes_on_a_websocket_is_closed(application: Application, path: str) -> None:
    async with application.websocket(path) as socket:
        await received(socket)
        await socket.send("1")
        await closed(socket)
    await until(lambda: not application.engines[path].sessions)


@both
async def test_a_websocket_that_vanishes_ends_its_session(application: Application, path: str) -> None:
    async with application.websocket(path) as socket:
        await received(socket)
        socket.transport.abort()
    await until(lambda: not application.engines[path].sessions)


# Upgrade.


async def upgraded(application: Application, path: str) -> tuple[str, Any]:
    sid = await application.open_polling(path)
    socket = await application.websocket(path, sid=sid)
    await socket.send("2probe")
    assert await received(socket) == "3probe"
    await socket.send("5")
    await until(lambda: application.session(sid).polling is None)
    return sid, socket


@echoes
async def test_a_session_upgrades(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    async with application.websocket(path, sid=sid) as socket:
        async with application.polling(path, sid) as poll:
            await socket.send("2probe")
            assert await received(socket) == "3probe"
            assert (await poll).text == "6"
        assert (await application.get(path, sid=sid)).text == "6"  # until the client stops polling
        await socket.send("5")
        await socket.send("4hello")
        assert await received(socket) == "4hello"


@echoes
async def test_what_no_request_has_fetched_moves_to_the_websocket_in_order(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    assert (await application.post(path, sid, "\x1e".join(f"4{number}" for number in range(40)) + "\x1ebAQI=")).text == "ok"
    async with application.websocket(path, sid=sid) as socket:
        await socket.send("2probe")
        assert await received(socket) == "3probe"
        polled = (await application.get(path, sid=sid)).text.split("\x1e")
        await socket.send("5")
        await socket.send("4last")
        moved = [await received(socket) for _ in range(42 - len(polled))]
    assert polled + moved == [*(f"4{number}" for number in range(40)), b"\x01\x02", "4last"]


@both
async def test_requests_after_the_upgrade_are_400_and_the_session_stays(application: Application, path: str) -> None:
    sid, socket = await upgraded(application, path)
    assert (await application.get(path, sid=sid)).status_code == 400
    assert (await application.post(path, sid, "4a")).status_code == 400
    assert application.session(sid).closing is None
    await socket.close()


@both
async def test_a_second_websocket_is_closed_and_the_session_stays(application: Application, path: str) -> None:
    sid, socket = await upgraded(application, path)
    async with application.websocket(path, sid=sid) as second:  # accepted first: clients may treat a refusal as their defect
        await closed(second)
    assert application.session(sid).closing is None
    await socket.close()


@both
async def test_a_second_probe_is_closed_and_the_first_goes_on(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    async with application.websocket(path, sid=sid) as first:
        await first.send("2probe")
        assert await received(first) == "3probe"
        async with application.websocket(path, sid=sid) as second:
            await closed(second)
        await first.send("5")
        await until(lambda: application.session(sid).polling is None)


@both
@pytest.mark.parametrize(
    "packets", [["4hello"], ["5"], ["2"], ["2probe", "4hello"], ["2probe", "2probe"], ["1"], [b"x"], ["2probe", b"x"]]
)
async def test_a_probe_that_says_anything_else_is_closed_and_the_session_polls_on(
    application: Application, path: str, packets: list[str | bytes]
) -> None:
    sid = await application.open_polling(path)
    async with application.websocket(path, sid=sid) as socket:
        for packet in packets:
            await socket.send(packet)
        await closed(socket)
    await until(lambda: application.session(sid).probe is None)
    async with application.polling(path, sid):  # it waits again: the release has ended
        assert (await application.post(path, sid, "1")).text == "ok"


@both
async def test_a_probe_that_vanishes_leaves_the_session_polling(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    async with application.websocket(path, sid=sid) as socket:
        await socket.send("2probe")
        assert await received(socket) == "3probe"
        socket.transport.abort()
    await until(lambda: application.session(sid).probe is None)
    async with application.polling(path, sid):
        assert (await application.post(path, sid, "1")).text == "ok"


@both
async def test_a_probe_that_does_not_upgrade_in_time_is_closed(
    application: Application, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_websocket, "PROBE_SECONDS", 0.05)
    sid = await application.open_polling(path)
    async with application.websocket(path, sid=sid) as socket:
        await closed(socket)
    assert application.session(sid).probe is None


@both
async def test_a_session_that_ends_closes_its_probe(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    async with application.websocket(path, sid=sid) as socket:
        await until(lambda: application.session(sid).probe is not None)
        assert (await application.post(path, sid, "1")).text == "ok"
        await closed(socket)


@both
async def test_a_session_that_ends_during_its_upgrade_ends_on_the_websocket(application: Application, path: str) -> None:
    """Its client has stopped polling, and would not hear of the end there."""
    sid = await application.open_polling(path)
    async with application.websocket(path, sid=sid) as socket:
        await socket.send("2probe")
        assert await received(socket) == "3probe"
        session = application.session(sid)
        session.transport.write(text_frame(b"4last"))
        session.close(Close.RESTARTING)
        await socket.send("5")
        assert await received(socket) == "4last"
        assert await closed(socket) == Close.RESTARTING.code
    await until(lambda: not application.engines[path].sessions)


@both
async def test_the_server_says_that_it_closes(application: Application, path: str) -> None:
    sid = await application.open_polling(path)
    async with application.polling(path, sid) as poll, application.websocket(path) as socket:
        await received(socket)
        for session in list(application.engines[path].sessions.values()):
            session.close(Close.RESTARTING)
        assert (await poll).text == "1"
        assert await closed(socket) == Close.RESTARTING.code
