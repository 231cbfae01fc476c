"""What users and tenants may store and announce."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from chassis.errors import HubbubError, RateLimited, TooLarge
from chassis.postgres import EVERY_TENANT
from media.service import MediaService
from services.media.tests.conftest import Harness, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture
def limit(harness: Harness) -> Callable[..., None]:
    """Serve with other limits."""

    def set_limits(**limits: int) -> None:
        quota = msgspec.structs.replace(harness.config.quota, **limits)
        harness.service = MediaService(harness.database, harness.objects, harness.scan, harness.config.max_bytes, quota)

    return set_limits


async def _usage(harness: Harness) -> dict[str, tuple[int, int]]:
    async with harness.database.connection(EVERY_TENANT) as connection:
        rows = await connection.execute("SELECT owner, bytes, open FROM usage WHERE tenant = %s", [harness.tenant])
        return {row[0]: (row[1], row[2]) for row in await rows.fetchall()}  # type: ignore[misc, index, unused-ignore]


@pytest.mark.parametrize(
    ("limits", "bob_too"),
    [({"user_open": 3}, False), ({"tenant_open": 3}, True), ({"user_per_minute": 3}, False)],
    ids=["open uploads of a user", "open uploads of a tenant", "announcements"],
)
async def test_too_many_uploads_are_refused_with_the_time_to_wait(
    harness: Harness, limit: Callable[..., None], limits: dict[str, int], bob_too: bool
) -> None:
    limit(**limits)
    for _ in range(3):
        await harness.create(b"x", "text/plain")
    with pytest.raises(RateLimited) as caught:
        await harness.create(b"x", "text/plain")
    assert 1 <= caught.value.retry_after <= 60
    if bob_too:
        await refused(harness.create(b"x", "text/plain", user="bob"), RateLimited)
    else:
        await harness.create(b"x", "text/plain", user="bob")
    assert (await _usage(harness))["ann"] == (3, 3)


@pytest.mark.parametrize("limits", [{"user_bytes": 10}, {"tenant_bytes": 10}], ids=["user", "tenant"])
async def test_bytes_beyond_the_quota_are_refused_for_good(
    harness: Harness, limit: Callable[..., None], limits: dict[str, int]
) -> None:
    limit(**limits)
    await harness.examined(b"x" * 6, "text/plain")
    with pytest.raises(TooLarge) as caught:
        await harness.create(b"x" * 5, "text/plain")
    assert caught.value.retry_after == 0
    await harness.create(b"x" * 4, "text/plain")


async def test_a_verdict_ends_an_open_upload_and_a_refusal_frees_its_bytes(harness: Harness) -> None:
    await harness.examined(b"x" * 6, "text/plain")
    assert await _usage(harness) == {"": (6, 0), "ann": (6, 0)}
    await harness.completed(b"MZ", "text/plain")
    assert await _usage(harness) == {"": (8, 1), "ann": (8, 1)}
    assert await harness.scan.examine_next()
    assert await _usage(harness) == {"": (6, 0), "ann": (6, 0)}
    await harness.execute("DELETE FROM uploads WHERE tenant = %s", harness.tenant)
    assert await _usage(harness) == {"": (0, 0), "ann": (0, 0)}


async def test_concurrent_announcements_do_not_exceed_the_quota(harness: Harness, limit: Callable[..., None]) -> None:
    limit(user_open=7)
    answers = await asyncio.gather(*(harness.create(b"x", "text/plain") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, HubbubError) for answer in answers) == 13
    assert (await _usage(harness))["ann"] == (7, 7)


async def test_an_announcement_of_more_than_a_minute_ago_does_not_count(harness: Harness, limit: Callable[..., None]) -> None:
    limit(user_per_minute=1)
    await harness.create(b"x", "text/plain")
    await refused(harness.create(b"x", "text/plain"), RateLimited)
    await harness.execute("UPDATE uploads SET created_at = now() - interval '61 seconds'")
    await harness.create(b"x", "text/plain")
