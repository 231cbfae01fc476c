"""Announcing, uploading, completing, linking, resolving."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from chassis.errors import BlockedMedia, Conflict, HubbubError, InvalidArgument, NotFound, TooLarge
from hubbub.media.v1 import media_pb2 as nouns
from hubbub.media.v1 import media_service_pb2 as rpc
from services.media.tests.conftest import CHANNEL, Harness, get, image, post, refused

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_owner_gets_a_picture_byte_for_byte(harness: Harness) -> None:
    picture = image()
    upload = await harness.examined(picture, "image/png", name="a “picture”.png")
    assert upload.state == nouns.UPLOAD_STATE_CLEAN
    assert (upload.width, upload.height, upload.reason) == (640, 320, "")
    assert upload.sha256 == hashlib.sha256(picture).hexdigest()
    answer = await get(await harness.link(upload.id))
    assert (answer.status_code, answer.content) == (200, picture)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20%E2%80%9Cpicture%E2%80%9D.png"
    thumbnail = await get(await harness.link(upload.id, nouns.LINK_VARIANT_THUMBNAIL))
    assert (thumbnail.status_code, thumbnail.headers["content-type"]) == (200, "image/webp")
    assert 0 < len(thumbnail.content) < 100_000


async def test_a_file_other_than_a_picture_is_downloaded_and_has_no_thumbnail(harness: Harness) -> None:
    upload = await harness.examined(b"<script>alert(1)</script>", "text/plain", name="x.html")
    assert upload.state == nouns.UPLOAD_STATE_CLEAN
    assert (await get(await harness.link(upload.id))).headers["content-disposition"].startswith("attachment;")
    await refused(harness.link(upload.id, nouns.LINK_VARIANT_THUMBNAIL), NotFound)
    await refused(harness.link(upload.id, 99), InvalidArgument)  # type: ignore[arg-type]


async def test_the_form_accepts_exactly_the_announced_file(harness: Harness) -> None:
    made = await harness.create(b"x" * 100, "text/plain")
    assert not (await post(made.form, b"x" * 101)).is_success
    assert not (await post(made.form, b"x" * 99)).is_success
    assert not (await post(made.form, b"x" * 100, **{"Content-Type": "text/html"})).is_success
    assert not (await post(made.form, b"x" * 100, key="kept/elsewhere")).is_success
    assert (await post(made.form, b"x" * 100)).is_success


async def test_completing_needs_the_bytes(harness: Harness) -> None:
    made = await harness.create(b"x", "text/plain")
    assert made.upload.state == nouns.UPLOAD_STATE_PENDING
    await refused(harness.complete(made.upload.id), Conflict)
    await post(made.form, b"x")
    assert (await harness.complete(made.upload.id)).state == nouns.UPLOAD_STATE_SCANNING
    assert (await harness.complete(made.upload.id)).state == nouns.UPLOAD_STATE_SCANNING


async def test_only_the_owner_completes(harness: Harness) -> None:
    made = await harness.create(b"x", "text/plain")
    await post(made.form, b"x")
    await refused(harness.complete(made.upload.id, user="bob"), NotFound)
    await refused(harness.complete(made.upload.id, tenant="elsewhere"), NotFound)


async def test_there_is_no_link_until_the_upload_is_clean(harness: Harness) -> None:
    made = await harness.create(b"x", "text/plain")
    await refused(harness.link(made.upload.id), Conflict)
    await post(made.form, b"x")
    await harness.complete(made.upload.id)
    await refused(harness.link(made.upload.id), Conflict)
    await refused(harness.link(made.upload.id, tenant="elsewhere"), NotFound)
    await refused(harness.link("no-id"), NotFound)


async def test_there_is_no_link_to_a_refused_upload(harness: Harness) -> None:
    blocked = await harness.examined(b"MZ", "text/plain")
    await refused(harness.link(blocked.id), BlockedMedia)


async def test_a_link_is_good_for_five_minutes_and_only_as_signed(harness: Harness) -> None:
    upload = await harness.examined(b"x", "text/plain")
    request = rpc.GetLinkRequest(tenant=harness.tenant, upload=upload.id)
    answer = await harness.service.GetLink(request, None)
    seconds = (answer.expires_at.ToDatetime(UTC) - datetime.now(UTC)).total_seconds()
    assert 290 < seconds <= 300
    assert parse_qs(urlsplit(answer.url).query)["X-Amz-Expires"] == ["300"]
    assert (await get(answer.url.replace(upload.id, CHANNEL))).status_code == 403
    assert (await get(answer.url.partition("?")[0])).status_code == 403


async def test_a_link_never_returns_bytes_uploaded_after_the_verdict(harness: Harness) -> None:
    made = await harness.create(b"harmless", "text/plain")
    await post(made.form, b"harmless")
    await harness.complete(made.upload.id)
    assert await harness.scan.examine_next()
    assert (await post(made.form, b"hostile!")).is_success
    assert (await get(await harness.link(made.upload.id))).content == b"harmless"


async def test_messages_carry_clean_uploads_of_their_own_sender_and_channel(harness: Harness) -> None:
    one, two = await harness.examined(b"1", "text/plain"), await harness.examined(b"2", "text/plain")
    pending = (await harness.create(b"3", "text/plain")).upload
    assert [each.id for each in await harness.resolve(two.id, one.id)] == [two.id, one.id]
    await refused(harness.resolve(one.id, pending.id), BlockedMedia)
    await refused(harness.resolve(one.id, user="bob"), NotFound)
    await refused(harness.resolve(one.id, channel="0190a0a0-0000-7000-8000-000000000001"), NotFound)
    await refused(harness.resolve("no-id"), NotFound)
    await refused(harness.resolve(*[one.id] * 11), InvalidArgument)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, InvalidArgument),
        ({"name": "x" * 256}, InvalidArgument),
        ({"name": "a\r\nb"}, InvalidArgument),
        ({"size": 0}, InvalidArgument),
        ({"size": 4_000_001}, TooLarge),
        ({"type": ""}, InvalidArgument),
        ({"type": "text"}, InvalidArgument),
        ({"type": "text/plain; charset=utf-8"}, InvalidArgument),
        ({"type": "Text/Plain"}, InvalidArgument),
        ({"sha256": "abc"}, InvalidArgument),
        ({"channel": "no-id"}, NotFound),
        ({"tenant": "Not A Tenant"}, InvalidArgument),
    ],
)
async def test_an_invalid_announcement_is_refused(
    harness: Harness, change: dict[str, str | int], error: type[HubbubError]
) -> None:
    fields: dict[str, str | int] = {
        "tenant": harness.tenant,
        "user": "ann",
        "channel": CHANNEL,
        "name": "x",
        "size": 1,
        "type": "text/plain",
    }
    request = rpc.CreateUploadRequest(**(fields | change))  # type: ignore[arg-type]
    await refused(harness.service.CreateUpload(request, None), error)
