"""When a token ends, the app renews it on the open socket, or reconnects without losing a message."""

import asyncio
import json

import pytest
from playwright.async_api import Browser, Page, Route, WebSocket, expect

from stack import Stack
from tests.browser.window import windows

LIFE_SECONDS = 3

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Wire:
    """Observes a page's sockets, and can block its logins; each login's token lasts a few seconds."""

    def __init__(self) -> None:
        self.sockets: list[WebSocket] = []
        self.renewed = asyncio.Event()
        self.closed = asyncio.Event()
        self.cut = False

    async def watch(self, page: Page) -> None:
        page.on("websocket", self._opened)
        await page.route("**/v1/dev/login", self._login)

    def _opened(self, socket: WebSocket) -> None:
        self.sockets.append(socket)
        socket.on("framereceived", self._received)
        socket.on("close", lambda _: self.closed.set())

    def _received(self, frame: str | bytes) -> None:
        if json.loads(frame)["type"] == "token":
            self.renewed.set()

    async def _login(self, route: Route) -> None:
        if self.cut:
            await route.abort()
        else:
            asked = json.loads(route.request.post_data or "") | {"ttl": LIFE_SECONDS}
            await route.continue_(post_data=json.dumps(asked))


async def test_the_app_renews_its_token_or_reconnects(browser: Browser, product: Stack) -> None:
    async with windows(browser, product) as window:
        quick, cut = Wire(), Wire()
        ann = await window("Ann", prepare=quick.watch)
        bob = await window("Bob", prepare=cut.watch)
        await bob.start_direct("Ann")
        cut.cut = True  # no more tokens: his socket is closed when this one ends
        async with asyncio.timeout(4 * LIFE_SECONDS):
            await quick.renewed.wait()
            await cut.closed.wait()
        await bob.disconnected()
        await bob.say("written while signed out")
        await expect(bob.pending("written while signed out")).to_have_count(1)
        cut.cut = False
        await bob.connected()
        await bob.sees("written while signed out")
        await ann.enter("Bob")
        await ann.sees("written while signed out")
        assert len(quick.sockets) == 1, "her socket outlives its token"
        assert len(cut.sockets) == 2, "he reconnects once"
        assert not ann.complaints
