"""Rate limits per user and per address over two gateways: a flooder has to wait, others do not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from dataclasses import dataclass
from http import HTTPStatus

import httpx
import pytest
import pytest_asyncio

from stack import Stack
from tests.client import Answer, Api, Socket, connect, login
from tests.flow.world import live, refusal

BURST_OF_GUESSES = 50
BURST_OF_SENDS = 100
BURST_OF_ROOMS = 10
BURST_OF_REQUESTS = 150
PEOPLE = ("ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal")
# Low rates, so that a bucket regains little while a busy machine answers slowly.
_ENV = {
    "HUBBUB_STRANGERS_PER_SECOND": "5",
    "HUBBUB_USER_SENDS_PER_SECOND": "5",
    "HUBBUB_SENDS_PER_SECOND": "500",
    "HUBBUB_SEND_BURST": "10000",
    "HUBBUB_JOINS_PER_SECOND": "1",
    "HUBBUB_REQUESTS_PER_SECOND": "1",
    "HUBBUB_REQUEST_BURST": "150",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Two gateways, and users who have signed in before the flood."""

    urls: list[str]
    tokens: dict[str, str]
    http: httpx.AsyncClient

    def person(self, user: str, gateway: int = 0) -> Api:
        return Api(self.urls[gateway], self.tokens[user], self.http, user)

    def guesser(self, gateway: int = 0) -> Api:
        """A caller with an invalid token."""
        return Api(self.urls[gateway], "a.b.c", self.http)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls_and_tokens(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[list[str], dict[str, str]]]:
    async with Stack(tmp_path_factory.mktemp("limited"), gateways=2, env=_ENV) as stack, httpx.AsyncClient() as http:
        urls = [gateway.url for gateway in stack.gateways]
        people = [await login(http, urls[0], user) for user in PEOPLE]
        yield urls, {person.user: str(person.token) for person in people}


@pytest.fixture
async def place(urls_and_tokens: tuple[list[str], dict[str, str]]) -> AsyncIterator[Place]:
    async with httpx.AsyncClient() as http:
        yield Place(*urls_and_tokens, http)


async def test_an_address_that_guesses_tokens_must_wait_and_a_valid_token_need_not(place: Place) -> None:
    guess = place.guesser()
    tried = [await guess.call("GET", "/v1/me") for _ in range(2 * BURST_OF_GUESSES)]
    assert [answer.reason for answer in tried[:25]] == ["NOT_AUTHENTICATED"] * 25
    assert "RATE_LIMITED" in {answer.reason for answer in tried}
    knocks = await asyncio.gather(*(refusal(guess) for _ in range(50)))  # more than the bucket regains meanwhile
    told = next(knock for knock in knocks if knock.status == HTTPStatus.TOO_MANY_REQUESTS)
    assert int(told.headers["retry-after"]) >= 1
    anonymous = Api(place.urls[0], None, place.http)
    logins = await asyncio.gather(*(anonymous.call("POST", "/v1/dev/login", {"user": "eve"}) for _ in range(50)))
    assert "RATE_LIMITED" in {answer.reason for answer in logins}
    ann = place.person("ann")
    await ann.ok("GET", "/v1/me")
    async with connect(ann):
        pass


async def test_a_users_sends_count_together_over_sockets_and_http(place: Place) -> None:
    bob = place.person("bob")
    room = await bob.create("group", name="a room")
    async with live(bob) as socket:
        assert await sends(socket) >= BURST_OF_SENDS - 1  # its sync was the first
        posting = (bob.call("POST", f"/v1/channels/{room}/messages", {"text": "hello"}) for _ in range(100))
        assert "RATE_LIMITED" in {answer.reason for answer in await asyncio.gather(*posting)}


