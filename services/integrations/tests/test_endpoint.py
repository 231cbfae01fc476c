"""One request to a server that lies, stalls or dies; and names and addresses that lead into the deployment's network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from integrations.addresses import Address, is_public
from integrations.endpoint import ANSWER_BYTES, Endpoints, open_endpoints
from integrations.webhook import Ending, Outcome
from services.integrations.tests.conftest import local
from services.integrations.tests.receiver import Answer, answer, name_server, receiver

_DEADLINE_SECONDS = 1.0


@asynccontextmanager
async def endpoints(*nameservers: str, allowed: object = local) -> AsyncIterator[Endpoints]:
    async with open_endpoints(
        allowed,  # type: ignore[arg-type]
        plain_http=True,
        nameservers=nameservers,
        deadline_seconds=_DEADLINE_SECONDS,
    ) as opened:
        yield opened


async def outcome_of(given: Answer) -> Outcome:
    async with receiver() as server, endpoints() as client:
        server.behaviour = lambda _: given
        return await client.post(server.url, {}, b"{}")


@pytest.mark.parametrize(
    ("status", "ending"),
    [(200, "delivered"), (204, "delivered"), (301, "redirected"), (404, "refused"), (410, "gone"), (500, "refused")],
)
async def test_the_status_decides_what_came_of_an_attempt(status: int, ending: str) -> None:
    outcome = await outcome_of(answer(status, b"" if status == 204 else b"said"))
    assert (outcome.ending, outcome.status) == (ending, status)


async def test_a_redirect_is_not_followed() -> None:
    async with receiver() as secret, receiver() as server, endpoints() as client:
        for status in (301, 302, 303, 307, 308):
            server.behaviour = lambda _, status=status: answer(status, b"", f"location: {secret.url}")  # type: ignore[misc]
            assert (await client.post(server.url, {}, b"{}")).ending is Ending.REDIRECTED
        server.behaviour = lambda _: answer(302, b"", "location: http://169.254.169.254/latest/meta-data/")
        assert (await client.post(server.url, {}, b"{}")).ending is Ending.REDIRECTED
        assert secret.connections == 0


async def test_only_the_beginning_of_an_endless_answer_is_read() -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
            await writer.drain()

    outcome = await outcome_of(pour)
    assert (outcome.ending, outcome.answer) == (Ending.DELIVERED, b"x" * ANSWER_BYTES)


async def test_endless_headers_are_cut_off() -> None:
    async def pour(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"x: y\r\n" * 100)
            await writer.drain()

    assert (await outcome_of(pour)).ending is Ending.UNREACHABLE


async def test_an_answer_of_another_length_than_announced_counts_by_its_status() -> None:
    async def lie(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
        await writer.drain()

    outcome = await outcome_of(lie)
    assert (outcome.ending, outcome.answer) == (Ending.DELIVERED, b"short")


async def test_a_server_that_dies_before_its_status_is_unreachable() -> None:
    async def die(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 2")
        writer.transport.abort()

    assert (await outcome_of(die)).ending is Ending.UNREACHABLE


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"])
async def test_what_is_not_http_is_unreachable(said: bytes) -> None:
    assert (await outcome_of(said)).ending is Ending.UNREACHABLE


async def test_a_server_that_stalls_is_given_up_at_the_deadline() -> None:
    async def stall(_writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    assert (await outcome_of(stall)).ending is Ending.TIMEOUT


async def test_compressed_answers_are_not_unpacked() -> None:
    outcome = await outcome_of(answer(200, b"\x1f\x8bnot gzip", "content-encoding: gzip"))
    assert outcome.answer == b"\x1f\x8bnot gzip"


@pytest.mark.parametrize(("given", "seconds"), [("120", 120.0), ("-5", 0.0), ("soon", 0.0), ("9" * 400, 0.0)])
async def test_retry_after_is_read_in_seconds_only(given: str, seconds: float) -> None:
    assert (await outcome_of(answer(503, b"", f"retry-after: {given}"))).retry_after_seconds == seconds


async def test_cookies_and_proxies_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver() as proxy, receiver() as server, endpoints() as client:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        server.behaviour = lambda _: answer(200, b"", "set-cookie: a=b")
        for _ in range(2):
            assert (await client.post(server.url, {}, b"{}")).ending is Ending.DELIVERED
        assert proxy.connections == 0
        assert not any("cookie" in each.headers for each in server.received)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1", "127.1", "0"])
async def test_no_spelling_of_a_private_address_gets_a_connection(host: str) -> None:
    async with receiver() as secret, endpoints(allowed=is_public) as client:
        outcome = await client.post(f"http://{host}:{secret.port}/", {}, b"{}")
        assert outcome.ending in (Ending.FORBIDDEN_ADDRESS, Ending.UNREACHABLE)
        assert secret.connections == 0


async def test_a_name_with_a_private_address_gets_no_connection() -> None:
    async with receiver() as secret, name_server("127.0.0.1") as (names, where), endpoints(where, allowed=is_public) as client:
        assert (await client.post(f"http://hooks.example.com:{secret.port}/", {}, b"{}")).ending is Ending.FORBIDDEN_ADDRESS
        assert names.questions == 1
        assert secret.connections == 0


async def test_a_name_that_changes_its_address_cannot_lead_to_a_forbidden_one() -> None:
    def only_the_second(address: Address) -> bool:
        return str(address) == "127.0.0.2"

    async with (
        receiver("127.0.0.2") as public,
        receiver("127.0.0.1", public.port) as secret,
        name_server("127.0.0.2", "127.0.0.1") as (names, where),
    ):
        endings = []
        for _ in range(6):
            async with endpoints(where, allowed=only_the_second) as client:
                endings.append((await client.post(f"http://hooks.example.com:{public.port}/", {}, b"{}")).ending)
        assert endings == [Ending.DELIVERED, Ending.FORBIDDEN_ADDRESS] * 3
        assert (names.questions, public.connections, secret.connections) == (6, 3, 0)


async def test_a_name_that_is_not_answered_is_given_up_at_the_deadline() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    silent = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    async with endpoints(silent) as client:
        assert (await client.post("http://hooks.example.com/", {}, b"{}")).ending is Ending.TIMEOUT
    transport.close()
