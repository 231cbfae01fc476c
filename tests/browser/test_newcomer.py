"""What a newcomer does: two windows, two people, one conversation; and what must not get lost on the way."""

import signal

import pytest
from playwright.async_api import expect

from stack import Stack
from tests.browser.conftest import OpenWindow
from tests.browser.window import Window

WORKERS = ("messages-worker-0", "messages-worker-1")

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def two_people(window: OpenWindow) -> tuple[Window, Window]:
    """Ann and Bob in a direct conversation, both looking at it."""
    ann, bob = await window("Ann"), await window("Bob")
    await ann.start_direct("Bob")
    await ann.say("hello Bob")
    await bob.enter("Ann")
    await bob.sees("hello Bob")
    return ann, bob


async def test_two_people_in_two_windows_chat(window: OpenWindow) -> None:
    ann, bob = await two_people(window)
    await bob.say("hello Ann")
    await ann.sees("hello Ann")
    await ann.say("how are you?")
    await bob.sees("how are you?")


async def test_what_is_unread_is_counted_until_it_is_seen(window: OpenWindow) -> None:
    ann, bob = await window("Ann"), await window("Bob")
    await ann.start_group("Hiking", "Bob")
    for text in ("one", "two", "three"):
        await ann.say(text)
    await expect(bob.unread("Hiking")).to_contain_text("3")
    await bob.enter("Hiking")
    await bob.sees("three")
    await expect(bob.unread("Hiking")).to_have_count(0)


async def test_an_edit_and_a_deletion_are_seen_by_the_other(window: OpenWindow) -> None:
    ann, bob = await two_people(window)
    message = await ann.sees("hello Bob")
    await ann.act(message, "edit")
    await ann.page.get_by_test_id("edit-text").fill("good morning Bob")
    await ann.page.get_by_test_id("edit-save").click()
    seen = await bob.sees("good morning Bob")
    await expect(seen).to_contain_text("edited")
    await ann.act(await ann.sees("good morning Bob"), "delete")
    await ann.page.get_by_test_id("delete-confirm").click()
    await bob.sees("Message deleted")
    await expect(bob.message("good morning Bob")).to_have_count(0)


async def test_a_reaction_is_counted_and_taken_back(window: OpenWindow) -> None:
    ann, bob = await two_people(window)
    await bob.act(await bob.sees("hello Bob"), "react")
    await bob.page.get_by_test_id("emoji-picker").locator("[data-emoji='🎉']").click()
    reaction = (await ann.sees("hello Bob")).get_by_test_id("reaction")
    await expect(reaction).to_contain_text("1")
    await reaction.click()
    await expect((await bob.sees("hello Bob")).get_by_test_id("reaction")).to_contain_text("2")
    await bob.message("hello Bob").get_by_test_id("reaction").click()
    await expect(reaction).to_contain_text("1")


async def test_whoever_types_is_named_to_the_other(window: OpenWindow) -> None:
    ann, bob = await two_people(window)
    await ann.page.get_by_test_id("composer").press_sequentially("thinking", delay=20)
    await expect(bob.page.get_by_test_id("typing")).to_contain_text("Ann")


async def test_a_reload_keeps_the_person_and_the_conversation(window: OpenWindow) -> None:
    ann, _ = await two_people(window)
    await ann.page.reload()
    await ann.connected()
    await ann.enter("Bob")
    await ann.sees("hello Bob")


async def test_a_message_that_was_not_sent_survives_a_reload_and_is_sent_once(product: Stack, window: OpenWindow) -> None:
    ann, bob = await two_people(window)
    for worker in WORKERS:
        product.kill(worker, signal.SIGSTOP)  # nothing is stored meanwhile
    try:
        await ann.say("in a bottle")
        await expect(ann.pending("in a bottle")).to_have_count(1)
        await ann.page.reload()
        await ann.connected()
        await ann.enter("Bob")
        await expect(ann.pending("in a bottle")).to_have_count(1)
    finally:
        for worker in WORKERS:
            product.kill(worker, signal.SIGCONT)
    await ann.sees("in a bottle")
    await bob.sees("in a bottle")
    await expect(ann.pending("in a bottle")).to_have_count(0)


async def test_a_killed_gateway_is_said_and_what_was_written_meanwhile_arrives(product: Stack, window: OpenWindow) -> None:
    ann, bob = await two_people(window)
    pid = product.kill("gateway-0")
    await ann.disconnected()
    await ann.say("are you still there?")
    await product.started("gateway-0", after=pid)
    for one in (ann, bob):
        await one.connected(within_seconds=20)
    await bob.sees("are you still there?")
    await bob.say("I am")
    await ann.sees("I am")


async def test_text_is_shown_as_text_whatever_it_says(window: OpenWindow) -> None:
    ann, bob = await two_people(window)
    bad = "<img src=x onerror=\"document.title='stolen'\"><b>bold</b>"
    await ann.say(bad)
    await bob.sees(bad)
    assert await bob.page.title() != "stolen"
    assert await bob.page.locator("[data-testid=message] b, [data-testid=message] img").count() == 0


async def test_the_app_fits_a_phone(window: OpenWindow) -> None:
    ann, _ = await two_people(window)
    await ann.page.set_viewport_size({"width": 390, "height": 844})
    await ann.sees("hello Bob")
    assert await ann.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await ann.page.get_by_test_id("back").click()
    await expect(ann.conversation("Bob")).to_be_visible()
