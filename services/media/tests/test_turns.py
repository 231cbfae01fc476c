"""Tenants and users take turns at the scanner."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from hubbub.media.v1 import media_pb2 as nouns
from media.scan import PICTURES_AT_ONCE
from media.shares import Shares
from services.media.tests.conftest import Harness, image

_HEAVY_IMAGES = 500


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_least_charged_tenant_is_first_and_in_it_the_least_charged_user() -> None:
    shares = Shares(Clock())
    for owner, seconds in (("ann", 5.0), ("bob", 1.0)):
        shares.charge("busy", owner, seconds)
    shares.charge("calm", "cat", 2.0)
    waiting = [("busy", "ann"), ("busy", "bob"), ("calm", "cat"), ("new", "dan")]
    assert shares.order(waiting) == [("new", "dan"), ("calm", "cat"), ("busy", "bob"), ("busy", "ann")]


def test_charges_halve_every_minute_and_are_forgotten() -> None:
    clock = Clock()
    shares = Shares(clock)
    shares.charge("early", "ann", 3.0)
    clock.now = 60.0
    shares.charge("late", "bob", 2.0)
    assert shares.order([("late", "bob"), ("early", "ann")]) == [("early", "ann"), ("late", "bob")]
    clock.now = 3600.0
    assert shares.order([]) == []
    assert shares._charges == {}  # noqa: SLF001 - memory is bounded


def test_many_users_of_a_tenant_get_one_share() -> None:
    shares = Shares(Clock())
    for number in range(100):
        shares.charge("crowd", f"user-{number}", 1.0)
    shares.charge("lone", "ann", 50.0)
    assert shares.order([("crowd", "newcomer"), ("lone", "ann")])[0] == ("lone", "ann")


@pytest.mark.asyncio(loop_scope="session")
async def test_small_uploads_of_a_user_are_examined_first(harness: Harness) -> None:
    large, small = await harness.completed(b"x" * 9, "text/plain"), await harness.completed(b"x", "text/plain")
    assert await harness.scan.examine_next()
    assert (await harness.get(small)).state == nouns.UPLOAD_STATE_CLEAN
    assert (await harness.get(large)).state == nouns.UPLOAD_STATE_SCANNING


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("elsewhere", [True, False], ids=["another tenant", "another user of the tenant"])
async def test_a_backlog_of_heavy_images_delays_a_text_by_at_most_those_in_hand(harness: Harness, elsewhere: bool) -> None:
    heavy = image("PNG", (4_900, 4_900))
    limit = asyncio.Semaphore(10)

    async def upload(http: httpx.AsyncClient) -> str:
        async with limit:
            made = await harness.create(heavy, "image/png")
            form = made.form
            assert (await http.post(form.url, data=dict(form.fields), files={"file": ("x", heavy)})).is_success
            await harness.complete(made.upload.id)
            return made.upload.id

    async with httpx.AsyncClient(timeout=60) as http:
        backlog = await asyncio.gather(*(upload(http) for _ in range(_HEAVY_IMAGES)))

    async def examined() -> int:
        async with harness.database.connection([busy]) as connection:
            rows = await connection.execute(
                "SELECT id FROM uploads WHERE tenant = %s AND type = 'image/png' AND state = 'clean'", [busy]
            )
            return len(await rows.fetchall())

    busy = harness.tenant
    stopping = asyncio.Event()
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        tasks.create_task(harness.scan.run(stopping))
        while not await examined():
            pass
        harness.tenant = f"{busy}-other" if elsewhere else busy
        before = await examined()
        text = await harness.completed(b"hello", "text/plain", user="bob")
        while (await harness.get(text)).state == nouns.UPLOAD_STATE_SCANNING:
            pass
        stopping.set()
        assert await examined() - before <= PICTURES_AT_ONCE
    assert (await harness.get(text)).state == nouns.UPLOAD_STATE_CLEAN
    assert len(backlog) == _HEAVY_IMAGES
