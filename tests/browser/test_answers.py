"""Buttons, selects and slash commands in the web app."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from services.integrations.tests.receiver import Receiver, answer, receiver
from stack import Stack
from tests.browser.window import PHONE, Window, windows

pytestmark = pytest.mark.asyncio(loop_scope="session")
TENANT = "web-answers"
BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "Deploy *42* to production?"},
    {"type": "buttons", "id": "review", "buttons": [{"value": "yes", "text": "Approve"}, {"value": "no", "text": "Decline"}]},
    {
        "type": "select",
        "id": "who",
        "label": "Assign to",
        "options": [{"value": "b", "text": "Bob"}, {"value": "c", "text": "Cat"}],
    },
]


async def asked(product: Stack, url: str, room: str) -> None:
    """Let a new bot post a question in a room, and answer a command `/weather`."""
    async with httpx.AsyncClient(base_url=product.gateways[0].url) as http:
        signed_in = {"user": "root", "tenant": TENANT, "roles": ["admin"]}
        token = (await http.post("/v1/dev/login", json=signed_in)).json()["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        bot = (await http.post("/v1/admin/bots", json={"name": "Deploys"})).json()["user"]
        given = {"name": "x", "scopes": ["write", "manage"]}
        key = (await http.post(f"/v1/admin/bots/{bot}/tokens", json=given)).json()["token"]
        assert (await http.post("/v1/admin/actions", json={"bot": bot, "url": url})).status_code == 201
        for name, hint in (("weather", "[city]"), ("week", "")):
            command = {"name": name, "url": url, "bot": bot, "description": f"Shows the {name}", "hint": hint}
            assert (await http.post("/v1/admin/commands", json=command)).status_code == 201
        http.headers["Authorization"] = f"Bearer {key}"
        assert (await http.post(f"/v1/channels/{room}/join")).status_code == 200
        question = {"text": "Deploy 42?", "blocks": BLOCKS}
        assert (await http.post(f"/v1/channels/{room}/messages", json=question)).status_code == 201


def says(server: Receiver, **body: object) -> None:
    server.behaviour = lambda _: answer(200, json.dumps(body).encode())


async def looks_right(window: Window) -> None:
    """Check the screen on a desktop and on a phone, in both themes."""
    page, size = window.page, window.page.viewport_size
    assert size is not None
    await page.emulate_media(reduced_motion="reduce")
    for screen, dark in ((PHONE, False), (PHONE, True), (size, True), (size, False)):
        await page.set_viewport_size(screen)
        await page.emulate_media(color_scheme="dark" if dark else "light")
        await page.evaluate("Promise.allSettled(document.getAnimations().map((each) => each.finished))")  # of colours
        await window.breaks_no_rule()
        assert await page.evaluate("document.documentElement.scrollWidth") == screen["width"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def asking(browser: Browser, product: Stack) -> AsyncIterator[tuple[Window, Receiver]]:
    """Ann, in a room with a bot that has asked, and the bot's server."""
    async with receiver() as server, windows(browser, product, TENANT) as window:
        ann = await window("Ann")
        await ann.page.get_by_test_id("new-channel").click()
        await ann.page.get_by_test_id("kind-public").check(force=True)
        await ann.page.get_by_test_id("channel-name").fill("Deploys")
        await ann.page.get_by_test_id("create-channel").click()
        await expect(ann.page.get_by_test_id("conversation-title")).to_contain_text("Deploys")
        await asked(product, server.url, ann.page.url.rpartition("/")[2])
        yield ann, server


async def test_a_member_answers_a_bot_with_buttons_and_a_select(asking: tuple[Window, Receiver]) -> None:
    ann, server = asking
    message = ann.page.get_by_test_id("message").filter(has=ann.page.get_by_test_id("blocks"))
    says(server, text="You approved 42", visibility="caller")
    await message.get_by_role("button", name="Approve").focus()
    await ann.page.keyboard.press("Enter")
    await expect(message.get_by_test_id("block-answer")).to_have_text("You approved 42 Only you can see this.")
    await looks_right(ann)
    server.behaviour = lambda _: answer(500)
    await message.get_by_role("button", name="Decline").click()
    await expect(message.get_by_role("alert")).to_have_text("The bot does not answer. Try again in a moment.")
    says(server, text="Bob deploys 42", visibility="message")
    await message.get_by_label("Assign to").select_option("Bob")
    await message.get_by_test_id("block-choose").click()
    await ann.sees("Bob deploys 42")
    await expect(ann.page.get_by_test_id("blocks")).to_have_count(0)
    data = [json.loads(each.body)["data"] for each in server.received]
    assert [(each["block"], each["value"]) for each in data] == [("review", "yes"), ("review", "no"), ("who", "b")]
    assert ann.complaints == []


async def test_a_text_with_a_slash_runs_a_command_and_is_never_posted(asking: tuple[Window, Receiver]) -> None:
    ann, server = asking
    server.received.clear()
    says(server, text="Rain", visibility="caller")
    composer = ann.page.get_by_test_id("composer")
    await composer.press_sequentially("/we")
    await expect(ann.page.get_by_test_id("command")).to_have_count(2)
    await composer.press("ArrowDown")
    await expect(ann.page.get_by_role("option", selected=True)).to_contain_text("/week")
    await looks_right(ann)
    await composer.press("ArrowUp")
    await composer.press("Tab")
    await expect(composer).to_have_value("/weather ")
    await composer.press_sequentially("Oslo")
    await composer.press("Enter")
    await expect(ann.page.get_by_test_id("command-note")).to_contain_text("/weather Rain Only you can see this.")
    await expect(composer).to_have_value("")
    await looks_right(ann)
    await ann.page.get_by_test_id("command-note-dismiss").click()
    await ann.say("/wether Oslo")
    await expect(ann.page.get_by_test_id("command-failure")).to_contain_text("There is no command /wether.")
    await expect(composer).to_have_value("/wether Oslo")
    await ann.say("//weather is a command")
    await ann.sees("/weather is a command")
    await expect(ann.page.get_by_test_id("message").filter(has_text="Oslo")).to_have_count(0)
    assert [json.loads(each.body)["data"]["text"] for each in server.received] == ["Oslo"]
    assert ann.complaints == []
