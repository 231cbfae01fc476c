"""Invitations and the reports of a tenant's administrators in the web app."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from stack import Stack
from tests.browser.window import CONSENT_TENANT, Window, windows

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def strangers(browser: Browser, product: Stack) -> AsyncIterator[tuple[Window, Window]]:
    """Ann and Bob, who share no channel, where strangers can only invite each other."""
    async with windows(browser, product, CONSENT_TENANT) as window:
        yield await window("Ann"), await window("Bob")


async def invited(ann: Window, other: Window, group: str) -> None:
    """Let Ann start a group with a stranger, who is only invited."""
    await ann.page.bring_to_front()
    await ann.page.get_by_test_id("new-channel").click()
    await ann.page.get_by_test_id("kind-group").check(force=True)
    await ann.page.get_by_test_id("channel-name").fill(group)
    await ann.page.get_by_test_id("people-search").fill(other.name)
    await ann.page.get_by_test_id("person").filter(has_text=other.name).first.click()
    await ann.page.get_by_test_id("create-channel").click()
    await expect(ann.page.get_by_test_id("only-invited")).to_contain_text(f"{other.name} can accept your invitation")
    await ann.page.get_by_test_id("invited-done").click()
    await expect(ann.page.get_by_test_id("conversation-title")).to_contain_text(group)
    await expect(other.conversation(group)).to_have_count(0)


async def test_an_invitation_appears_at_once_and_is_accepted(strangers: tuple[Window, Window]) -> None:
    ann, bob = strangers
    await invited(ann, bob, "Hiking")
    await bob.page.bring_to_front()
    await expect(bob.page.get_by_test_id("invitation")).to_contain_text("Hiking")
    await bob.page.get_by_test_id("accept").click()
    await expect(bob.page.get_by_test_id("conversation-title")).to_contain_text("Hiking")
    await expect(bob.page.get_by_test_id("invitation")).to_have_count(0)
    await bob.say("here I am")
    await ann.sees("here I am")


async def test_an_invitation_is_declined(browser: Browser, product: Stack, strangers: tuple[Window, Window]) -> None:
    ann, _ = strangers
    async with windows(browser, product, CONSENT_TENANT) as window:
        cat = await window("Cat")
        await invited(ann, cat, "Chess")
        await cat.page.bring_to_front()
        await cat.page.get_by_test_id("decline").click()
        await expect(cat.page.get_by_test_id("invitation")).to_have_count(0)
        await cat.page.reload()
        await cat.connected()
        await expect(cat.page.get_by_test_id("invitation")).to_have_count(0)
        await expect(cat.conversation("Chess")).to_have_count(0)
        assert [*ann.complaints, *cat.complaints] == []


async def test_a_report_about_a_moderator_reaches_the_administrators(browser: Browser, product: Stack) -> None:
    async with windows(browser, product) as window:
        bob, admin, ann = await window("Bob"), await window("Dora", admin=True), await window("Ann")
        await ann.start_group("Town hall", "Bob")
        await ann.say("the owner's bad words")
        await bob.enter("Town hall")
        await bob.act(await bob.sees("the owner's bad words"), "report")
        await bob.confirm("abuse of power")
        await admin.choose(admin.page.get_by_test_id("account-menu"), "tenant-reports")
        report = admin.page.get_by_test_id("report")
        await expect(report).to_contain_text("abuse of power")
        await expect(report).to_contain_text("the owner's bad words")
        await report.get_by_test_id("report-acted").click()
        await expect(report).to_have_count(0)
        await ann.page.bring_to_front()
        await ann.page.get_by_test_id("account-menu").click()
        await expect(ann.page.get_by_test_id("menu-tenant-reports")).to_have_count(0)
        assert [*admin.complaints, *bob.complaints, *ann.complaints] == []
