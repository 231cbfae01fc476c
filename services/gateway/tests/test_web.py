"""Only the web app's files are served, also after a build while the gateway runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from chassis.errors import NotFound
from gateway.http import problems
from gateway.http.web import IMMUTABLE, REVALIDATED, WebApp, security_headers


def build(root: Path, version: str) -> None:
    """The files of a build: changed files have new names, and the old ones are gone."""
    shutil.rmtree(root / "assets", ignore_errors=True)
    (root / "assets").mkdir(parents=True)
    (root / f"assets/index-{version}.js").write_text(version)
    (root / "index.html").write_text(f"page {version}")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    build(tmp_path / "dist", "one")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "dist"


@pytest.fixture
async def client(root: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(
        routes=[Route("/{path:path}", WebApp(root, partial(security_headers, ""), {"acme": ["https://shop.example"]}).serve)],
        exception_handlers={NotFound: lambda _request, error: problems.response(error)},
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as opened:
        yield opened


async def test_assets_are_cached_forever_and_the_page_is_revalidated(client: httpx.AsyncClient) -> None:
    asset, page = await client.get("/assets/index-one.js"), await client.get("/some/conversation")
    assert (asset.text, asset.headers["Cache-Control"]) == ("one", IMMUTABLE)
    assert (page.text, page.headers["Cache-Control"]) == ("page one", REVALIDATED)


async def test_a_new_build_is_served_while_the_gateway_runs_and_old_files_are_gone(client: httpx.AsyncClient, root: Path) -> None:
    await client.get("/assets/index-one.js")
    build(root, "two")
    os.utime(root / "assets", ns=(0, 0))  # another time than the first build's, even with a coarse clock
    assert (await client.get("/assets/index-two.js")).text == "two"
    assert (await client.get("/")).text == "page two"
    assert (await client.get("/assets/index-one.js")).status_code == 404


async def test_without_a_build_the_page_is_not_found(client: httpx.AsyncClient, root: Path) -> None:
    await client.get("/")
    shutil.rmtree(root)
    assert (await client.get("/")).status_code == 404
    assert (await client.get("/assets/index-one.js")).status_code == 404


@pytest.mark.parametrize("path", ["/assets/../../secret", "/assets/%2e%2e/%2e%2e/secret", "/assets//etc/passwd", "/assets/%00"])
async def test_files_outside_the_build_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert "secret" not in answer.text
    assert "root:" not in answer.text


def test_browsers_never_use_http_again_where_they_came_by_https() -> None:
    plain, secure = security_headers(""), security_headers("", over_tls=True)
    assert "Strict-Transport-Security" not in plain
    assert secure["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert "upgrade-insecure-requests" in secure["Content-Security-Policy"].split("; ")
    assert "upgrade-insecure-requests" not in plain["Content-Security-Policy"]
