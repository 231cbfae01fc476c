"""Socket.IO protocol 5, by the topics of its public test suite, against the application that the suite expects.

Source: docs/socket.io-protocol of github.com/socketio/socket.io. What concerns Engine.IO is in test_engine_protocol.py.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.protocol.close_codes import Close
from gateway.socketio import owner
from services.gateway.tests.socketio.conftest import SOCKET, Application, closed, received, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMESPACES = pytest.mark.parametrize("namespace", ["", "/custom,"])


@asynccontextmanager
async def opened(application: Application) -> AsyncIterator[Any]:
    """A WebSocket whose session is open."""
    async with application.websocket(SOCKET) as socket:
        await received(socket)
        yield socket


@asynccontextmanager
async def connected(application: Application) -> AsyncIterator[Any]:
    """A WebSocket that is connected to the main namespace."""
    async with opened(application) as socket:
        await socket.send("40")
        assert (await received(socket)).startswith("40")
        assert await received(socket) == '42["auth",{}]'
        yield socket


@NAMESPACES
@pytest.mark.parametrize("auth", ["", '{"token":"123"}'])
async def test_a_client_connects_to_a_namespace(application: Application, namespace: str, auth: str) -> None:
    async with opened(application) as socket:
        await socket.send(f"40{namespace}{auth}")
        answer = await received(socket)
        assert answer.startswith(f"40{namespace}" + "{")
        assert json.loads(answer.removeprefix(f"40{namespace}")).keys() == {"sid"}
        assert await received(socket) == f'42{namespace}["auth",{auth or "{}"}]'


async def test_auth_does_not_come_with_the_answer_because_the_suite_would_miss_it(application: Application) -> None:
    sid = await application.open_polling(SOCKET)
    async with application.polling(SOCKET, sid) as poll:
        await application.post(SOCKET, sid, "40")
    assert (await poll).text.startswith("40{")
    assert "auth" not in (await poll).text
    assert (await application.get(SOCKET, sid=sid)).text == '42["auth",{}]'


@pytest.mark.parametrize("namespace", ["/random", "/random,", '/random,{"token":"x"}'])
async def test_an_unknown_namespace_is_refused(application: Application, namespace: str) -> None:
    async with opened(application) as socket:
        await socket.send(f"40{namespace}")
        assert await received(socket) == '44/random,{"message":"Invalid namespace"}'
        await socket.send("40")
        assert (await received(socket)).startswith("40")


@pytest.mark.parametrize("packet", ["4abc", "4", '42["message",1]', "41", "431[]", "40[]", "401"])
async def test_a_session_begins_by_connecting(application: Application, packet: str) -> None:
    async with opened(application) as socket:
        await socket.send(packet)
        assert await closed(socket) == Close.MALFORMED_FRAME.code


async def test_a_session_that_never_connects_ends(application: Application) -> None:
    async with opened(application) as socket:
        assert await closed(socket) == Close.NO_HEARTBEAT.code


async def test_an_unknown_namespace_does_not_count_as_a_connection(application: Application) -> None:
    async with opened(application) as socket:
        await socket.send("40/random")
        await received(socket)
        assert await closed(socket) == Close.NO_HEARTBEAT.code


async def test_a_client_disconnects_and_the_session_stays(fast_application: Application) -> None:
    async with connected(fast_application) as socket:
        await socket.send("41")
        assert await socket.recv() == "2"


async def test_a_client_disconnects_from_one_namespace_and_uses_the_other(application: Application) -> None:
    async with connected(application) as socket:
        await socket.send("40/custom")
        assert (await received(socket)).startswith("40/custom,")
        assert await received(socket) == '42/custom,["auth",{}]'
        await socket.send("41/custom")
        await socket.send('42["message","message to main namespace"]')
        assert await received(socket) == '42["message-back","message to main namespace"]'


async def test_an_event_for_a_namespace_that_was_left_closes(application: Application) -> None:
    async with connected(application) as socket:
        await socket.send("41")
        await socket.send('42["message",1]')
        assert await closed(socket) == Close.MALFORMED_FRAME.code


async def test_an_event_is_answered(application: Application) -> None:
    async with connected(application) as socket:
        await socket.send('42["message",1,"2",{"3":[true]}]')
        assert await received(socket) == '42["message-back",1,"2",{"3":[true]}]'


async def test_an_event_is_acknowledged(application: Application) -> None:
    async with connected(application) as socket:
        await socket.send('42456["message-with-ack",1,"2",{"3":[false]}]')
        assert await received(socket) == '43456[1,"2",{"3":[false]}]'
        await socket.send('429007199254740991["message-with-ack"]')
        assert await received(socket) == "439007199254740991[]"


TWO = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'


@pytest.mark.parametrize(
    ("packet", "answer"),
    [(f'452-["message",{TWO}]', f'452-["message-back",{TWO}]'), (f'452-789["message-with-ack",{TWO}]', f"462-789[{TWO}]")],
)
async def test_binary_attachments_come_back(application: Application, packet: str, answer: str) -> None:
    async with connected(application) as socket:
        await socket.send(packet)
        await socket.send(b"\x01\x02\x03")
        await socket.send(b"\x04\x05\x06")
        assert [await received(socket) for _ in range(3)] == [answer, b"\x01\x02\x03", b"\x04\x05\x06"]


async def test_binary_attachments_come_back_to_a_session_that_polls(application: Application) -> None:
    sid = await application.open_polling(SOCKET)
    packets = ["40", f'452-["message",{TWO}]', "bAQID", "bBAUG"]
    assert (await application.post(SOCKET, sid, "\x1e".join(packets))).text == "ok"
    connect, auth, *answer = (await application.get(SOCKET, sid=sid)).text.split("\x1e")
    assert connect.startswith("40{")
    assert auth == '42["auth",{}]'
    assert answer == [f'452-["message-back",{TWO}]', "bAQID", "bBAUG"]


@pytest.mark.parametrize(
    "packets",
    [
        ["4abc"],  # an unknown packet type
        ["42{}"],  # a payload that is no array
        ["42[]"],
        ["42"],
        ['42abc["message-with-ack",1,"2",{"3":[false]}]'],  # an id that is no number
        ['429007199254740992["message-with-ack"]'],
        ['42["message",' + "[" * 20_000 + "]" * 20_000 + "]"],  # nested deeply
        ['42["message",' + '{"a":' * 9_000 + "1" + "}" * 9_000 + "]"],
        ['451-["message",{"_placeholder":true,"num":0}]', '42["message"]'],  # a text where an attachment is due
        ['451-["message",{"_placeholder":true,"num":1}]', b"x"],  # a placeholder without an attachment
        ['450-["message",{"_placeholder":true,"num":0}]'],
        ['4511-["message"]'],  # too many attachments
        [b"x"],  # an attachment that was not announced
        ['44{"message":"x"}'],  # only the server refuses
    ],
)
async def test_what_is_no_packet_closes(application: Application, packets: list[str | bytes]) -> None:
    async with connected(application) as socket:
        for packet in packets:
            await socket.send(packet)
        assert await closed(socket) == Close.MALFORMED_FRAME.code


async def test_an_event_that_announces_no_attachment_is_an_event(application: Application) -> None:
    async with connected(application) as socket:
        await socket.send('450-["message",1]')
        assert await received(socket) == '42["message-back",1]'


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "disconnecting", "error", "constructor", "__proto__"])
async def test_an_event_with_a_reserved_name_reaches_nothing(application: Application, name: str) -> None:
    async with connected(application) as socket:
        await socket.send(f'42["{name}",1]')
        await socket.send('42["message",2]')
        assert await received(socket) == '42["message-back",2]'


async def test_attachments_that_do_not_come_end_the_session(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, "ATTACHMENTS_SECONDS", 0.05)
    async with connected(application) as socket:
        await socket.send(f'452-["message",{TWO}]')
        await socket.send(b"x")
        assert await closed(socket) == Close.MALFORMED_FRAME.code


async def test_an_acknowledgement_that_nobody_awaits_is_ignored(application: Application) -> None:
    async with connected(application) as socket:
        await socket.send("4312[1]")
        await socket.send('42["message",2]')
        assert await received(socket) == '42["message-back",2]'


async def test_a_session_that_has_ended_leaves_no_timer(application: Application) -> None:
    async with connected(application) as socket:
        session = next(iter(application.engines[SOCKET].sessions.values()))
        await socket.send(f'452-["message",{TWO}]')
        await socket.close()
    await until(lambda: not application.engines[SOCKET].sessions)
    assert session.closing is not None
