"""Markup in every text that users can set, rendered in Chromium: no script runs, and the browser reports nothing blocked."""

import contextlib
import uuid
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest
from playwright.async_api import Browser, Page

from chassis.text import is_identifier
from stack import Stack
from tests.browser.window import Window
from tests.client import Api, connect
from tests.flow.world import World, refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

MARK = "window.__ran=1"
PAYLOADS = [
    f"<script>{MARK}</script>",
    f"<img src=x onerror={MARK}>",
    f"<svg onload={MARK}>",
    f'"><iframe srcdoc="<script>parent.{MARK}</script>">',
    f"javascript:{MARK}",
    f"[x](javascript:{MARK})",
    f'https://x.example/"onmouseover="{MARK}',
    f"<a href=javascript:{MARK}>x</a>",
    "<style>*{display:none}</style>",
    f"</title></textarea><script>{MARK}</script>",
    f"{{{{constructor.constructor('{MARK}')()}}}}",
    "data:text/html,<script>parent.window.__ran=1</script>",
    f"\u202e<b onclick={MARK}>gnp.exe",
]
LINES = [text for text in PAYLOADS if is_identifier(text)]
"""Payloads that can be a name. The others are refused as names, and shown as texts of messages."""
REPORTER = """
window.__reports = [];
document.addEventListener("securitypolicyviolation", e => window.__reports.push(e.violatedDirective + " " + e.blockedURI));
"""


@contextlib.asynccontextmanager
async def people(product: Stack) -> AsyncIterator[World]:
    """A new tenant, on the session's event loop."""
    async with httpx.AsyncClient() as http:
        yield World(product, [gateway.url for gateway in product.gateways], http, f"x-{uuid.uuid4().hex[:12]}")


async def filled(world: World) -> tuple[Api, list[str]]:
    """Set every name, topic, text, emoji and file name to each payload; returns the author and the channels."""
    mallory = await world.person("mallory", name=PAYLOADS[1][:128])
    await world.person("ann", name="Ann")
    others = [await world.person(f"m{number}", name=text[:128]) for number, text in enumerate(PAYLOADS)]
    rooms = []
    for number, text in enumerate(LINES):
        room = await mallory.create("group", name=text[:128], members=["ann", others[number].user])
        await mallory.ok("PATCH", f"/v1/channels/{room}", {"topic": text})
        rooms.append(room)
    async with connect(mallory) as socket:
        for text in PAYLOADS:
            ack = await socket.post(rooms[0], str(uuid.uuid4()), text)
            assert ack["type"] == "ack"
            emoji = text.encode()[:64].decode(errors="ignore")
            error = await socket.request("react", channel=rooms[0], message=ack["message"], emoji=emoji)
            assert error["reason"] == "INVALID_FRAME"
            file = {"name": text[:200], "size": 1, "type": "text/html", "channel": rooms[0]}
            assert (await mallory.call("POST", "/v1/uploads", file)).status in (201, 400)
    await mallory.create("direct", members=["ann"])
    return mallory, rooms


async def verdict(page: Page) -> list[object]:
    """Whether a script ran, and what the content security policy blocked."""
    return list(await page.evaluate("[window.__ran ?? null, window.__reports]"))


async def test_markup_in_every_text_that_users_can_set_is_shown_as_text(browser: Browser, product: Stack) -> None:
    async with people(product) as world, await browser.new_context() as context:
        await filled(world)
        page = await context.new_page()
        await page.add_init_script(REPORTER)
        dialogs: list[str] = []
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        await Window.open(page, world.urls[0], "Ann", world.tenant)
        items = page.get_by_test_id("channel-item")
        await items.nth(len(LINES) - 1).wait_for()
        for index in range(await items.count()):
            await items.nth(index).click()
            await page.get_by_test_id("composer").wait_for()
        await page.get_by_test_id("message").first.wait_for(state="attached") if await page.get_by_test_id(
            "message"
        ).count() else None
        room = items.filter(has=page.get_by_text(PAYLOADS[0], exact=True)).first
        await room.click()
        await page.get_by_test_id("message").nth(len(PAYLOADS) - 1).wait_for()
        assert await page.get_by_test_id("message").filter(has_text=PAYLOADS[0]).count() >= 1, "the markup must be shown as text"
        for link in await page.locator("a[href]").all():
            assert (await link.get_attribute("href") or "").startswith(("http://", "https://", "/", "#", "mailto:"))
        assert await verdict(page) == [None, []]
        assert not dialogs


async def moderated(world: World) -> None:
    """A channel of Ann's in which every reason, reported or pinned text, answer, user name and user id is a payload."""
    ann = await world.person("ann", name="Ann")
    users = [await world.person(text[:128], name=text[:128]) for text in LINES]
    room = await ann.create("group", name="Court", members=[user.user for user in users])
    await ann.ok("PATCH", f"/v1/channels/{room}", {"topic": PAYLOADS[1], "slow_mode_seconds": 0})
    async with connect(ann) as socket:
        for number, text in enumerate(LINES):
            said = await users[number].ok("POST", f"/v1/channels/{room}/messages", {"text": text}, status=201)
            posted = said["message"]
            await ann.ok("POST", f"/v1/channels/{room}/messages", {"text": f"answer {text}", "thread": posted}, status=201)
            assert (await socket.request("pin", channel=room, message=posted))["type"] == "ack"
            await users[number - 1].ok("POST", f"/v1/channels/{room}/messages/{posted}/reports", {"reason": text}, status=201)
            who = quote(users[number].user, safe="")
            await ann.ok("PUT", f"/v1/channels/{room}/silences/{who}", {"reason": text, "seconds": 600}, status=204)
            await ann.ok("PUT", f"/v1/me/blocks/{who}", status=204)
    for text in LINES[::2]:
        await ann.ok("PUT", f"/v1/channels/{room}/bans/{quote(text[:128], safe='')}", {"reason": text}, status=204)


