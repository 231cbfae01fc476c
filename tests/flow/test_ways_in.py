"""Authentication: tokens, tickets, subprotocols, origins."""

import asyncio
import base64
import contextlib
import json
from urllib.parse import urlsplit

import pytest

from tests.client import Api, Refusal, connect, shapes
from tests.client.socket import Way
from tests.flow.world import World, refusal

WAYS: list[Way] = ["header", "ticket", "protocol"]


def forged(token: str, how: str) -> str:
    """A token that must not be accepted."""
    head, body, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))

    def coded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return {
        "garbage": "garbage",
        "altered claims": f"{head}.{coded({**claims, 'sub': 'another'})}.{signature}",
        "altered signature": f"{head}.{body}.{signature[::-1]}",
        "no signature": f"{coded({'alg': 'none'})}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{token}.{signature}",
        "too long": "a" * 9_000,
    }[how]


HOSTILE = ["garbage", "altered claims", "altered signature", "no signature", "two parts", "four parts", "too long"]


@pytest.mark.parametrize("way", WAYS)
async def test_each_of_three_ways_to_send_a_token_is_accepted(world: World, way: Way) -> None:
    ann = await world.person("ann")
    async with connect(ann, way) as socket:
        assert (socket.hello["user"], socket.hello["tenant"]) == ("ann", world.tenant)


async def test_dev_login_fills_in_the_default_tenant_and_makes_the_user_known(world: World) -> None:
    answer = await world.anonymous().ok("POST", "/v1/dev/login", {"user": "ann"}, shape=shapes.login)
    me = await Api(world.urls[1], answer["token"], world.http).ok("GET", "/v1/me", shape=shapes.me)
    assert (me["user"], me["tenant"]) == ("ann", "default")


async def test_me_returns_the_name_and_roles_of_the_token(world: World) -> None:
    ann = await world.person("ann", name="Ann Example", roles=["admin"])
    expected = {"user": "ann", "tenant": world.tenant, "name": "Ann Example", "roles": ["admin"]}
    assert await ann.ok("GET", "/v1/me", shape=shapes.me) == expected


async def test_dev_login_honours_the_time_to_live(world: World) -> None:
    body = {"user": "ann", "tenant": world.tenant, "ttl": 120}
    answer = await world.anonymous().ok("POST", "/v1/dev/login", body, shape=shapes.login)
    assert answer["expires_in"] == 120


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": ""},
        {"user": "a" * 129},
        {"user": 7},
        {"user": "ann", "tenant": "Not A Tenant"},
        {"user": "ann", "tenant": ""},
    ],
    ids=str,
)
async def test_dev_login_refuses_invalid_claims(world: World, body: object) -> None:
    await world.anonymous().refused("POST", "/v1/dev/login", body, reason="INVALID_ARGUMENT")


@pytest.mark.parametrize("path", ["/v1/me", "/v1/channels", "/v1/users", "/v1/search?q=x"])
async def test_without_a_token_http_answers_401(world: World, path: str) -> None:
    answer = await world.anonymous().refused("GET", path, reason="NOT_AUTHENTICATED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("how", HOSTILE)
async def test_a_hostile_token_gets_401_over_http_and_before_the_upgrade(world: World, how: str) -> None:
    ann = await world.person("ann")
    assert ann.token is not None
    mallory = Api(ann.url, forged(ann.token, how), world.http)
    await mallory.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
    for way in ("header", "protocol"):
        assert (await refusal(mallory, way)).status == 401


@pytest.mark.parametrize("scheme", ["Basic YW5uOmFubg==", "Bearer", "Bearer a b", "Token x"])
async def test_an_unusable_authorization_header_gets_401(world: World, scheme: str) -> None:
    answer = await world.anonymous().call("GET", "/v1/me", headers={"Authorization": scheme})
    assert answer.reason == "NOT_AUTHENTICATED"


async def test_a_refused_upgrade_carries_the_problem(world: World) -> None:
    refused = await refusal(world.anonymous())
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.headers["content-type"].startswith("application/problem+json")
    problem = json.loads(refused.body)
    shapes.problem(problem, "refusal")
    assert (problem["status"], problem["reason"]) == (401, "NOT_AUTHENTICATED")


@pytest.mark.parametrize("name", ["token", "access_token", "bearer", "authorization", "ticket"])
async def test_a_token_in_the_query_is_refused(world: World, name: str) -> None:
    ann = await world.person("ann")
    assert (await refusal(world.anonymous(), query=f"?{name}={ann.token}")).status == 401


async def test_a_ticket_is_good_once_at_any_gateway(world: World) -> None:
    ann = await world.person("ann")
    query = f"?ticket={await ann.ticket()}"
    async with connect(world.anonymous(1), query=query) as socket:
        assert socket.hello["user"] == "ann"
    for gateway in (0, 1):
        assert (await refusal(world.anonymous(gateway), query=query)).status == 401


async def test_of_many_simultaneous_uses_of_a_ticket_one_succeeds(world: World) -> None:
    ann = await world.person("ann")
    query = f"?ticket={await ann.ticket()}"

    async def try_it(gateway: int) -> bool:
        with contextlib.suppress(Refusal):
            async with connect(world.anonymous(gateway), query=query):
                return True
        return False

    assert sum(await asyncio.gather(*(try_it(number % 2) for number in range(8)))) == 1


async def test_an_unknown_ticket_gets_401(world: World) -> None:
    for ticket in ("unknown", "", "x" * 32, "%00"):
        assert (await refusal(world.anonymous(), query=f"?ticket={ticket}")).status == 401


async def test_only_an_authenticated_caller_gets_a_ticket(world: World) -> None:
    await world.anonymous().refused("POST", "/v1/tickets", reason="NOT_AUTHENTICATED")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_foreign_origin_gets_403(world: World, origin: str) -> None:
    refused = await refusal(await world.person("ann"), origin=origin)
    assert refused.status == 403
    assert json.loads(refused.body)["reason"] == "NOT_ALLOWED"


async def test_the_servers_own_origin_is_allowed(world: World) -> None:
    ann = await world.person("ann")
    async with connect(ann, origin=ann.url) as socket:
        assert socket.hello["user"] == "ann"


@pytest.mark.parametrize("path", ["/", "/v1/elsewhere", "/v1/connect/", "/v1/connectx"])
async def test_an_upgrade_of_another_path_is_not_found(world: World, path: str) -> None:
    ann = await world.person("ann")
    head = f"GET {path} HTTP/1.1\r\nAuthorization: Bearer {ann.token}\r\n"
    assert await raw_upgrade(ann.url, head) == 404


async def raw_upgrade(url: str, head: str) -> int:
    """Send an upgrade with exactly these bytes; returns the status of the answer."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    writer.write(f"{head}Host: {address.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n".encode())
    try:
        async with asyncio.timeout(15):
            line = await reader.readline()
    finally:
        writer.close()
    return int(line.split()[1])
