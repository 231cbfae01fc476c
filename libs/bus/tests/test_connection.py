"""The connection matches replies to calls, keeps deadlines, and shows no password."""

from __future__ import annotations

import asyncio

import pytest

from bus.bus import BusUnavailable
from bus.redis_client import Client
from bus.redis_connection import Address, Connection
from stack import ports


async def test_a_cancelled_call_does_not_shift_the_replies_of_others(valkey_url: str) -> None:
    connection = await Connection.open(Address.parse(valkey_url), 5)
    cancelled = asyncio.ensure_future(connection.call([("BLPOP", "nothing", "0.05"), ("ECHO", "cancelled")], 5))
    following = asyncio.ensure_future(connection.call([("ECHO", "following")], 5))
    await asyncio.wait([following, cancelled], timeout=0)
    cancelled.cancel()
    assert await following == [b"following"]
    connection.close()


async def test_a_call_past_its_deadline_closes_the_connection_for_all(valkey_url: str) -> None:
    connection = await Connection.open(Address.parse(valkey_url), 5)
    with pytest.raises(BusUnavailable):
        await connection.call([("BLPOP", "nothing", 5)], 0.05)
    assert connection.closed
    with pytest.raises(BusUnavailable):
        await connection.call([("PING",)], 5)


async def test_a_deadline_holds_behind_a_call_with_a_longer_one(valkey_url: str) -> None:
    connection = await Connection.open(Address.parse(valkey_url), 5)
    patient = connection.send([("BLPOP", "nothing", 5)], 60)
    with pytest.raises(BusUnavailable, match="no answer in time"):
        await connection.call([("PING",)], 0.05)
    with pytest.raises(BusUnavailable, match="no answer in time"):
        await patient


async def test_a_deadline_holds_after_earlier_calls_were_answered(valkey_url: str) -> None:
    connection = await Connection.open(Address.parse(valkey_url), 5)
    await connection.call([("PING",)], 0.05)
    with pytest.raises(BusUnavailable, match="no answer in time"):
        await connection.call([("BLPOP", "nothing", 5)], 0.2)


async def test_an_error_reply_raises_without_quoting_the_command(valkey_url: str) -> None:
    connection = await Connection.open(Address.parse(valkey_url), 5)
    with pytest.raises(BusUnavailable) as raised:
        await connection.call([("NOSUCHCOMMAND", "something private")], 5)
    assert "private" not in str(raised.value)
    assert connection.closed


async def test_more_unanswered_calls_than_the_bound_are_refused(valkey_url: str) -> None:
    connection = await Connection.open(Address.parse(valkey_url), 5)
    blocked = connection.send([("BLPOP", "nothing", 5)], 10.0)
    with pytest.raises(BusUnavailable, match="too much unanswered"):  # noqa: PT012 (one of many calls raises)
        for _ in range(5_000):
            connection.send([("PING",)], 10.0).add_done_callback(lambda done: done.exception())
    connection.close()
    with pytest.raises(BusUnavailable):
        await blocked


async def test_a_wrong_password_raises_unavailable(valkey_url: str) -> None:
    address = Address.parse(valkey_url)
    with pytest.raises(BusUnavailable, match="WRONGPASS"):
        await Connection.open(Address(address.host, address.port, password="wrong"), 5)


async def test_calls_fail_at_once_while_the_server_is_unreachable() -> None:
    client = Client(Address("127.0.0.1", ports.free()[0]))
    loop = asyncio.get_running_loop()
    started = loop.time()
    for _ in range(200):
        with pytest.raises(BusUnavailable):
            await client.call([("PING",)])
    assert loop.time() - started < 2.0


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", Address("localhost", 6379)),
        ("redis://127.0.0.1:7000/3", Address("127.0.0.1", 7000, database=3)),
        ("redis://:p%40ss@h", Address("h", 6379, password="p@ss")),
        ("rediss://me:pass@h:1/0", Address("h", 1, user="me", password="pass", tls=True)),
    ],
)
def test_a_url_is_parsed(url: str, address: Address) -> None:
    assert Address.parse(url) == address
    assert "pass" not in repr(address).replace("password", "")


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://h", "redis://", "redis://h/one", "redis://h:port"])
def test_an_invalid_url_is_rejected(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the text does not matter)
        Address.parse(url)
