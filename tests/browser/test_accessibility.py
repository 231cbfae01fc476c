"""Menus, dialogs, search lists and the emoji picker by keyboard alone, and the rules of WCAG 2.1 AA on each of these screens."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, expect

from stack import Stack
from tests.browser.window import PHONE, Window, windows

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ann(browser: Browser, product: Stack) -> AsyncIterator[Window]:
    """Ann, the owner of a group with Bob and one message of hers."""
    async with windows(browser, product) as window:
        await window("Bob")
        ann = await window("Ann", admin=True)
        await ann.start_direct("Bob")
        await ann.start_group("Reading group", "Bob")
        await ann.say("hello everyone")
        await ann.sees("hello everyone")
        # Animations change colours while they run.
        await ann.page.emulate_media(reduced_motion="reduce")
        yield ann


async def test_a_menu_moves_and_searches_by_keyboard_and_returns_the_focus(ann: Window) -> None:
    button = ann.page.get_by_test_id("conversation-menu")
    menu = ann.page.get_by_role("menu", name="Conversation menu")
    for leave in ("Escape", "Tab"):
        await button.press("Enter")
        await expect(button).to_have_attribute("aria-expanded", "true")
        await expect(menu.get_by_role("menuitem", name="Reports")).to_be_focused()
        await ann.page.keyboard.press("ArrowDown")
        await expect(menu.get_by_role("menuitem", name="Settings")).to_be_focused()
        await ann.page.keyboard.press("l")
        await expect(menu.get_by_role("menuitem", name="Leave")).to_be_focused()
        await ann.page.keyboard.press("Home")
        await expect(menu.get_by_role("menuitem", name="Reports")).to_be_focused()
        await ann.page.keyboard.press(leave)
        await expect(menu).to_have_count(0)
        await expect(button).to_be_focused()


async def test_a_menu_of_exclusive_choices_says_which_is_chosen(ann: Window) -> None:
    await ann.page.get_by_test_id("account-menu").press("Enter")
    await expect(ann.page.get_by_role("menuitemradio", name="Online")).to_have_attribute("aria-checked", "true")
    await expect(ann.page.get_by_role("menuitemradio", name="Away")).to_have_attribute("aria-checked", "false")
    await ann.page.keyboard.press("Escape")


async def test_a_dialog_keeps_the_focus_and_returns_it_to_the_menus_button(ann: Window) -> None:
    button = ann.page.get_by_test_id("conversation-menu")
    await button.press("Enter")
    await ann.page.keyboard.press("s")
    await ann.page.keyboard.press("Enter")
    dialog = ann.page.get_by_role("dialog", name="Conversation settings")
    await expect(dialog.get_by_test_id("settings-name")).to_be_focused()
    for _ in range(10):
        await ann.page.keyboard.press("Tab")
        # The browser's own controls may come between the last and the first control of the dialog: then the body has the focus.
        assert await dialog.evaluate(
            "dialog => document.activeElement === document.body || dialog.contains(document.activeElement)"
        )
    await ann.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(button).to_be_focused()


async def test_escape_closes_the_dialog_of_a_panel_and_not_the_panel(ann: Window) -> None:
    await ann.page.get_by_test_id("members-toggle").press("Enter")
    await ann.about_member("Bob", "ban")
    await expect(ann.page.get_by_test_id("action-reason")).to_be_focused()
    await ann.page.keyboard.press("Escape")
    await expect(ann.page.get_by_role("dialog")).to_have_count(0)
    await expect(ann.member("Bob").get_by_test_id("member-menu")).to_be_focused()
    await ann.page.keyboard.press("Escape")
    await expect(ann.page.get_by_test_id("members")).to_have_count(0)
    await expect(ann.page.get_by_test_id("members-toggle")).to_be_focused()


async def test_a_search_list_is_walked_from_its_field(ann: Window) -> None:
    await ann.page.keyboard.press("Control+k")
    field = ann.page.get_by_role("combobox", name="Find a conversation")
    options = ann.page.get_by_role("listbox", name="Conversations").get_by_role("option")
    await expect(options).to_have_count(2)
    await _expect_active(field, options.first)
    await ann.page.keyboard.press("ArrowDown")
    await _expect_active(field, options.last)
    await expect(field).to_be_focused()
    await field.fill("no such conversation")
    await expect(options).to_have_count(0)
    await expect(ann.page.get_by_role("status").filter(has_text="No conversations found")).to_be_visible()
    await field.fill("bob")
    await _expect_active(field, options.first)
    await ann.page.keyboard.press("Enter")
    await expect(ann.page.get_by_test_id("conversation-title")).to_have_text("Bob")
    await ann.enter("Reading group")


async def _expect_active(field: Locator, option: Locator) -> None:
    """Expect that assistive technology announces this option while the focus stays in the field."""
    await expect(option).to_have_attribute("data-active-item", "true")
    await expect(field).to_have_attribute("aria-activedescendant", await option.get_attribute("id") or "")


async def test_the_emoji_picker_is_a_grid_and_returns_the_focus(ann: Window) -> None:
    message = ann.message("hello everyone")
    await message.focus()
    await ann.page.keyboard.press("Enter")
    await expect(message.get_by_test_id("react")).to_be_focused()
    await ann.page.keyboard.press("Enter")
    picker = ann.page.get_by_role("dialog", name="Choose an emoji")
    await expect(picker.get_by_role("gridcell").first).to_be_focused()
    await ann.page.keyboard.press("ArrowDown")
    await ann.page.keyboard.press("ArrowRight")
    await expect(picker.locator("[data-emoji='😍']")).to_be_focused()
    await ann.page.keyboard.press("Escape")
    await expect(picker).to_have_count(0)
    await expect(message.get_by_test_id("react")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("narrow", [False, True], ids=["desktop", "phone"])
async def test_screens_break_no_rule_of_wcag(ann: Window, *, narrow: bool, scheme: str) -> None:
    page, test_id = ann.page, ann.page.get_by_test_id
    size = page.viewport_size
    if narrow:
        await page.set_viewport_size(PHONE)
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await expect(ann.message("hello everyone")).to_be_visible()
    await ann.breaks_no_rule()
    for button, menu_item, dialog in (
        ("conversation-menu", "settings", "settings-name"),
        ("conversation-menu", "leave", "action-confirm"),
    ):
        await test_id(button).click()
        await expect(page.get_by_role("menu")).to_be_visible()
        await ann.breaks_no_rule()
        await test_id(f"menu-{menu_item}").click()
        await expect(test_id(dialog)).to_be_visible()
        await ann.breaks_no_rule()
        await page.keyboard.press("Escape")
    message = ann.message("hello everyone")
    await message.hover()
    await message.get_by_test_id("react").click()
    await expect(test_id("emoji-picker")).to_be_visible()
    await ann.breaks_no_rule()
    await page.keyboard.press("Escape")
    await ann.act(message, "reply")
    await expect(test_id("thread").get_by_test_id("message")).to_have_count(1)
    await ann.breaks_no_rule()
    await page.get_by_label("Close thread").click()
    await test_id("members-toggle").click()
    await test_id("add-member").click()
    await expect(page.get_by_text("Everyone has been added.")).to_be_visible()
    await ann.breaks_no_rule()
    await page.get_by_label("Close members").click()
    await page.keyboard.press("Control+k")
    await test_id("search-messages").click()
    await ann.breaks_no_rule()
    await test_id("search-input").fill("hello")
    await expect(test_id("search-hit")).to_have_count(1)
    await ann.breaks_no_rule()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    if narrow:
        await test_id("back").click()
    await test_id("new-channel").click()
    await expect(test_id("person")).to_have_count(1)
    await ann.breaks_no_rule()
    await page.keyboard.press("Escape")
    if size is not None:
        await page.set_viewport_size(size)
    await ann.enter("Reading group")


async def test_nothing_was_complained_about_on_the_console(ann: Window) -> None:
    """Last, about all of the above: what the content security policy forbids would be here."""
    assert ann.complaints == []
