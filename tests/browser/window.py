"""The actions of a user in one window of the web app.

Each action brings its window to the front, since a browser hardly renders windows in the background.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self
from uuid import uuid4

from playwright.async_api import Browser, Locator, Page, ViewportSize, expect

from stack import Stack

PATIENCE_MS = 10_000
CONSENT_TENANT = "web-consent"
"""In this tenant strangers can only invite each other."""
_DESKTOP = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
_AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
"""A development dependency of the web app."""
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


@dataclass(frozen=True, slots=True)
class Window:
    """One window with a signed-in user."""

    page: Page
    name: str
    complaints: list[str]
    """Errors on the page's console."""

    @classmethod
    async def open(cls, page: Page, url: str, name: str, tenant: str, *, admin: bool = False) -> Self:
        """Open the app and sign in."""
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(f"{error}"))
        page.on("console", lambda line: complaints.append(line.text) if _is_complaint(line.type, line.text) else None)
        await page.goto(url)
        await page.locator("summary").click()
        await page.get_by_test_id("sign-in-tenant").fill(tenant)
        if admin:
            await page.get_by_test_id("sign-in-admin").check()
        await page.get_by_test_id("sign-in-name").fill(name)
        await page.get_by_test_id("sign-in-submit").click()
        window = cls(page, name, complaints)
        await window.connected()
        return window

    async def reload(self, title: str) -> None:
        """Reload the page and open a conversation."""
        await self.page.reload()
        await self.connected()
        await self.enter(title)

    async def connected(self, within_seconds: float = 15) -> None:
        """Wait until the connection is open."""
        await expect(self._connection()).to_have_attribute("data-state", "open", timeout=within_seconds * 1000)

    async def disconnected(self) -> None:
        """Wait until the connection is not."""
        await expect(self._connection()).not_to_have_attribute("data-state", "open")

    async def start_direct(self, other: str) -> None:
        """Start a direct conversation."""
        await self.page.bring_to_front()
        await self.page.get_by_test_id("new-channel").click()
        await self._choose(other)
        await self.page.get_by_test_id("create-channel").click()
        await expect(self.page.get_by_test_id("conversation-title")).to_have_text(other)

    async def start_group(self, name: str, *others: str) -> None:
        """Start a group conversation."""
        await self.page.bring_to_front()
        await self.page.get_by_test_id("new-channel").click()
        await self.page.get_by_test_id("kind-group").check(force=True)
        await self.page.get_by_test_id("channel-name").fill(name)
        for other in others:
            await self._choose(other)
        await self.page.get_by_test_id("create-channel").click()
        await expect(self.page.get_by_test_id("conversation-title")).to_contain_text(name)

    async def enter(self, title: str) -> None:
        """Open a conversation of the list."""
        await self.page.bring_to_front()
        await self.conversation(title).click()
        await expect(self.page.get_by_test_id("conversation-title")).to_have_text(title)

    async def say(self, text: str) -> None:
        """Write a message and press Enter."""
        await self.page.bring_to_front()
        await self.page.get_by_test_id("composer").fill(text)
        await self.page.get_by_test_id("composer").press("Enter")

    async def sees(self, text: str) -> Locator:
        """Wait until a stored message with this text is shown, once; returns it."""
        message = self.message(text)
        await expect(message).to_have_count(1, timeout=15_000)
        return message

    async def act(self, message: Locator, action: str) -> None:
        """Perform an action on a message, with a button that appears on hover or with its menu."""
        await self.page.bring_to_front()
        await message.hover()
        if action in ("react", "reply"):
            await message.get_by_test_id(action).click()
        else:
            await self.choose(message.get_by_test_id("more"), action)

    async def choose(self, button: Locator, item: str) -> None:
        """Open a menu by its button and pick from it."""
        await self.page.bring_to_front()
        await button.click()
        await self.page.get_by_test_id(f"menu-{item}").click()

    async def confirm(self, reason: str | None = None) -> None:
        """Confirm a dialog, with a reason if it asks for one."""
        if reason is not None:
            await self.page.get_by_test_id("action-reason").fill(reason)
        await self.page.get_by_test_id("action-confirm").click()
        await expect(self.page.get_by_test_id("action-confirm")).to_have_count(0)

    async def about_member(self, name: str, item: str) -> None:
        """Pick from a member's menu; the list of members is open."""
        await self.choose(self.member(name).get_by_test_id("member-menu"), item)

    async def breaks_no_rule(self) -> None:
        """Check what is on the screen by the rules of WCAG 2.1 AA."""
        await self.page.evaluate(_AXE.read_text())
        found = await self.page.evaluate("tags => axe.run(document, { resultTypes: ['violations'], runOnly: tags })", _RULES)
        broken = [(rule["id"], node["html"], node["failureSummary"]) for rule in found["violations"] for node in rule["nodes"]]
        assert not broken, broken

    def message(self, text: str) -> Locator:
        """The stored messages with this text."""
        return self.page.get_by_test_id("message").filter(has_text=text)

    def pending(self, text: str) -> Locator:
        """The messages with this text that are not stored yet."""
        return self.page.get_by_test_id("pending").filter(has_text=text)

    def member(self, name: str) -> Locator:
        """A user in the list of members."""
        return self.page.get_by_test_id("member").filter(has_text=name)

    def conversation(self, title: str) -> Locator:
        """An item of the list of conversations."""
        return self.page.get_by_test_id("channel-item").filter(
            has=self.page.locator(".channel-title").get_by_text(title, exact=True)
        )

    def unread(self, title: str) -> Locator:
        """The unread badge of a conversation."""
        return self.conversation(title).get_by_test_id("unread")

    async def _choose(self, other: str) -> None:
        await self.page.get_by_test_id("people-search").fill(other)
        await self.page.get_by_test_id("person").filter(has_text=other).first.click()

    def _connection(self) -> Locator:
        return self.page.get_by_test_id("connection")


Prepare = Callable[[Page], Awaitable[None]]


class OpenWindow(Protocol):
    """Opens a window; `prepare` gets its page before anything is loaded."""

    def __call__(self, name: str, prepare: Prepare | None = None, *, admin: bool = False) -> Awaitable[Window]:
        """Open a window for a user with this name."""
        ...


@asynccontextmanager
async def windows(browser: Browser, product: Stack, tenant: str = "") -> AsyncIterator[OpenWindow]:
    """Open windows of one browser, each with a user of the same tenant, by default a new one."""
    tenant = tenant or f"web-{uuid4().hex[:12]}"
    async with await browser.new_context(viewport=_DESKTOP) as context:
        context.set_default_timeout(PATIENCE_MS)

        async def window(name: str, prepare: Prepare | None = None, *, admin: bool = False) -> Window:
            page = await context.new_page()
            if prepare is not None:
                await prepare(page)
            return await Window.open(page, product.gateways[0].url, name, tenant, admin=admin)

        yield window


def _is_complaint(kind: str, text: str) -> bool:
    """Whether an error is the page's own; the browser also logs errors for a killed server."""
    return kind == "error" and "Failed to load resource" not in text and "WebSocket connection to" not in text
