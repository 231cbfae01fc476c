"""The first steps of a new user: two windows, two users, one conversation."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from stack import Stack
from tests.browser.window import Window, windows

WORKERS = ("messages-worker-0", "messages-worker-1")

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(browser: Browser, product: Stack) -> AsyncIterator[tuple[Window, Window]]:
    """Ann and Bob, each in a window of one browser, with their direct conversation open."""
    async with windows(browser, product) as window:
        ann, bob = await window("Ann"), await window("Bob")
        await ann.start_direct("Bob")
        await ann.say("hello Bob")
        await bob.enter("Ann")
        await bob.sees("hello Bob")
        yield ann, bob


async def said(pair: tuple[Window, Window], text: str) -> tuple[Window, Window]:
    """Let Ann write a message, and wait until Bob sees it."""
    ann, bob = pair
    await ann.say(text)
    await bob.sees(text)
    return ann, bob


async def test_two_users_in_two_windows_chat(pair: tuple[Window, Window]) -> None:
    ann, bob = pair
    await bob.say("hello Ann")
    await ann.sees("hello Ann")
    await ann.say("how are you?")
    await bob.sees("how are you?")


async def test_unread_messages_are_counted_until_they_are_seen(pair: tuple[Window, Window]) -> None:
    ann, bob = pair
    await ann.start_group("Hiking", "Bob")
    for text in ("one", "two", "three"):
        await ann.say(text)
    await expect(bob.unread("Hiking")).to_contain_text("3")
    await bob.enter("Hiking")
    await bob.sees("three")
    await expect(bob.unread("Hiking")).to_have_count(0)
    await ann.enter("Bob")
    await bob.enter("Ann")


async def test_an_edit_and_a_deletion_are_seen_by_the_other(pair: tuple[Window, Window]) -> None:
    ann, bob = await said(pair, "helo agian")
    await ann.act(await ann.sees("helo agian"), "edit")
    await ann.page.get_by_test_id("edit-text").fill("hello again")
    await ann.page.get_by_test_id("edit-save").click()
    await expect(await bob.sees("hello again")).to_contain_text("edited")
    await ann.act(await ann.sees("hello again"), "delete")
    await ann.confirm()
    await bob.sees("Message deleted")
    await expect(bob.message("hello again")).to_have_count(0)


async def test_a_reaction_is_counted_and_removed(pair: tuple[Window, Window]) -> None:
    ann, bob = await said(pair, "good news")
    await bob.act(await bob.sees("good news"), "react")
    await bob.page.get_by_test_id("emoji-picker").locator("[data-emoji='🎉']").click()
    hers, his = (one.message("good news").get_by_test_id("reaction") for one in (ann, bob))
    await expect(hers).to_contain_text("1")
    await ann.page.bring_to_front()
    await hers.click()
    await expect(his).to_contain_text("2")
    await bob.page.bring_to_front()
    await his.click()
    await expect(hers).to_contain_text("1")


async def test_a_typing_user_is_named_to_the_other(pair: tuple[Window, Window]) -> None:
    ann, bob = pair
    composer = ann.page.get_by_test_id("composer")
    typing = asyncio.create_task(composer.press_sequentially("thinking", delay=600))
    await expect(bob.page.get_by_test_id("typing")).to_contain_text("Ann")
    await typing
    await composer.fill("")


async def test_markup_is_shown_as_text(pair: tuple[Window, Window]) -> None:
    bad = "<img src=x onerror=\"document.title='stolen'\"><b>bold</b>"
    _, bob = await said(pair, bad)
    assert await bob.page.title() != "stolen"
    assert await bob.page.locator("[data-testid=message] b, [data-testid=message] img").count() == 0


async def test_a_reload_keeps_the_user_and_the_conversation(pair: tuple[Window, Window]) -> None:
    ann, _ = await said(pair, "still here?")
    await ann.reload("Bob")
    await ann.sees("still here?")


async def test_a_message_that_was_not_sent_survives_a_reload_and_is_sent_once(
    product: Stack, pair: tuple[Window, Window]
) -> None:
    ann, bob = pair
    for worker in WORKERS:
        product.kill(worker, signal.SIGSTOP)  # no message is stored meanwhile
    try:
        await ann.say("in a bottle")
        await expect(ann.pending("in a bottle")).to_have_count(1)
        await ann.reload("Bob")
        await expect(ann.pending("in a bottle")).to_have_count(1)
    finally:
        for worker in WORKERS:
            product.kill(worker, signal.SIGCONT)
    await ann.sees("in a bottle")
    await bob.sees("in a bottle")
    await expect(ann.pending("in a bottle")).to_have_count(0)


async def test_a_lost_connection_is_shown_and_messages_written_meanwhile_arrive(
    product: Stack, pair: tuple[Window, Window]
) -> None:
    ann, bob = pair
    pid = product.kill("gateway-0")
    await ann.disconnected()
    await ann.say("are you still there?")
    await product.started("gateway-0", after=pid)
    for one in pair:
        await one.connected(within_seconds=20)
    await bob.sees("are you still there?")
    await bob.say("I am")
    await ann.sees("I am")


async def test_the_app_fits_a_phone(pair: tuple[Window, Window]) -> None:
    ann, _ = pair
    await ann.page.set_viewport_size({"width": 390, "height": 844})
    await ann.sees("hello Bob")
    assert await ann.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await ann.page.get_by_test_id("back").click()
    await expect(ann.conversation("Bob")).to_be_visible()


async def test_the_browser_console_has_no_errors(pair: tuple[Window, Window]) -> None:
    """Runs last, for all tests above: failed scripts, and violations of the content security policy."""
    assert [line for one in pair for line in one.complaints] == []
