"""Sign-in with OpenID Connect: a provider, two gateways, and the attacks in between."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.async_api import Browser, WebSocket, expect

from chassis.config import Secret
from gateway.identity.cookies import Seal
from gateway.identity.identity import Identity
from stack import Stack, ports
from tests.client import Api, Refusal, connect
from tests.security import provider as openid
from tests.security.signing import ANN, KEY, OLD_KEY, Place, another_gateway, ask_provider, refused, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_user_signs_in_with_tenant_name_and_roles(http: httpx.AsyncClient) -> None:
    answer = await sign_in(http, "/v1/signin?next=/c/some-channel")
    assert (answer.status_code, answer.headers["location"]) == (303, "/c/some-channel")
    assert answer.headers["cache-control"] == "no-store"
    me = await http.get("/v1/me")
    assert me.json() == {"user": "ann", "tenant": "signin-acme", "name": "Ann", "roles": ["admin"]}
    assert me.headers["cache-control"] == "no-store"


async def test_keys_of_another_algorithm_are_accepted(place: Place, http: httpx.AsyncClient) -> None:
    place.provider.algorithm = "ES256"
    assert (await sign_in(http)).status_code == 303


async def test_the_request_carries_a_fresh_state_nonce_and_challenge(place: Place, http: httpx.AsyncClient) -> None:
    for _ in range(2):
        await ask_provider(http)
    first, second = place.provider.asked[-2:]
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]
        assert len(first[name]) >= 43
    assert first["redirect_uri"] == f"{place.urls[0]}/v1/signin/callback"


async def test_scripts_and_other_sites_cannot_use_the_cookies(http: httpx.AsyncClient) -> None:
    begun = await http.get("/v1/signin")
    for cookie in (begun.headers["set-cookie"], (await sign_in(http)).headers["set-cookie"]):
        assert {"httponly", "samesite=lax", "path=/"} <= {each.strip().lower() for each in cookie.split(";")}
        assert "domain" not in cookie.lower()
        assert "ann" not in cookie


async def test_any_gateway_reads_the_session_and_completes_a_sign_in_that_another_began(
    place: Place, http: httpx.AsyncClient
) -> None:
    elsewhere = place.urls[1]
    back = (await ask_provider(http)).replace(place.urls[0], elsewhere)
    assert (await http.get(back)).status_code == 303
    assert (await http.get(f"{elsewhere}/v1/me")).json()["user"] == "ann"


async def test_an_answer_with_another_state_is_refused(place: Place, http: httpx.AsyncClient) -> None:
    taken = place.provider.exchanged
    back = await ask_provider(http)
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert refused(await http.get(back.replace(state, "A" + state[1:] if state[0] != "A" else "B" + state[1:])))
    assert place.provider.exchanged == taken


async def test_the_answer_to_a_sign_in_of_another_browser_is_refused(place: Place, http: httpx.AsyncClient) -> None:
    """Login CSRF: the attacker's own code, in the victim's browser."""
    async with httpx.AsyncClient(base_url=place.urls[0]) as attacker:
        back = await ask_provider(attacker)
    assert refused(await http.get(back))
    await http.get("/v1/signin")
    assert refused(await http.get(back))


async def test_a_code_can_be_used_once(http: httpx.AsyncClient) -> None:
    back = await ask_provider(http)
    kept = dict(http.cookies)
    assert (await http.get(back)).status_code == 303
    http.cookies.clear()
    assert refused(await http.get(back))
    http.cookies.update(kept)  # even with the browser's cookies
    assert refused(await http.get(back))


async def test_an_answer_that_names_another_provider_is_refused(http: httpx.AsyncClient) -> None:
    back = await ask_provider(http)
    assert refused(await http.get(str(httpx.URL(back).copy_merge_params({"iss": "https://evil.example"}))))


async def test_cancelling_is_reported_to_the_user(place: Place, http: httpx.AsyncClient) -> None:
    place.provider.denies = True
    back = await ask_provider(http)
    page = await http.get(back, headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/?signin=NOT_AUTHENTICATED")
    assert (await http.get("/v1/me")).status_code == 401


SPOILT: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "another audience": {"aud": "another"},
    "two audiences and no party": {"aud": [openid.CLIENT_ID, "another"]},
    "another party": {"azp": "another"},
    "another issuer": {"iss": "https://evil.example"},
    "ended": {"exp": 1},
    "of the future": {"iat": 1 << 33},
    "long ago": {"iat": 1},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject too long": {"sub": "x" * 129},
    "a subject that is none": {"sub": {"$ne": ""}},
    "a subject with a NUL": {"sub": "a\x00b"},
}


@pytest.mark.parametrize("what", SPOILT)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(place: Place, http: httpx.AsyncClient, what: str) -> None:
    place.provider.spoil = SPOILT[what]
    assert refused(await sign_in(http))


async def test_an_id_token_signed_with_an_unknown_key_is_refused(place: Place, http: httpx.AsyncClient) -> None:
    place.provider.key = openid.STRANGERS_KEY
    assert refused(await sign_in(http))


async def test_an_id_token_is_no_token_of_the_api(place: Place, http: httpx.AsyncClient) -> None:
    place.provider.person |= {"tenant": "signin-acme"}
    token = place.provider._id_token("x")  # noqa: SLF001
    assert (await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_the_settings_map_users_to_tenants(place: Place, http: httpx.AsyncClient) -> None:
    place.provider.spoil = {"org": "beta.example", "tenant": "signin-acme"}
    await sign_in(http)
    assert (await http.get("/v1/me")).json()["tenant"] == "signin-beta"
    http.cookies.clear()
    for foreign in ("evil.example", "*", None, ["acme.example"], {"acme.example": 1}):
        place.provider.spoil = {"org": foreign, "tenant": "signin-acme"}
        assert refused(await sign_in(http), 403)


@pytest.mark.parametrize(
    "path",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "x",
    ],
)
async def test_sign_in_redirects_to_paths_of_this_server_only(http: httpx.AsyncClient, path: str) -> None:
    answer = await http.get("/v1/signin", params={"next": path})
    assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT")


async def test_a_modified_cookie_is_refused(http: httpx.AsyncClient) -> None:
    await sign_in(http)
    good = http.cookies["hubbub"]
    flipped = ("A" if good[20] != "A" else "B").join((good[:20], good[21:]))
    for bad in (flipped, good[:-8], good + "AAAA", good[::-1], "", "x" * 4_000, '"', "ann"):
        answer = await http.get("/v1/me", headers={"Cookie": f"hubbub={bad}"})
        assert answer.status_code == 401, bad


def seal_of(key: str, purpose: str = "session") -> Seal[Identity]:
    return Seal(Secret(key), purpose, Identity)


async def test_a_session_expires_and_needs_a_current_key_and_its_purpose(http: httpx.AsyncClient) -> None:
    await sign_in(http)
    now = time.time()
    known = seal_of(KEY).open(http.cookies["hubbub"])
    assert known is not None
    http.cookies.clear()
    ann = Identity("signin-acme", "ann", "Ann", (), now, now + 600, session=known.session)
    cases: list[tuple[Callable[[], str], int]] = [
        (lambda: seal_of(KEY).close(ann, now + 600), 200),
        (lambda: seal_of(OLD_KEY).close(ann, now + 600), 200),
        (lambda: seal_of(KEY).close(replace(ann, expires_at=now - 1), now - 1), 401),
        (lambda: seal_of("a-key-of-another-service-0123456789").close(ann, now + 600), 401),
        (lambda: seal_of(KEY, "attempt").close(ann, now + 600), 401),
        (lambda: seal_of(KEY).close(replace(ann, session=""), now + 600), 401),
        (lambda: seal_of(KEY).close(replace(ann, user="bob"), now + 600), 401),
    ]
    for make, status in cases:
        assert (await http.get("/v1/me", headers={"Cookie": f"hubbub={make()}"})).status_code == status


async def test_a_page_of_another_origin_changes_nothing(place: Place, http: httpx.AsyncClient) -> None:
    await sign_in(http)
    for origin in ("https://evil.example", "null", f"{place.urls[0]}.evil.example", place.urls[1], "", None):
        headers = {"Origin": origin} if origin is not None else {}
        for path in ("/v1/tickets", "/v1/channels", "/v1/signout"):
            answer = await http.post(path, headers=headers)
            assert (answer.status_code, answer.json()["reason"]) == (403, "NOT_ALLOWED"), (origin, path)
    assert (await http.get("/v1/me")).status_code == 200
    own = {"Origin": place.urls[0]}
    assert (await http.post("/v1/channels", json={"kind": "group", "name": "a room"}, headers=own)).status_code == 201


async def test_the_socket_takes_a_ticket_and_no_cookie(place: Place, http: httpx.AsyncClient) -> None:
    await sign_in(http)
    anonymous = Api(place.urls[0], None, http)
    cookie = f"hubbub={http.cookies['hubbub']}"
    with pytest.raises(Refusal) as caught:
        async with connect(anonymous, headers={"Cookie": cookie}, origin=place.urls[0]):
            pass
    assert caught.value.status == 401
    sold = await http.post("/v1/tickets", headers={"Origin": place.urls[0]})
    async with connect(anonymous, query=f"?ticket={sold.json()['ticket']}") as socket:
        assert (socket.hello["user"], socket.hello["tenant"]) == ("ann", "signin-acme")


async def test_signing_out_deletes_the_cookie(place: Place, http: httpx.AsyncClient) -> None:
    await sign_in(http)
    options = (await http.get("/v1/signin/options")).json()
    assert options["signed_in"] is True
    assert 0 < (datetime.fromisoformat(options["ends_at"]) - datetime.now(UTC)).total_seconds() <= 43_200
    assert (await http.post("/v1/signout", headers={"Origin": place.urls[0]})).status_code == 204
    assert (await http.get("/v1/me")).status_code == 401
    assert (await http.get("/v1/signin/options")).json() == {
        "development": False,
        "provider": {"label": "Acme", "url": "/v1/signin"},
        "signed_in": False,
        "ends_at": None,
    }


async def test_revoking_a_user_voids_sessions_in_cookies(place: Place, http: httpx.AsyncClient) -> None:
    place.provider.person |= {"sub": "eve", "iat": int(time.time()) - 5}
    await sign_in(http)
    assert (await http.get("/v1/me")).json()["user"] == "eve"
    async with httpx.AsyncClient(base_url=place.urls[1]) as office:
        place.provider.person = dict(ANN)
        await sign_in(office)
        answer = await office.post(f"{place.urls[0]}/v1/admin/users/eve/revoke", headers={"Origin": place.urls[0]})
        assert answer.status_code == 204, answer.text
    assert (await http.get("/v1/me")).status_code == 401
    assert (await http.get(f"{place.urls[1]}/v1/me")).status_code == 401


async def test_a_user_signs_in_with_a_browser_stays_signed_in_and_signs_out(place: Place, browser: Browser) -> None:
    async with await browser.new_context() as context:
        page = await context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
        await page.goto(place.urls[0])
        await expect(page.get_by_test_id("sign-in-provider")).to_have_text("Sign in with Acme")
        await page.get_by_test_id("sign-in-provider").click()
        connection = page.get_by_test_id("connection")
        await expect(connection).to_have_attribute("data-state", "open")
        await page.reload()
        await expect(connection).to_have_attribute("data-state", "open")
        assert await page.evaluate("document.cookie") == ""
        await page.get_by_test_id("account-menu").click()
        await page.get_by_test_id("menu-sign-out").click()
        await expect(page.get_by_test_id("sign-in-provider")).to_be_visible()
        await page.reload()
        await expect(page.get_by_test_id("sign-in-provider")).to_be_visible()
        assert [cookie["name"] for cookie in await context.cookies()] == []
        assert complaints == []


async def test_a_session_near_its_end_continues_after_a_sign_in_in_another_window(place: Place, browser: Browser) -> None:
    async with await browser.new_context() as context:
        page = await context.new_page()
        sockets: list[WebSocket] = []
        shown: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket))  # noqa: PLW0108 - playwright takes no method of a list
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: shown.append(str(json.loads(frame)["type"]))))
        await page.clock.install()
        await page.goto(place.urls[0])
        await page.get_by_test_id("sign-in-provider").click()
        await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "open")
        await page.clock.fast_forward("11:57:00")  # of twelve hours
        async with context.expect_page() as beside:
            await page.get_by_test_id("stay").click()
        if not (await beside.value).is_closed():
            await (await beside.value).wait_for_event("close")
        await expect(page.get_by_test_id("stay")).to_have_count(0)
        await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "open")
        assert "token" in shown, "the open socket must get the new token"
        assert len(sockets) == 1


async def test_the_sign_in_screen_says_why_a_user_was_refused(place: Place, browser: Browser) -> None:
    place.provider.spoil = {"org": "evil.example"}
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(place.urls[0])
        await page.get_by_test_id("sign-in-provider").click()
        await expect(page.get_by_role("alert").first).to_contain_text("have access to Hubbub")
        assert urlsplit(page.url).query == ""


async def test_over_tls_the_cookies_are_bound_to_this_host(product: Stack, place: Place, tmp_path: Path) -> None:
    """The gateway speaks HTTP here, as it does behind a TLS proxy."""
    here, base = f"http://127.0.0.1:{ports.free()[0]}", "https://chat.example"
    async with another_gateway(product, tmp_path, here, place.provider.url, base), httpx.AsyncClient(base_url=here) as http:
        begun = await http.get("/v1/signin")
        answered = await http.get(begun.headers["location"])
        back = answered.headers["location"].replace(base, here)
        attempt = begun.headers["set-cookie"].partition(";")[0]
        done = await http.get(back, headers={"Cookie": attempt})
        for name, cookie in (("-signin", begun.headers["set-cookie"]), ("", done.headers["set-cookie"])):
            assert cookie.startswith(f"__Host-hubbub{name}=")
            assert {"secure", "httponly", "samesite=lax", "path=/"} <= {each.strip().lower() for each in cookie.split(";")}
            assert "domain" not in cookie.lower()
        mine = {"Cookie": done.headers["set-cookie"].partition(";")[0], "Host": "chat.example"}
        assert (await http.get("/v1/me", headers=mine)).json()["user"] == "ann"
        assert (await http.post("/v1/tickets", headers=mine | {"Origin": base})).status_code == 201
        assert (await http.post("/v1/tickets", headers=mine | {"Origin": "http://chat.example"})).status_code == 403


async def test_a_provider_that_does_not_answer_or_is_another_makes_sign_in_unavailable(
    product: Stack, place: Place, tmp_path: Path
) -> None:
    for issuer in (f"http://127.0.0.1:{ports.free()[0]}", place.provider.url + "/"):
        here = f"http://127.0.0.1:{ports.free()[0]}"
        async with another_gateway(product, tmp_path, here, issuer, here), httpx.AsyncClient(base_url=here) as http:
            answer = await http.get("/v1/signin")
            assert (answer.status_code, answer.json()["reason"]) == (503, "UNAVAILABLE")
            assert int(answer.headers["retry-after"]) >= 1
            assert (await http.get("/healthz")).status_code == 200


async def test_without_a_provider_sign_in_is_not_found_and_not_offered(product: Stack) -> None:
    async with httpx.AsyncClient(base_url=product.gateways[0].url) as http:
        assert (await http.get("/v1/signin")).status_code == 404
        assert (await http.get("/v1/signin/callback?code=x&state=y")).status_code == 404
        expected = {"development": True, "provider": None, "signed_in": False, "ends_at": None}
        assert (await http.get("/v1/signin/options")).json() == expected


async def test_the_logs_contain_no_credential(place: Place, http: httpx.AsyncClient) -> None:
    back = await ask_provider(http)
    query = parse_qs(urlsplit(back).query)
    await http.get(back)
    said = "".join(log.read_text() for log in place.logs.glob("*.log"))
    assert "signed_in" in said
    for secret in (query["code"][0], query["state"][0], http.cookies["hubbub"][:40], openid.CLIENT_SECRET, KEY):
        assert secret not in said
