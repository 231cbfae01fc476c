"""Browser sessions end on the server, and their cookies count for pages of the server's own origin only."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.http.routes import TABLE
from stack import Stack, ports
from tests.client import Api, Refusal, Socket, connect
from tests.security.signing import ANN, SHOP, Place, another_gateway, ask_provider, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")
REVOKED = 4501


@contextlib.asynccontextmanager
async def browser(place: Place, user_agent: str = "Firefox") -> AsyncIterator[httpx.AsyncClient]:
    """Another browser, in which the provider's user signs in."""
    headers = {"User-Agent": user_agent, "Origin": place.urls[0]}
    async with httpx.AsyncClient(base_url=place.urls[0], headers=headers, timeout=15) as http:
        await sign_in(http)
        yield http


async def ticket(http: httpx.AsyncClient) -> str:
    sold = await http.post("/v1/tickets")
    assert sold.status_code == 201, sold.text
    return str(sold.json()["ticket"])


@contextlib.asynccontextmanager
async def socket(http: httpx.AsyncClient, url: str) -> AsyncIterator[Socket]:
    async with connect(Api(url, None, http), query=f"?ticket={await ticket(http)}") as opened:
        yield opened


async def is_out(place: Place, cookie: str) -> None:
    """Check that a copy of a cookie is void at every gateway, and that the page would offer to sign in."""
    for url in place.urls:
        async with httpx.AsyncClient(base_url=url, headers={"Cookie": f"hubbub={cookie}", "Origin": place.urls[0]}) as thief:
            for method, path in (("GET", "/v1/me"), ("GET", "/v1/channels"), ("POST", "/v1/tickets"), ("GET", "/v1/me/sessions")):
                answer = await thief.request(method, path)
                assert (answer.status_code, answer.json()["reason"]) == (401, "NOT_AUTHENTICATED"), (url, path)
            assert (await thief.get("/v1/signin/options")).json()["signed_in"] is False


async def listed(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await http.get("/v1/me/sessions")).json()["items"]
    return items


async def test_signing_out_ends_the_session_its_sockets_and_its_tickets_at_every_gateway(place: Place) -> None:
    async with (
        browser(place) as http,
        browser(place) as other,
        socket(http, place.urls[0]) as here,
        socket(http, place.urls[1]) as there,
        socket(other, place.urls[1]) as elsewhere,
    ):
        cookie, unused, renewing = http.cookies["hubbub"], await ticket(http), await ticket(http)
        assert (await http.get(f"{place.urls[1]}/v1/me")).status_code == 200  # cached there from here on
        assert (await http.post("/v1/signout")).status_code == 204
        assert [await here.closed(), await there.closed()] == [REVOKED, REVOKED]
        await is_out(place, cookie)
        with pytest.raises(Refusal) as refused:
            async with connect(Api(place.urls[1], None, http), query=f"?ticket={unused}"):
                pass
        assert refused.value.status == 401
        answer = await elsewhere.request("token", ticket=renewing)
        assert (answer["type"], answer["reason"]) == ("error", "NOT_AUTHENTICATED")
        await elsewhere.round_trip()
        assert (await other.get("/v1/me")).status_code == 200


async def test_a_session_that_has_ended_stays_so_at_a_gateway_that_starts_later(
    product: Stack, place: Place, tmp_path: Path
) -> None:
    async with browser(place) as http:
        cookie = http.cookies["hubbub"]
        await http.post("/v1/signout")
    here = f"http://127.0.0.1:{ports.free()[0]}"
    async with another_gateway(product, tmp_path, here, place.provider.url, here):
        await is_out(Place([here], place.provider, place.logs), cookie)


async def test_signing_out_twice_or_with_a_void_cookie_succeeds(place: Place) -> None:
    async with browser(place) as http:
        cookie = f"hubbub={http.cookies['hubbub']}"
        for _ in range(2):
            answer = await http.post("/v1/signout", headers={"Cookie": cookie})
            assert (answer.status_code, "hubbub=" in answer.headers["set-cookie"]) == (204, True)


async def test_users_see_their_sessions_and_end_them(place: Place) -> None:
    place.provider.person = {**ANN, "sub": "lea"}
    async with browser(place, "Phone " + "x" * 300) as phone, browser(place, "Desk") as desk, browser(place, "Old") as old:
        sessions = {each["user_agent"].split()[0]: each for each in await listed(desk)}
        assert {name: each["current"] for name, each in sessions.items()} == {"Phone": False, "Desk": True, "Old": False}
        assert len(sessions["Phone"]["user_agent"]) == 200
        assert all(each["created_at"] <= each["last_seen"] < each["ends_at"] for each in sessions.values())
        lost = old.cookies["hubbub"]
        async with socket(phone, place.urls[1]) as kept, socket(old, place.urls[1]) as open_there:
            assert (await desk.delete(f"/v1/me/sessions/{sessions['Old']['id']}")).status_code == 204
            assert await open_there.closed() == REVOKED
            await is_out(place, lost)
            await kept.round_trip()
            assert (await desk.delete("/v1/me/sessions")).status_code == 204
            assert await kept.closed() == REVOKED
        assert [each["user_agent"] for each in await listed(desk)] == ["Desk"]
        assert (await phone.get("/v1/me")).status_code == 401


async def test_a_user_cannot_end_sessions_of_others(place: Place) -> None:
    async with browser(place) as ann:
        (mine, *_) = [each["id"] for each in await listed(ann) if each["current"]]
        place.provider.person = {**ANN, "sub": "bob"}
        async with browser(place) as bob:
            for session in (mine, "00000000-0000-4000-8000-000000000000", "x", ".."):
                assert (await bob.delete(f"/v1/me/sessions/{session.replace('.', '%2e')}")).status_code in (404, 405), session
            assert mine not in [each["id"] for each in await listed(bob)]
            await bob.delete("/v1/me/sessions")
        assert (await ann.get("/v1/me")).status_code == 200


