"""Starts additional gateways that use the tests' OpenID provider, and signs users in."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from chassis.identity import GATEWAY
from stack import Stack, probes
from stack.callers import key_file
from stack.process import Command, spawn, stop, until_ready
from tests.security import provider as openid

KEY = "a-session-key-of-the-tests-0123456789"
OLD_KEY = "a-session-key-of-yesterday-0123456789"
SHOP = "http://shop.example.test"
"""An origin that may call the API with tokens."""
ANN = {"sub": "ann", "name": "Ann", "org": "acme.example", "groups": ["admin"]}


@dataclass(frozen=True, slots=True)
class Place:
    """Two gateways that sign users in at one provider."""

    urls: list[str]
    provider: openid.Provider
    logs: Path
    """Folder of the gateways' logs."""


def settings(product: Stack, folder: Path) -> dict[str, str]:
    """The settings of an additional gateway."""
    known = product.endpoints
    services: Any = known["services"]
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("HUBBUB_")},
        "PYTHONSAFEPATH": "1",
        "HUBBUB_BUS_URL": str(known["HUBBUB_BUS_URL"]),
        **{f"HUBBUB_{name.upper()}_TARGET": services[name] for name in ("messages", "presence", "media", "integrations")},
        "HUBBUB_GATEWAY_KEY": key_file(product.data, GATEWAY).read_text(),
        "HUBBUB_DEV_LOGIN": "1",
        "HUBBUB_DEV_KEY_FILE": str(folder / "dev.pem"),
        "HUBBUB_WEB_ROOT": str(Path("web/dist").absolute()),
        "HUBBUB_DRAIN_SECONDS": "2",
        "HUBBUB_OIDC_CLIENT_ID": openid.CLIENT_ID,
        "HUBBUB_OIDC_CLIENT_SECRET": openid.CLIENT_SECRET,
        "HUBBUB_OIDC_LABEL": "Acme",
        "HUBBUB_OIDC_TENANT_CLAIM": "org",
        "HUBBUB_OIDC_TENANTS": '{"acme.example": "signin-acme", "beta.example": "signin-beta"}',
        "HUBBUB_OIDC_ROLES_CLAIM": "groups",
    }


def another_gateway(
    product: Stack, folder: Path, url: str, issuer: str, redirect_base: str, **other: str
) -> contextlib.AbstractAsyncContextManager[None]:
    """An additional gateway with other settings than those of `house`."""
    return gateway(
        settings(product, folder)
        | {
            "HUBBUB_LISTEN": url.removeprefix("http://"),
            "HUBBUB_INSTANCE": "signin-other",
            "HUBBUB_DEV_LOGIN": "0",
            "HUBBUB_OIDC_ISSUER": issuer,
            "HUBBUB_OIDC_REDIRECT_BASE": redirect_base,
            "HUBBUB_SESSION_KEYS": KEY,
            **other,
        },
        folder,
    )


@contextlib.asynccontextmanager
async def gateway(env: dict[str, str], folder: Path) -> AsyncIterator[None]:
    """Run a gateway during the block."""
    host, _, port = env["HUBBUB_LISTEN"].partition(":")
    ready = partial(probes.http_ok, host, int(port), "/readyz")
    command = Command(env["HUBBUB_INSTANCE"], (sys.executable, "-m", "gateway"), ready, env)
    with (folder / f"{command.name}.log").open("wb") as log:
        process = await spawn(command, log)
        try:
            await until_ready(command, process, 30)
            yield
        finally:
            await stop(process, command)


async def ask_provider(http: httpx.AsyncClient, path: str = "/v1/signin") -> str:
    """Begin to sign in; returns the URL to which the provider redirects the browser."""
    begun = await http.get(path)
    assert begun.status_code == 303, begun.text
    answered = await http.get(begun.headers["location"])
    assert answered.status_code == 303, answered.text
    return str(answered.headers["location"])


async def sign_in(http: httpx.AsyncClient, path: str = "/v1/signin") -> httpx.Response:
    """Sign in; returns the answer that sets the session cookie."""
    return await http.get(await ask_provider(http, path))


def refused(response: httpx.Response, status: int = 401) -> bool:
    """Check that the answer is a problem and sets no session."""
    problem = response.headers["content-type"].startswith("application/problem+json") and response.json()["status"] == status
    return response.status_code == status and problem and not response.cookies.get("hubbub")