async def test_creating_and_joining_channels_is_rate_limited(place: Place) -> None:
    cat = place.person("cat")
    answers = [await cat.call("POST", "/v1/channels", {"kind": "public", "name": "x"}) for _ in range(2 * BURST_OF_ROOMS)]
    assert [answer.status for answer in answers[:5]] == [201] * 5
    assert (429, "RATE_LIMITED") in {(answer.status, answer.reason) for answer in answers}
    joins = await asyncio.gather(*(cat.call("POST", f"/v1/channels/{answers[0].body['id']}/join") for _ in range(20)))
    assert "RATE_LIMITED" in {answer.reason for answer in joins}


async def test_an_allowance_is_shared_by_the_gateways(place: Place) -> None:
    here, there = place.person("dan", 0), place.person("dan", 1)
    room = await here.create("public", name="a room")
    async with live(here) as at_one, live(there) as at_two:
        await asyncio.gather(sends(at_one), joins(here, room), guesses(place.guesser(0)))
        await asyncio.sleep(2)  # gateways exchange their counts once a second
        granted = await asyncio.gather(sends(at_two), joins(there, room), guesses(place.guesser(1)))
    bursts = (BURST_OF_SENDS, BURST_OF_ROOMS, BURST_OF_GUESSES)
    assert all(count < burst * 3 / 4 for count, burst in zip(granted, bursts, strict=True)), granted  # not the whole burst again


async def test_reads_changes_and_handshakes_are_paid_for_over_both_gateways(place: Place) -> None:
    """The probes of a review that found none of these limited, a burst of each and more."""
    probes: dict[str, tuple[str, int, str, str, object]] = {
        "eve": ("read", 1, "GET", "/v1/channels", None),
        "fay": ("change", 2, "PATCH", "/v1/channels/{}", {"topic": "x"}),
        "gus": ("ticket", 2, "POST", "/v1/tickets", None),
    }
    for user, (what, cost, method, path, body) in probes.items():
        here, there = place.person(user), place.person(user, 1)
        room = await here.create("group", name="a room")
        count = BURST_OF_REQUESTS // cost + 60
        granted = await allowed(here.call(method, path.format(room), body) for _ in range(count))
        assert BURST_OF_REQUESTS // cost - 10 <= granted < count, what
        await asyncio.sleep(2)  # gateways exchange their counts once a second
        assert await allowed(there.call(method, path.format(room), body) for _ in range(count)) < granted * 3 / 4, what
        told = await refusal(there)
        assert (told.status, int(told.headers["retry-after"]) >= 1) == (HTTPStatus.TOO_MANY_REQUESTS, True)


async def test_two_searches_of_a_user_are_under_way_and_the_surplus_is_refused(place: Place) -> None:
    hal, ann = place.person("hal"), place.person("ann")
    room = await hal.create("group", name="a room")
    for number in range(20):
        await hal.post(room, " ".join(f"{number}-{word}" for word in range(1_500)))
    found = [asyncio.create_task(hal.call("GET", "/v1/search?q=zzzzzzzzz")) for _ in range(24)]
    beside = [await ann.call("GET", "/v1/channels") for _ in range(5)]
    reasons = [(await each).reason for each in found]
    assert {each.status for each in beside} == {200}
    assert set(reasons) == {"", "RATE_LIMITED"}


async def sends(socket: Socket) -> int:
    """Send more frames than a burst, about nothing that exists; returns how many were not rate limited."""
    asking = (socket.request("read", channel="none", seq=1) for _ in range(2 * BURST_OF_SENDS))
    return sum(answer["reason"] != "RATE_LIMITED" for answer in await asyncio.gather(*asking))


async def joins(api: Api, room: str) -> int:
    """Join more often than a burst; returns how many joins were not rate limited."""
    return await allowed(api.call("POST", f"/v1/channels/{room}/join") for _ in range(2 * BURST_OF_ROOMS))


async def guesses(guesser: Api) -> int:
    """Try more tokens than a burst; returns how many attempts were not rate limited."""
    return await allowed(guesser.call("GET", "/v1/me") for _ in range(2 * BURST_OF_GUESSES))


async def allowed(asking: Iterable[Awaitable[Answer]]) -> int:
    """How many answers are not RATE_LIMITED."""
    return sum(answer.reason != "RATE_LIMITED" for answer in await asyncio.gather(*asking))
