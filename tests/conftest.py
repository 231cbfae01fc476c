"""Fixtures of the tests that span services: a running product, a tenant for each test, and Chromium.

Each pytest-xdist worker has a product of its own.
"""

import shutil
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from stack import Stack
from tests.browser.window import CONSENT_TENANT, PATIENCE_MS
from tests.flow.world import World

_CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def product(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Return the running product: two gateways, two workers. A test that kills a process waits until it serves again."""
    env = {
        "HUBBUB_HEARTBEAT_SECONDS": "5",  # a test of the heartbeat waits for two
        "HUBBUB_CONSENT_TENANTS": CONSENT_TENANT,
    }
    async with Stack(tmp_path_factory.mktemp("product"), gateways=2, workers=2, env=env) as stack:
        yield stack


@pytest.fixture
async def world(product: Stack) -> AsyncIterator[World]:
    """A new tenant for the test."""
    async with httpx.AsyncClient() as http:
        urls = [gateway.url for gateway in product.gateways]
        yield World(product, urls, http, f"t-{uuid.uuid4().hex[:12]}")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium as installed on the system."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program is not None, "install Chromium: apt-get install chromium"
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=program, headless=True, args=_CHROMIUM)
        yield chromium
        await chromium.close()


@pytest.fixture(params=["native", "socketio"])
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the doors, through which the test's connections are made."""
    monkeypatch.setattr("tests.client.socket.door", request.param)
    return str(request.param)
