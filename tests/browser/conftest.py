"""One Chromium for all tests of this folder, which open the web app of the session's product."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import pytest_asyncio
from playwright.async_api import Browser, ViewportSize, async_playwright, expect

from stack import Stack
from tests.browser.window import Window

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_DESKTOP = ViewportSize(width=1280, height=800)
_PATIENCE_MS = 10_000

OpenWindow = Callable[[str], Awaitable[Window]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program is not None, "install Chromium: apt-get install chromium"
    expect.set_options(timeout=_PATIENCE_MS)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, headless=True, args=_FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def window(product: Stack, browser: Browser) -> AsyncIterator[OpenWindow]:
    """Opens windows of one browser, each signed in as somebody of the test's own workspace."""
    tenant = f"web-{uuid4().hex[:12]}"
    opened: list[Window] = []
    async with await browser.new_context(viewport=_DESKTOP) as context:

        async def open_window(name: str) -> Window:
            opened.append(await Window.open(await context.new_page(), product.gateways[0].url, name, tenant))
            return opened[-1]

        yield open_window
        complaints = [f"{one.name}: {text}" for one in opened for text in one.complaints]
    assert complaints == []
