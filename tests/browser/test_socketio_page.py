"""The program of docs/socketio.md in Chromium, with the bundle of `socket.io-client` for browsers, over each transport."""

import json
import uuid

import httpx
import pytest
from playwright.async_api import Browser, Page, Route, expect

from stack import Stack
from tests.client import Api
from tests.flow.socketio_page import ROOT, program
from tests.flow.world import World

BUNDLE = ROOT / "web/node_modules/socket.io-client/dist/socket.io.esm.min.js"
PAGE = """
<script type="importmap">{"imports": {"socket.io-client": "/classic.js"}}</script>
<script type="module">
  const [url, token, more] = %s;
  const show = (line) => document.body.append(line, document.createElement("br"));
  %s
  Object.assign(window, { socket, say });
</script>
<body></body>
"""

PERMISSIONS = ["local-network-access"]
"""Chromium does not know where a page comes from that the test serves, and asks before it lets it reach this machine."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("transports", [["polling"], ["polling", "websocket"], ["websocket"]], ids=" then ".join)
async def test_the_program_of_the_page_chats_in_chromium(browser: Browser, product: Stack, transports: list[str]) -> None:
    async with httpx.AsyncClient() as http, await browser.new_context(permissions=PERMISSIONS) as context:
        world = World(product, [gateway.url for gateway in product.gateways], http, f"t-{uuid.uuid4().hex[:12]}")
        ann, bob = await world.people("ann", "bob")
        room = await world.room(ann, bob)
        more: dict[str, object] = {"transports": transports}
        if transports == ["websocket"]:  # a browser sends no header with it
            more["query"] = {"ticket": await ann.ticket()}
        page = await context.new_page()
        await serve(page, ann, more)
        await expect(page.locator("body")).to_contain_text("in a room")
        await page.evaluate("room => say(room, 'hello')", room)
        await expect(page.locator("body")).to_contain_text("ann: hello")
        seq = next(item["seq"] for item in await ann.log(room) if item["kind"] == "message.posted")
        await expect(page.locator("body")).to_contain_text(f"stored as {seq}")
        await page.wait_for_function(f"socket.io.engine.transport.name === '{transports[-1]}'")
        if transports[0] == "polling":  # a ticket is for one connection
            await page.evaluate("socket.io.engine.close()")
        await bob.post(room, "hi", "k")
        await expect(page.locator("body")).to_contain_text("bob: hi")
        assert (await page.locator("body").inner_text()).count("ann: hello") == 1


async def serve(page: Page, user: Api, more: dict[str, object]) -> None:
    """Open the page at the user's gateway, with more options of `io`."""
    classic = program("js").replace("io(url, {", "io(url, {...more, ")
    given = json.dumps([user.url, user.token, more])

    async def fulfill(route: Route) -> None:
        if route.request.url.endswith(".js"):
            await route.fulfill(body=BUNDLE.read_text(), content_type="text/javascript")
        else:
            await route.fulfill(body=PAGE % (given, classic), content_type="text/html")

    await page.route(f"{user.url}/classic.*", fulfill)
    await page.goto(f"{user.url}/classic.html")