async def test_markup_in_the_moderation_views_is_shown_as_text(browser: Browser, product: Stack) -> None:
    async with people(product) as world, await browser.new_context() as context:
        await moderated(world)
        page = await context.new_page()
        await page.add_init_script(REPORTER)
        window = await Window.open(page, world.urls[0], "Ann", world.tenant, admin=True)
        await window.enter("Court")
        shown = page.get_by_test_id
        for panel, item in (("pinned", "pinned-message"), ("reports", "report"), ("members", "member")):
            await shown(f"{panel}-toggle").click()
            await shown(item).nth(5).wait_for()
            if panel == "reports":
                await page.locator(".report summary").evaluate_all("all => all.forEach(one => one.click())")
        await shown("answers").last.click()
        await window.act(shown("thread").get_by_test_id("message").nth(1), "delete")
        await page.keyboard.press("Escape")
        await window.choose(shown("conversation-menu"), "settings")
        await shown("settings-topic").wait_for()
        await page.keyboard.press("Escape")
        await shown("search-here").click()
        await shown("search-input").fill("answer")
        await shown("search-hit").nth(len(LINES) - 1).wait_for()
        await page.keyboard.press("Escape")
        await window.choose(shown("account-menu"), "blocked")
        await shown("blocked-person").nth(len(LINES) - 1).wait_for()
        await page.keyboard.press("Escape")
        await window.choose(shown("account-menu"), "audit")
        await shown("audit-record").nth(len(LINES)).wait_for()
        assert await shown("audit-record").filter(has_text=PAYLOADS[0]).count() >= 1, "the markup must be shown as text"
        assert await verdict(page) == [None, []]
        assert not window.complaints


async def test_every_answer_carries_the_security_headers_and_pages_allow_no_inline_script(product: Stack) -> None:
    async with people(product) as world:
        ann = await world.person("ann")
        head = {"Authorization": f"Bearer {ann.token}"}
        for path in ("/", "/any/deep/link", "/v1/me", "/v1/nothing", "/healthz", "/v1/channels/x"):
            answer = await world.http.get(ann.url + path, headers=head)
            policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
            assert policy["default-src"] == "'none'", path
            assert policy["script-src"] == "'self'", path
            assert "unsafe" not in answer.headers["content-security-policy"], path
            assert {"frame-ancestors", "base-uri", "form-action"} <= policy.keys(), path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert answer.headers["x-frame-options"] == "DENY", path
            assert answer.headers["referrer-policy"] == "no-referrer", path
            assert policy["require-trusted-types-for"] == "'script'", path
            assert policy["trusted-types"] == "'none'", path
            assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
            assert answer.headers["cross-origin-resource-policy"] == "same-origin", path
            assert answer.headers["cross-origin-embedder-policy"] == "credentialless", path
        assert (await world.http.get(f"{ann.url}/embed.js")).headers["cross-origin-resource-policy"] == "cross-origin"


async def test_no_credential_is_set_in_a_cookie_or_accepted_from_a_foreign_origin(product: Stack) -> None:
    async with people(product) as world:
        ann = await world.person("ann")
        for path in ("/", "/v1/me"):
            answer = await world.http.get(
                ann.url + path, headers={"Authorization": f"Bearer {ann.token}", "Origin": "https://evil.example"}
            )
            assert "set-cookie" not in answer.headers
            assert "access-control-allow-origin" not in answer.headers
        for origin in (
            "https://evil.example",
            "null",
            f"{ann.url}.evil.example",
            ann.url.replace("127.0.0.1", "localhost"),
            "",
            "://",
        ):
            assert (await refusal(ann, origin=origin)).status == 403, origin


async def test_the_logs_contain_no_token_ticket_or_text(product: Stack) -> None:
    async with people(product) as world:
        ann = await world.person("ann", name="a clandestine name")
        room = await ann.create("group", name="a clandestine room")
        tickets = [await ann.ticket() for _ in range(2)]
        async with connect(world.anonymous(), query=f"?ticket={tickets[0]}") as socket:
            await socket.post(room, "a-clandestine-key", "a clandestine text")
        await refusal(world.anonymous(), query=f"?ticket={tickets[0]}")
        await refusal(world.anonymous(), query=f"?token={ann.token}")
        await ann.call("GET", f"/v1/channels/{room}/messages?ticket={tickets[1]}")
        await ann.call("GET", f"/v1/search?q=a+clandestine+search&x={ann.token}")
        await ann.call("GET", f"/v1/{ann.token}")
        log = product.log
        for secret in (*tickets, str(ann.token), str(ann.token).rpartition(".")[2], "clandestine"):
            assert secret not in log
