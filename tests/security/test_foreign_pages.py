"""Pages of other origins in a browser: which may frame the widget, which may call the API, and what the widget accepts."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from stack import Stack, ports
from tests.security.signing import gateway, settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIFE_SECONDS = 3
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<!doctype html>"


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway and three origins with empty pages: a tenant's, one that may call the API, and one without permissions."""

    url: str
    shop: str
    caller: str
    unknown: str


async def answer_emptily(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(EMPTY)
    writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(product: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("foreign")
    listen = f"127.0.0.1:{ports.free(1)[0]}"
    async with contextlib.AsyncExitStack() as running:
        pages = [await running.enter_async_context(await asyncio.start_server(answer_emptily, "127.0.0.1", 0)) for _ in range(3)]
        shop, caller, unknown = (f"http://localhost:{page.sockets[0].getsockname()[1]}" for page in pages)
        env = settings(product, folder) | {
            "HUBBUB_LISTEN": listen,
            "HUBBUB_INSTANCE": "foreign",
            "HUBBUB_ALLOWED_ORIGINS": caller,
            "HUBBUB_WIDGET_ORIGINS": json.dumps({"acme": [shop]}),
        }
        await running.enter_async_context(gateway(env, folder))
        yield Place(f"http://{listen}", shop, caller, unknown)


@contextlib.asynccontextmanager
async def page_of(browser: Browser, origin: str) -> AsyncIterator[Page]:
    """A page of another origin."""
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.goto(f"{origin}/")
        yield page


def host_page(url: str, tenant: str) -> str:
    """What a host product puts into its page: the script, and the source of tokens."""
    return f"""
    <div id="here" style="height:600px"></div>
    <script src="{url}/embed.js"></script>
    <script>
      window.asked = 0;
      window.tenant = "{tenant}";
      Hubbub.embed({{
        into: document.getElementById("here"),
        tenant: "acme",
        getToken: () => {{
          window.asked += 1;
          return window.giveToken(window.tenant);
        }},
      }});
    </script>"""


async def embedding(page: Page, url: str, tenant: str) -> None:
    """Load the widget into a page whose server signs tokens for its users."""

    async def give(tenant: str) -> str:
        async with httpx.AsyncClient(base_url=url) as http:
            asked = {"user": "ann", "name": "Ann", "tenant": tenant, "ttl": LIFE_SECONDS}
            return str((await http.post("/v1/dev/login", json=asked)).json()["token"])

    await page.expose_function("giveToken", give)
    await page.set_content(f"<!doctype html><title>host</title><body>{host_page(url, tenant)}")


async def test_a_page_of_the_tenant_shows_its_widget_and_renews_its_tokens(browser: Browser, place: Place) -> None:
    async with page_of(browser, place.shop) as page:
        await embedding(page, place.url, "acme")
        frame = page.frame_locator("iframe")
        connection = frame.get_by_test_id("connection")
        await expect(connection).to_have_attribute("data-state", "open")
        await expect(frame.get_by_test_id("me")).to_have_text("Ann")
        await frame.get_by_test_id("account-menu").click()
        await expect(frame.get_by_test_id("menu-theme")).to_be_visible()
        await expect(frame.get_by_test_id("menu-sign-out")).to_have_count(0)
        await page.wait_for_function("window.asked >= 2")
        await expect(connection).to_have_attribute("data-state", "open")


async def test_a_widget_shows_no_other_tenant(browser: Browser, place: Place) -> None:
    async with page_of(browser, place.shop) as page:
        await embedding(page, place.url, "beta")
        await expect(page.frame_locator("iframe").get_by_role("alert")).to_contain_text("permission")


@pytest.mark.parametrize(
    ("origin", "path"),
    [("unknown", "/widget/acme"), ("caller", "/widget/acme"), ("shop", "/"), ("shop", "/widget/other"), ("shop", "/v1/me")],
)
async def test_no_other_origin_may_frame_the_widget_and_no_other_page_may_be_framed(
    browser: Browser, place: Place, origin: str, path: str
) -> None:
    async with page_of(browser, getattr(place, origin)) as page:
        complaints: list[str] = []
        page.on("console", lambda line: complaints.append(line.text))
        async with page.expect_event("framenavigated", lambda frame: frame != page.main_frame):
            await page.set_content(f"<iframe src='{place.url}{path}'></iframe>")
        framed = page.frames[1]
        assert framed.url.startswith("chrome-error:"), framed.url
        assert any("frame" in said.lower() for said in complaints), complaints


async def test_the_widget_names_the_origins_that_may_frame_it_and_every_other_page_none(place: Place) -> None:
    async with httpx.AsyncClient(base_url=place.url) as http:
        widget = await http.get("/widget/acme")
        assert widget.status_code == 200
        assert f"frame-ancestors {place.shop}" in widget.headers["content-security-policy"].split("; ")
        assert "x-frame-options" not in widget.headers
        for path, status in (("/", 200), ("/widget/other", 404), ("/widget/acme/x", 404), ("/widget/", 404), ("/v1/me", 401)):
            answer = await http.get(path)
            assert answer.status_code == status, path
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"].split("; "), path
            assert answer.headers["x-frame-options"] == "DENY", path


CALL = """
async ([url, token]) => {
  const headers = {Authorization: `Bearer ${token}`, "Content-Type": "application/json", "Idempotency-Key": "k"};
  const made = await fetch(`${url}/v1/channels`, {method: "POST", headers, body: JSON.stringify({kind: "group", name: "g"})});
  const {id} = await made.json();
  const gone = await fetch(`${url}/v1/channels/${id}/bans/unknown`, {method: "DELETE", headers});
  return [made.status, gone.status, made.headers.get("x-request-id") !== null];
}
"""


async def test_an_allowed_page_calls_the_api_with_a_token(browser: Browser, place: Place) -> None:
    async with page_of(browser, place.caller) as page:
        assert await page.evaluate(CALL, [place.url, await token(place.url)]) == [201, 204, True]


async def test_a_page_of_an_unknown_origin_cannot_call_the_api(browser: Browser, place: Place) -> None:
    for origin in (place.unknown, place.shop):
        async with page_of(browser, origin) as page:
            asked = [place.url, await token(place.url)]
            assert await page.evaluate(f"(asked) => ({CALL})(asked).catch(error => error.name)", asked) == "TypeError"


async def test_cors_allows_one_origin_at_a_time_and_no_credentials(place: Place) -> None:
    async with httpx.AsyncClient(base_url=place.url) as http:
        asks: dict[str, Any] = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
        preflight = await http.options("/v1/channels/x/mute", headers={"Origin": place.caller, **asks})
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == place.caller
        assert "PUT" in preflight.headers["access-control-allow-methods"]
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        for origin in (place.unknown, place.shop, "null", "*", place.caller.upper(), f"{place.caller}.evil.example", ""):
            for answer in (
                await http.options("/v1/channels", headers={"Origin": origin, **asks}),
                await http.get("/v1/me", headers={"Origin": origin}),
            ):
                assert answer.status_code >= 400, origin
                assert not [name for name in answer.headers if name.startswith("access-control-")], origin
                assert answer.headers["vary"] == "Origin"
        for path in ("/v1/me", "/v1/nothing"):
            answer = await http.get(path, headers={"Origin": place.caller})
            assert answer.headers["access-control-allow-origin"] == place.caller
            assert "Retry-After" in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers
        for path in ("/healthz", "/metrics", "/"):
            assert "access-control-allow-origin" not in (await http.get(path, headers={"Origin": place.caller})).headers


async def token(url: str) -> str:
    async with httpx.AsyncClient(base_url=url) as http:
        return str((await http.post("/v1/dev/login", json={"user": "ann", "tenant": "acme"})).json()["token"])


@pytest.mark.parametrize("host", ["rebind.evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080"])
async def test_a_name_that_was_rebound_to_this_machine_gets_no_development_token(place: Place, host: str) -> None:
    async with httpx.AsyncClient(base_url=place.url) as http:
        answer = await http.post("/v1/dev/login", json={"user": "ann"}, headers={"Host": host})
        assert (answer.status_code, "token" in answer.json()) == (421, False)


@pytest.mark.parametrize("user", [".", ".."])
async def test_no_user_is_named_like_a_step_in_a_path(place: Place, user: str) -> None:
    async with httpx.AsyncClient(base_url=place.url) as http:
        answer = await http.post("/v1/dev/login", json={"user": user})
        assert (answer.status_code, answer.json()["reason"]) == (400, "INVALID_ARGUMENT")
