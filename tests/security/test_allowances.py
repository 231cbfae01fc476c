"""What one user or address may ask for, with small limits, over two gateways: flooders are told to wait, others are not."""

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx
import pytest
import pytest_asyncio

from stack import Stack
from tests.client import Api, Socket, connect, login
from tests.flow.world import live, refusal

BURST_OF_STRANGERS = 100
BURST_OF_SENDS = 400
BURST_OF_ROOMS = 10
_ENV = {
    "HUBBUB_STRANGERS_PER_SECOND": "10",
    "HUBBUB_USER_SENDS_PER_SECOND": "20",
    "HUBBUB_SENDS_PER_SECOND": "500",
    "HUBBUB_SEND_BURST": "10000",
    "HUBBUB_JOINS_PER_SECOND": "1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[str]]:
    async with Stack(tmp_path_factory.mktemp("limited"), gateways=2, env=_ENV) as stack:
        yield [gateway.url for gateway in stack.gateways]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


async def test_an_address_that_tries_tokens_is_told_to_wait_and_who_has_one_is_not(
    urls: list[str], http: httpx.AsyncClient
) -> None:
    ann = await login(http, urls[0], "ann")
    guess = Api(urls[0], "a.b.c", http)
    tried = [await guess.call("GET", "/v1/me") for _ in range(2 * BURST_OF_STRANGERS)]
    assert [answer.reason for answer in tried[:50]] == ["NOT_AUTHENTICATED"] * 50
    assert "RATE_LIMITED" in {answer.reason for answer in tried}
    knocks = await asyncio.gather(*(refusal(guess) for _ in range(50)))  # more than come back meanwhile
    told = next(knock for knock in knocks if knock.status == HTTPStatus.TOO_MANY_REQUESTS)
    assert int(told.headers["retry-after"]) >= 1
    anybody = Api(urls[0], None, http)
    logins = await asyncio.gather(*(anybody.call("POST", "/v1/dev/login", {"user": "eve"}) for _ in range(50)))
    assert "RATE_LIMITED" in {answer.reason for answer in logins}
    await ann.ok("GET", "/v1/me")
    async with connect(ann):
        pass


async def test_a_users_sends_count_together_over_sockets_http_and_gateways(urls: list[str], http: httpx.AsyncClient) -> None:
    bob = await login(http, urls[1], "bob")
    room = await bob.create("group", name="a room")
    async with live(bob) as here, live(bob.at(urls[0])) as there:
        assert await granted(here) >= BURST_OF_SENDS - 1  # its sync was the first
        posting = (bob.call("POST", f"/v1/channels/{room}/messages", {"text": "hello"}) for _ in range(100))
        assert "RATE_LIMITED" in {answer.reason for answer in await asyncio.gather(*posting)}
        await asyncio.sleep(2)  # the other gateway is told once a second
        assert await granted(there) < BURST_OF_SENDS * 3 / 4  # by itself it would grant the whole burst again


async def granted(socket: Socket) -> int:
    """How many of more frames than a burst are not told to wait. They ask for nothing that there is."""
    asking = (socket.request("read", channel="none", seq=1) for _ in range(BURST_OF_SENDS + 200))
    return sum(answer["reason"] != "RATE_LIMITED" for answer in await asyncio.gather(*asking))


async def test_channels_made_and_joined_have_a_pace(urls: list[str], http: httpx.AsyncClient) -> None:
    cat = await login(http, urls[1], "cat")
    answers = [await cat.call("POST", "/v1/channels", {"kind": "public", "name": "x"}) for _ in range(2 * BURST_OF_ROOMS)]
    assert [answer.status for answer in answers[:5]] == [201] * 5
    assert (429, "RATE_LIMITED") in {(answer.status, answer.reason) for answer in answers}
    joins = await asyncio.gather(*(cat.call("POST", f"/v1/channels/{answers[0].body['id']}/join") for _ in range(20)))
    assert "RATE_LIMITED" in {answer.reason for answer in joins}