async def test_ending_the_current_session_signs_out(place: Place) -> None:
    async with browser(place) as http:
        cookie = http.cookies["hubbub"]
        (mine,) = [each["id"] for each in await listed(http) if each["current"]]
        assert (await http.delete(f"/v1/me/sessions/{mine}")).status_code == 204
        assert "hubbub" not in http.cookies
        await is_out(place, cookie)


async def test_signing_in_again_in_the_same_browser_is_the_same_session(place: Place) -> None:
    async with browser(place) as http, socket(http, place.urls[1]) as before:
        (first,) = [each["id"] for each in await listed(http) if each["current"]]
        await sign_in(http)
        assert [each["id"] for each in await listed(http) if each["current"]] == [first]
        await before.round_trip()
        await http.post("/v1/signout")
        assert await before.closed() == REVOKED


async def test_a_user_who_signs_in_right_after_a_revocation_is_admitted(place: Place) -> None:
    async with browser(place) as office:
        place.provider.person = {**ANN, "sub": "eve"}
        async with browser(place) as eve, socket(eve, place.urls[1]) as there:
            assert (await office.post("/v1/admin/users/eve/revoke")).status_code == 204
            assert await there.closed() == REVOKED
            await is_out(place, eve.cookies["hubbub"])
            await sign_in(eve)
            assert [each["current"] for each in await listed(eve)] == [True]
            async with socket(eve, place.urls[1]) as again:
                await again.round_trip()


CHANGES = [
    ("POST", "/v1/admin/users/bob/revoke"),
    ("POST", "/v1/tickets"),
    ("POST", "/v1/signout"),
    ("DELETE", "/v1/me/sessions"),
]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": SHOP},
        {"Origin": "http://10.0.0.1", "Host": "10.0.0.1"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": ""},
    ],
    ids=str,
)
async def test_no_other_page_changes_anything_by_the_cookie(place: Place, headers: dict[str, str]) -> None:
    async with browser(place) as http:
        for method, path in CHANGES:
            answer = await http.request(method, path, headers=headers)
            assert (answer.status_code, answer.json()["reason"]) == (403, "NOT_ALLOWED"), path
        assert (await http.get("/v1/me")).status_code == 200
        own = {"Sec-Fetch-Site": "same-origin"}
        assert (await http.post("/v1/tickets", headers=own)).status_code == 201


@pytest.mark.parametrize(
    ("site", "status"), [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403), ("other", 403)]
)
async def test_no_other_page_reads_by_the_cookie(place: Place, site: str, status: int) -> None:
    async with browser(place) as http:
        del http.headers["Origin"]
        for path in ("/v1/me", "/v1/search?q=x", "/v1/me/sessions"):
            assert (await http.get(path, headers={"Sec-Fetch-Site": site})).status_code == status, path
        assert (await http.get("/v1/me", headers={"Origin": SHOP})).status_code == 403


async def test_administrators_sign_in_again_before_they_act(product: Stack, place: Place, tmp_path: Path) -> None:
    here = f"http://127.0.0.1:{ports.free()[0]}"
    paths = [
        (method, path.replace("{user:path}", "nobody")) for path, methods in TABLE if "/admin/" in path for method in methods
    ]
    assert len(paths) >= 5
    async with (
        another_gateway(product, tmp_path, here, place.provider.url, here, HUBBUB_ADMIN_FRESH_SECONDS="600"),
        httpx.AsyncClient(base_url=here, headers={"Origin": here}, timeout=15) as http,
    ):
        now = place.provider.now()

        async def reasons() -> set[str]:
            answers = [await http.request(method, path) for method, path in paths]
            assert all(answer.status_code == 403 for answer in answers)
            return {answer.json()["reason"] for answer in answers}

        for stale in (None, 1, now - 601):
            place.provider.spoil = {"auth_time": stale}
            await sign_in(http)
            assert await reasons() == {"SIGN_IN_AGAIN"}
            assert (await http.get("/v1/channels")).status_code == 200
        asked = await ask_provider(http, "/v1/signin?fresh=1&next=/admin")
        assert {name: place.provider.asked[-1].get(name) for name in ("prompt", "max_age")} == {
            "prompt": "login",
            "max_age": "0",
        }
        place.provider.spoil = {"auth_time": now}
        assert (await http.get(asked)).headers["location"] == "/admin"
        assert (await http.get("/v1/admin/audit")).status_code == 200
        assert (await http.put("/v1/admin/users/nobody/block")).status_code == 404
        place.provider.person = {**ANN, "sub": "bob", "groups": []}
        await sign_in(http)
        assert await reasons() == {"NOT_ALLOWED"}


async def test_the_logs_say_who_signed_in_and_out_and_who_was_refused(place: Place) -> None:
    place.provider.person = {**ANN, "sub": "logged", "groups": []}
    async with browser(place) as http:
        (mine,) = [each["id"] for each in await listed(http)]
        await http.post("/v1/admin/users/bob/revoke")
        cookie = http.cookies["hubbub"]
        await http.post("/v1/signout")
        place.provider.spoil = {"org": "evil.example"}
        await sign_in(http)
    said = [line for log in place.logs.glob("*.log") for line in log.read_text().splitlines()]
    for event, naming in (
        ("signed_in", mine),
        ("administration_refused", "logged"),
        ("signed_out", mine),
        ("sign_in_refused", "NOT_ALLOWED"),
    ):
        assert any(event in line and naming in line for line in said), event
    assert not any(cookie[:40] in line for line in said)
