"""Browser sessions in the web app: the list of them, ending another one, and signing out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from stack import Stack, ports
from tests.security import provider as openid
from tests.security.signing import ANN, another_gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def url(product: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A gateway where Ann signs in at a provider."""
    (port,) = ports.free(1)
    url = f"http://127.0.0.1:{port}"
    async with openid.running() as provider:
        provider.person = dict(ANN)
        async with another_gateway(product, tmp_path_factory.mktemp("sessions"), url, provider.url, url):
            yield url


@asynccontextmanager
async def signed_in(browser: Browser, url: str, user_agent: str | None = None) -> AsyncIterator[Page]:
    """Another browser in which Ann has signed in."""
    async with await browser.new_context(user_agent=user_agent) as context:
        page = await context.new_page()
        await page.goto(url)
        await page.get_by_test_id("sign-in-provider").click()
        await is_in(page)
        yield page


async def is_in(page: Page) -> None:
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "open")


async def pick(page: Page, item: str) -> None:
    await page.get_by_test_id("account-menu").click()
    await page.get_by_test_id(f"menu-{item}").click()


async def test_a_session_in_another_browser_is_listed_and_ended(browser: Browser, url: str) -> None:
    async with signed_in(browser, url) as here, signed_in(browser, url, FIREFOX) as there:
        await pick(here, "sessions")
        session = here.get_by_test_id("browser-session")
        await expect(session).to_have_count(2)
        await expect(session.filter(has_text="this browser").get_by_test_id("end-session")).to_have_count(0)
        await session.filter(has_text="Firefox").get_by_test_id("end-session").click()
        await expect(session).to_have_count(1)
        await expect(there.get_by_test_id("connection")).not_to_have_attribute("data-state", "open")
        await there.reload()
        await expect(there.get_by_test_id("sign-in-provider")).to_be_visible()
        await here.reload()
        await is_in(here)


async def unconfirmed(route: Route) -> None:
    """Answer as a gateway does that cannot reach the others."""
    await route.fulfill(status=503, content_type="application/problem+json", body='{"status": 503, "reason": "UNAVAILABLE"}')


async def test_a_sign_out_that_is_not_confirmed_says_so_and_can_be_repeated(browser: Browser, url: str) -> None:
    async with signed_in(browser, url) as page:
        await page.route("**/v1/signout", unconfirmed)
        await pick(page, "sign-out")
        await expect(page.get_by_test_id("sign-out-failed")).to_contain_text("still signed in")
        await is_in(page)
        await page.unroute("**/v1/signout")
        await page.get_by_test_id("action-confirm").click()
        await expect(page.get_by_test_id("sign-in-provider")).to_be_visible()
        await page.reload()
        await expect(page.get_by_test_id("sign-in-provider")).to_be_visible()
