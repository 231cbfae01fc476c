"""Moderation in the web app: actions of moderators, members and administrators."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from stack import Stack
from tests.browser.window import Window, windows

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def room(browser: Browser, product: Stack) -> AsyncIterator[tuple[Window, Window]]:
    """Ann, who owns a room and administers the workspace, and Bob, a member of both."""
    async with windows(browser, product) as window:
        bob = await window("Bob")
        ann = await window("Ann", admin=True)
        await ann.start_group("Town hall", "Bob")
        await ann.say("welcome")
        await bob.enter("Town hall")
        await bob.sees("welcome")
        yield ann, bob


async def test_a_menu_offers_only_permitted_actions(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await bob.say("a member's words")
    theirs, own = await bob.sees("welcome"), await bob.sees("a member's words")
    for message, items in ((theirs, ["pin", "copy", "report"]), (own, ["edit", "pin", "copy", "delete"])):
        assert await offered(bob, message.get_by_test_id("more")) == items
    assert await offered(ann, (await ann.sees("a member's words")).get_by_test_id("more")) == ["pin", "copy", "report", "delete"]
    await bob.page.get_by_test_id("members-toggle").click()
    assert await offered(bob, bob.member("Ann").get_by_test_id("member-menu")) == ["message", "block"]
    await bob.page.keyboard.press("Escape")
    await expect(bob.page.get_by_test_id("members")).to_have_count(0)
    await expect(bob.page.get_by_test_id("members-toggle")).to_be_focused()


async def offered(window: Window, button: object) -> list[str]:
    """The items of a menu; checks that the keyboard moves through it and that focus returns afterwards."""
    await window.page.bring_to_front()
    await button.focus()  # type: ignore[attr-defined]
    await window.page.keyboard.press("Enter")
    menu = window.page.get_by_role("menu")
    await expect(menu.get_by_role("menuitem").first).to_be_focused()
    await window.page.keyboard.press("ArrowUp")
    await expect(menu.get_by_role("menuitem").last).to_be_focused()
    items = await menu.get_by_role("menuitem").evaluate_all("all => all.map(one => one.dataset.testid.replace('menu-', ''))")
    await window.page.keyboard.press("Escape")
    await expect(button).to_be_focused()  # type: ignore[call-overload]
    return list(items)


async def test_a_reply_is_shown_in_its_thread_to_both(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await bob.act(await bob.sees("welcome"), "reply")
    await bob.page.get_by_test_id("thread-composer").fill("thank you")
    await bob.page.get_by_test_id("thread-composer").press("Enter")
    await expect(ann.message("welcome").get_by_test_id("replies")).to_have_text("1 reply")
    await ann.page.bring_to_front()
    await ann.message("thank you").get_by_test_id("answers").click()
    thread = ann.page.get_by_test_id("thread")
    await expect(thread.get_by_test_id("message")).to_have_count(2)
    await expect(thread.get_by_test_id("thread-composer")).to_be_focused()
    await thread.get_by_test_id("thread-composer").fill("you are welcome")
    await thread.get_by_test_id("thread-send").click()
    await expect(bob.page.get_by_test_id("thread").get_by_test_id("message")).to_have_count(3)
    for one in room:
        await one.page.bring_to_front()
        await one.page.get_by_label("Close thread").click()


async def test_pinned_messages_are_listed_and_link_to_the_message(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await ann.act(ann.message("welcome").first, "pin")
    await expect(bob.message("welcome").get_by_test_id("pinned-mark").first).to_be_visible()
    await bob.page.bring_to_front()
    await bob.page.get_by_test_id("pinned-toggle").click()
    await bob.page.get_by_test_id("pinned-message").click()
    await expect(bob.page.locator("[data-testid=message]:focus")).to_contain_text("welcome")
    await ann.act(ann.message("welcome").first, "pin")
    await expect(bob.page.get_by_test_id("pinned-message")).to_have_count(0)
    await bob.page.get_by_label("Close pinned").click()


async def test_a_report_reaches_the_moderators_who_can_delete_the_message(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await bob.say("something bad")
    await ann.act(await ann.sees("something bad"), "report")  # reports about the owner go to administrators
    await ann.confirm("not nice")
    await ann.choose(ann.page.get_by_test_id("conversation-menu"), "reports")
    report = ann.page.get_by_test_id("report")
    await expect(report).to_contain_text("not nice")
    await expect(report.locator("blockquote")).to_have_text("something bad")
    await report.get_by_test_id("report-delete").click()
    await expect(report).to_have_count(0)
    await expect(bob.message("something bad")).to_have_count(0)
    await ann.page.get_by_label("Close reports").click()


async def test_slow_mode_is_set_and_shown(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await ann.choose(ann.page.get_by_test_id("conversation-menu"), "settings")
    await ann.page.get_by_test_id("settings-topic").fill("rules and regulations")
    await ann.page.get_by_test_id("settings-slow").select_option("30")
    await ann.page.get_by_test_id("settings-save").click()
    await expect(bob.page.get_by_test_id("slow-mode")).to_contain_text("30 seconds")
    await expect(ann.page.get_by_test_id("slow-mode")).to_have_count(0)
    await ann.choose(ann.page.get_by_test_id("conversation-menu"), "settings")
    await expect(ann.page.get_by_test_id("settings-slow")).to_have_value("30")
    await ann.page.get_by_test_id("settings-slow").select_option("0")
    await ann.page.get_by_test_id("settings-save").click()
    await expect(bob.page.get_by_test_id("slow-mode")).to_have_count(0)


async def test_a_search_finds_a_message_and_links_to_it(room: tuple[Window, Window]) -> None:
    ann, _ = room
    await ann.page.bring_to_front()
    await ann.page.keyboard.press("Control+k")
    await ann.page.get_by_test_id("search-messages").click()
    await ann.page.get_by_test_id("search-input").fill("member")
    await expect(ann.page.get_by_test_id("search-hit")).to_have_count(1)
    await ann.page.get_by_test_id("search-input").press("Enter")
    await expect(ann.page.locator("[data-testid=message]:focus")).to_contain_text("a member's words")


async def test_a_blocked_user_cannot_write_directly_until_unblocked(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await bob.start_direct("Ann")
    await bob.say("psst")
    await ann.enter("Bob")
    await ann.sees("psst")
    await ann.choose(ann.page.get_by_test_id("conversation-menu"), "block")
    await ann.confirm()
    await expect(ann.page.get_by_test_id("blocked-note")).to_contain_text("Bob")
    await bob.say("hello?")
    await expect(bob.pending("hello?").get_by_role("alert")).to_contain_text("can't post")
    await ann.choose(ann.page.get_by_test_id("account-menu"), "blocked")
    await ann.page.get_by_test_id("blocked-person").get_by_role("button").click()
    await expect(ann.page.get_by_test_id("blocked-person")).to_have_count(0)
    await ann.page.keyboard.press("Escape")
    await ann.choose(ann.page.get_by_test_id("account-menu"), "dnd")
    await expect(bob.page.locator(".heading-text")).to_contain_text("Do not disturb")
    await bob.page.bring_to_front()
    await bob.pending("hello?").get_by_test_id("retry").click()
    await ann.sees("hello?")
    for one in room:
        await one.enter("Town hall")


async def test_roles_silences_and_bans_take_effect_at_once(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await ann.page.get_by_test_id("members-toggle").click()
    await ann.about_member("Bob", "role-moderator")
    await expect(ann.member("Bob").locator(".role")).to_have_text("moderator")
    await bob.page.bring_to_front()
    await bob.page.get_by_test_id("conversation-menu").click()
    await expect(bob.page.get_by_test_id("menu-reports")).to_be_visible()
    await bob.page.keyboard.press("Escape")
    await ann.about_member("Bob", "role-member")
    await ann.about_member("Bob", "silence")
    await ann.confirm("a quiet evening")
    await bob.say("am I heard?")
    await expect(bob.pending("am I heard?").get_by_role("alert")).to_be_visible()
    await ann.about_member("Bob", "ban")
    await ann.page.get_by_test_id("action-span").select_option(label="1 hour")
    await ann.confirm("a long evening")
    await expect(ann.member("Bob")).to_have_count(0)
    await expect(bob.conversation("Town hall")).to_have_count(0)
    await ann.page.get_by_test_id("lift-ban").click()
    await ann.page.get_by_test_id("people-search").fill("Bob")
    await ann.page.get_by_test_id("person").filter(has_text="Bob").click()
    await ann.confirm()


async def test_an_administrator_reads_and_saves_the_audit_log(room: tuple[Window, Window]) -> None:
    ann, bob = room
    await ann.choose(ann.page.get_by_test_id("account-menu"), "audit")
    records = ann.page.get_by_test_id("audit-record")
    await expect(records.filter(has_text="Banned Bob for 1 hour")).to_contain_text("a long evening")
    await expect(records.filter(has_text="Silenced Bob")).to_contain_text("a quiet evening")
    await expect(records.filter(has_text="Unbanned Bob")).to_have_count(1)
    async with ann.page.expect_download() as download:
        await ann.page.get_by_test_id("audit-export").click()
    saved = await (await download.value).path()
    assert len(saved.read_text().splitlines()) == await records.count()
    await bob.page.bring_to_front()
    await bob.page.get_by_test_id("account-menu").click()
    await expect(bob.page.get_by_test_id("menu-audit")).to_have_count(0)


async def test_the_browser_console_has_no_errors(room: tuple[Window, Window]) -> None:
    """Runs last, for all tests above."""
    assert [line for one in room for line in one.complaints] == []
