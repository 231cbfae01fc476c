"""Bots and incoming webhooks in the web app."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, expect

from services.integrations.tests.receiver import answer, receiver
from stack import Stack
from tests.browser.window import PHONE, Window, windows

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def room(browser: Browser, product: Stack) -> AsyncIterator[tuple[Window, Window]]:
    """Ann, who owns a room and administers the workspace, and Bob, a member of the room."""
    async with windows(browser, product) as window:
        bob = await window("Bob")
        ann = await window("Ann", admin=True)
        await ann.start_group("Builds", "Bob")
        await bob.enter("Builds")
        yield ann, bob


async def shown_secret(window: Window) -> str:
    """The secret that the dialog shows, which its button copies."""
    value = await window.page.get_by_test_id("secret-value").input_value()
    await window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await window.page.get_by_test_id("secret-copy").click()
    await expect(window.page.get_by_test_id("secret")).to_contain_text("Copied")
    assert await window.page.evaluate("navigator.clipboard.readText()") == value
    return value


async def keeps_the_rules(window: Window) -> None:
    """Check the dialog on a desktop and on a phone, where nothing may be wider than the screen."""
    page, size = window.page, window.page.viewport_size
    assert size is not None
    for screen in (PHONE, size):
        await page.set_viewport_size(screen)
        await window.breaks_no_rule()
        assert await page.evaluate("document.documentElement.scrollWidth") == screen["width"]


async def test_an_administrator_makes_a_bot_and_its_token_which_is_shown_once(
    room: tuple[Window, Window], product: Stack
) -> None:
    ann, _ = room
    await ann.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    await ann.choose(ann.page.get_by_test_id("account-menu"), "bots")
    await ann.page.get_by_test_id("bot-name").fill("Deploys")
    await ann.page.get_by_test_id("bot-create").click()
    await ann.page.get_by_test_id("token-name").fill("production")
    await ann.page.get_by_test_id("scope-react").check()
    await ann.page.get_by_test_id("token-create").click()
    secret = await shown_secret(ann)
    token = ann.page.get_by_test_id("token")
    await expect(token).to_contain_text("read, write, react · never used · ends")
    await keeps_the_rules(ann)
    async with httpx.AsyncClient(base_url=product.gateways[0].url, headers={"Authorization": f"Bearer {secret}"}) as bot:
        assert (await bot.get("/v1/me")).json()["name"] == "Deploys"
        await ann.page.get_by_test_id("bot-rename").click()
        await ann.page.get_by_test_id("rename-name").fill("Ship it")
        await ann.page.get_by_test_id("rename-create").click()
        await expect(ann.page.get_by_role("dialog", name="Tokens of Ship it")).to_be_visible()
        await ann.page.get_by_test_id("bots-back").click()
        row = ann.page.get_by_test_id("bot").filter(has_text="Ship it")
        await row.get_by_test_id("bot-open").click()
        await expect(ann.page.get_by_test_id("secret")).to_have_count(0)
        await token.get_by_test_id("token-revoke").click()
        await expect(token).to_have_count(0)
        assert (await bot.get("/v1/me")).status_code == 401
    await ann.page.keyboard.press("Escape")
    await ann.page.get_by_test_id("members-toggle").click()
    await ann.page.get_by_test_id("add-member").click()
    await ann.page.get_by_test_id("people-search").fill("ship")
    found = ann.page.get_by_test_id("person").filter(has_text="Ship it")
    await badge(found)
    await found.click()
    await badge(ann.member("Ship it"))
    await ann.choose(ann.page.get_by_test_id("account-menu"), "bots")
    await row.get_by_test_id("bot-toggle").click()
    await expect(row).to_contain_text("disabled")
    await expect(row.get_by_test_id("bot-toggle")).to_be_enabled()
    await keeps_the_rules(ann)
    await ann.page.keyboard.press("Escape")


async def badge(where: Locator) -> None:
    await expect(where.get_by_test_id("bot-badge")).to_have_text("Bot")


async def test_an_owner_makes_a_webhook_whose_messages_are_marked_as_a_bots(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await bob.page.bring_to_front()
    await bob.page.get_by_test_id("conversation-menu").click()
    await expect(bob.page.get_by_test_id("menu-hooks")).to_have_count(0)
    await bob.page.keyboard.press("Escape")
    await ann.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    await ann.choose(ann.page.get_by_test_id("conversation-menu"), "hooks")
    await ann.page.get_by_test_id("hook-name").fill("CI")
    await ann.page.get_by_test_id("hook-create").click()
    address = await shown_secret(ann)
    await keeps_the_rules(ann)
    async with httpx.AsyncClient() as program:
        assert (await program.post(address, json={"text": "Build 7 is green"})).status_code == 200
        await badge(await bob.sees("Build 7 is green"))
        await ann.page.bring_to_front()
        await ann.page.get_by_test_id("hook-rotate").click()
        await ann.confirm()
        renewed = await shown_secret(ann)
        assert [(await program.post(each, json={"text": "again"})).status_code for each in (address, renewed)] == [404, 200]
        await ann.page.get_by_test_id("hook-remove").click()
        await ann.confirm()
        await expect(ann.page.get_by_test_id("hook")).to_have_count(0)
        assert (await program.post(renewed, json={"text": "still here?"})).status_code == 404
    await ann.page.keyboard.press("Escape")
    await badge(await ann.sees("Build 7 is green"))
    assert ann.complaints == bob.complaints == []


async def test_an_administrator_makes_an_outgoing_webhook_and_reads_its_deliveries(room: tuple[Window, Window]) -> None:
    ann, _ = room
    page = ann.page
    async with receiver() as server:
        server.behaviour = lambda _: answer(500, b"out of order")
        await ann.choose(page.get_by_test_id("account-menu"), "webhooks")
        await page.get_by_test_id("webhook-url").fill("ftp://hooks.example.com")
        await page.get_by_test_id("webhook-create").click()
        await expect(page.get_by_role("alert").filter(has_text="http")).to_be_visible()
        await page.get_by_test_id("webhook-url").fill(server.url)
        await page.get_by_test_id("webhook-events").select_option("New messages")
        await page.get_by_test_id("webhook-create").click()
        assert (await shown_secret(ann)).startswith("whsec_")
        await keeps_the_rules(ann)
        await page.keyboard.press("Escape")
        await ann.say("for the webhook")
        await ann.choose(page.get_by_test_id("account-menu"), "webhooks")
        await expect(page.get_by_test_id("secret")).to_have_count(0)
        await page.get_by_test_id("webhook-open").click()
        delivery = page.get_by_test_id("delivery").filter(has_text="status 500")
        async with asyncio.timeout(15):
            while not await delivery.count():
                await page.get_by_test_id("webhook-refresh").click()
                await expect(page.get_by_test_id("webhook-refresh")).to_be_enabled()
        await expect(delivery).to_contain_text("message.posted")
        await delivery.get_by_test_id("delivery-answer").click()
        await expect(page.get_by_test_id("delivery-text")).to_have_text("out of order")
        await keeps_the_rules(ann)
        await page.get_by_test_id("webhook-toggle").click()
        await expect(page.get_by_test_id("webhook-state")).to_contain_text("Disabled · 1 waiting")
        await page.get_by_test_id("webhook-rotate").click()
        await ann.confirm()
        assert (await shown_secret(ann)).startswith("whsec_")
        await page.get_by_test_id("webhook-delete").click()
        await ann.confirm()
        await expect(page.get_by_text("No webhooks yet.")).to_be_visible()
    await page.keyboard.press("Escape")
    assert ann.complaints == []
