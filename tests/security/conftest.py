"""Two gateways that sign users in at the tests' OpenID provider."""

import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from stack import Stack, ports
from tests.security import provider as openid
from tests.security.signing import ANN, KEY, OLD_KEY, SHOP, Place, gateway, settings


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(product: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder = tmp_path_factory.mktemp("signin")
    urls = [f"http://127.0.0.1:{port}" for port in ports.free(2)]
    async with openid.running() as provider, contextlib.AsyncExitStack() as running:
        for number, url in enumerate(urls):
            env = settings(product, folder) | {
                "HUBBUB_LISTEN": url.removeprefix("http://"),
                "HUBBUB_INSTANCE": f"signin-{number}",
                "HUBBUB_DEV_LOGIN": "0",
                "HUBBUB_OIDC_ISSUER": provider.url,
                "HUBBUB_OIDC_REDIRECT_BASE": urls[0],
                "HUBBUB_SESSION_KEYS": f"{KEY},{OLD_KEY}",
                "HUBBUB_ALLOWED_ORIGINS": SHOP,
            }
            await running.enter_async_context(gateway(env, folder))
        yield Place(urls, provider, folder)


@pytest.fixture
def place(house: Place) -> Place:
    """The same, with the provider reset."""
    fresh = openid.Provider(house.provider.url)
    for name in ("algorithm", "denies", "key"):
        setattr(house.provider, name, getattr(fresh, name))
    house.provider.person, house.provider.spoil = dict(ANN), {}
    return house


@pytest_asyncio.fixture(loop_scope="session")
async def http(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that keeps cookies and follows no redirects."""
    async with httpx.AsyncClient(base_url=place.urls[0], timeout=15) as client:
        yield client
