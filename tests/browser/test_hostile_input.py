"""Names, links, addresses and data that would mislead, block or outlive the user of the web app."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from stack import Stack
from tests.browser.window import Window, windows

BROKEN_ADDRESSES = ("#/c/%", "#/c/%E0%A4%A/%", "#/c/..", "#/c/%2e", "#/c//1", "#/c/%00", "#/x/%", "#%")
NOT_ISOLATED = """all => all
    .filter(one => [...one.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim() !== ''))
    .filter(one => !['isolate', 'isolate-override', 'plaintext'].includes(getComputedStyle(one).unicodeBidi))
    .map(one => one.outerHTML)"""

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(browser: Browser, product: Stack) -> AsyncIterator[tuple[Window, Window]]:
    """Ann and Bob in a group of Ann's."""
    async with windows(browser, product) as window:
        bob, ann = await window("Bob"), await window("Ann")
        await ann.start_group("Hiking", "Bob")
        await ann.say("hello")
        await bob.enter("Hiking")
        await bob.sees("hello")
        yield ann, bob


async def test_a_link_is_shown_as_it_is_followed(pair: tuple[Window, Window]) -> None:
    ann, bob = pair
    await ann.say("see https://a.example/\u202egnp.exe and \u202ethis")
    link = (await bob.sees("see https")).get_by_role("link")
    await expect(link).to_have_text("https://a.example/%E2%80%AEgnp.exe")
    await expect(link).to_have_attribute("href", "https://a.example/%E2%80%AEgnp.exe")


async def test_every_text_on_screen_is_isolated(pair: tuple[Window, Window]) -> None:
    ann, bob = pair
    await bob.page.get_by_test_id("members-toggle").click()
    await ann.sees("hello")
    assert await bob.page.locator("#root *").evaluate_all(NOT_ISOLATED) == []
    await bob.page.get_by_label("Close members").click()


async def test_the_id_is_beside_a_name_that_another_user_has(browser: Browser, product: Stack) -> None:
    async with windows(browser, product) as window:
        bob, ann = await window("Bob"), await window("Ann")
        await ann.start_group("Twins", "Bob")
        await ann.say("I am Ann")
        await bob.enter("Twins")
        await expect((await bob.sees("I am Ann")).get_by_test_id("name-id")).to_have_count(0)
        await window("\uff21nn")  # full width: another id, the same to the eye
        await ann.page.bring_to_front()
        await ann.page.get_by_test_id("members-toggle").click()
        await ann.page.get_by_test_id("add-member").click()
        await ann.page.get_by_test_id("people-search").fill("\uff21nn")
        await ann.page.get_by_test_id("person").first.click()
        await expect(ann.page.get_by_test_id("members").get_by_test_id("name-id")).to_have_count(2)


async def test_no_address_leaves_a_blank_page(pair: tuple[Window, Window]) -> None:
    _, bob = pair
    page = bob.page
    await page.bring_to_front()
    for address in BROKEN_ADDRESSES:
        await page.evaluate("address => { window.location.hash = address; }", address)
        await page.reload()
        await bob.connected()
        await expect(bob.conversation("Hiking")).to_be_visible()
        await expect(page.get_by_role("main")).not_to_be_empty()
    await bob.enter("Hiking")


async def test_broken_data_of_the_browser_leaves_a_page(browser: Browser, product: Stack) -> None:
    async with await browser.new_context() as context:
        page = await context.new_page()
        await page.add_init_script("sessionStorage.setItem('hubbub.session', '{')")
        await page.goto(product.gateways[0].url)
        await expect(page.get_by_test_id("sign-in-submit")).to_be_visible()


async def test_signing_out_asks_and_deletes_what_was_not_sent(browser: Browser, product: Stack) -> None:
    async with windows(browser, product) as window:
        await window("Bob")
        ann = await window("Ann")
        await ann.start_direct("Bob")
        stored = "Object.keys(localStorage).filter(name => name.startsWith('hubbub.outbox.'))"
        await ann.page.evaluate(
            "item => { localStorage.setItem('hubbub.outbox.other.cid.k', item); }", json.dumps({"key": "k", "text": "not hers"})
        )
        mine = await ann.page.evaluate(
            """() => {
                const { login } = JSON.parse(sessionStorage.getItem('hubbub.session'));
                const name = `hubbub.outbox.${login.tenant}.${login.user}.k`;
                const state = { name: 'failed', reason: 'NOT_ALLOWED', detail: '' };
                const item = { key: 'k', channel: 'c', text: 'secret', writtenAt: 0, state };
                localStorage.setItem(name, JSON.stringify(item));
                return name;
            }"""
        )
        await ann.choose(ann.page.get_by_test_id("account-menu"), "sign-out")
        dialog = ann.page.get_by_role("dialog", name="Sign out?")
        await expect(dialog).to_contain_text("One message is not sent yet.")
        await ann.page.keyboard.press("Escape")
        await expect(dialog).to_have_count(0)
        assert mine in await ann.page.evaluate(stored)
        await ann.choose(ann.page.get_by_test_id("account-menu"), "sign-out")
        await ann.confirm()
        await expect(ann.page.get_by_test_id("sign-in-submit")).to_be_visible()
        assert await ann.page.evaluate(stored) == ["hubbub.outbox.other.cid.k"]
        assert await ann.page.evaluate("sessionStorage.length") == 0


async def test_the_page_runs_under_trusted_types(pair: tuple[Window, Window], product: Stack) -> None:
    _, bob = pair
    answer = await bob.page.request.get(product.gateways[0].url)
    assert "require-trusted-types-for 'script'" in answer.headers["content-security-policy"]
    refused = "() => { try { document.createElement('p').innerHTML = '<b>'; return false; } catch { return true; } }"
    assert await bob.page.evaluate(refused)


async def test_nothing_was_complained_about_on_the_console(pair: tuple[Window, Window]) -> None:
    """Last, about all of the above but the deliberate violation."""
    complaints = [line for one in pair for line in one.complaints]
    assert [line for line in complaints if "TrustedHTML" not in line] == []
