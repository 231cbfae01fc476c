"""Scanning: refused uploads with their reasons, crashes, and an absent scanner."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import zlib
from collections.abc import Awaitable
from pathlib import Path

import pytest

from chassis.postgres import EVERY_TENANT
from hubbub.media.v1 import media_pb2 as nouns
from media import store
from media.errors import UnscannedError
from media.malware import MalwareScanner
from media.scan import ScanWorker
from media.upload import State, Verdict
from services.media.tests.conftest import Harness, clamd, image

pytestmark = pytest.mark.asyncio(loop_scope="session")
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"


@pytest.mark.parametrize(
    ("kind", "name"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("GIF", "image/gif"), ("WEBP", "image/webp")]
)
async def test_images_are_measured(harness: Harness, kind: str, name: str) -> None:
    upload = await harness.examined(image(kind, (33, 44)), name)
    assert (upload.state, upload.width, upload.height) == (nouns.UPLOAD_STATE_CLEAN, 33, 44)


async def test_a_wrong_checksum_fails_and_a_right_one_does_not(harness: Harness) -> None:
    wrong = await harness.examined(b"x", "text/plain", sha256="0" * 64)
    assert (wrong.state, wrong.reason) == (nouns.UPLOAD_STATE_FAILED, "SUM")
    right = await harness.examined(b"x", "text/plain", sha256=hashlib.sha256(b"x").hexdigest())
    assert right.state == nouns.UPLOAD_STATE_CLEAN


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"MZ\x90\x00", "image/png"),
        (image("JPEG"), "image/png"),
        (b"\x00\x01\x02", "text/plain"),
        (b"%PDF-1.7", "text/plain"),
        (b"hello", "application/pdf"),
        (b"\x7fELF", "application/x-new"),
    ],
)
async def test_a_file_of_another_type_than_claimed_is_blocked(harness: Harness, content: bytes, kind: str) -> None:
    upload = await harness.examined(content, kind)
    assert (upload.state, upload.reason) == (nouns.UPLOAD_STATE_BLOCKED, "TYPE")


@pytest.mark.parametrize("content", [EICAR, b"some text before " + EICAR + b" and after"], ids=["alone", "inside"])
async def test_the_test_virus_is_blocked(harness: Harness, content: bytes) -> None:
    upload = await harness.examined(content, "application/octet-stream")
    assert (upload.state, upload.reason) == (nouns.UPLOAD_STATE_BLOCKED, "MALWARE")


def _bomb() -> bytes:
    """A PNG of 60,000 by 60,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [image()[:-40], b"\x89PNG\r\n\x1a\n not really", _bomb()])
async def test_an_image_that_cannot_be_shown_is_blocked(harness: Harness, content: bytes) -> None:
    upload = await harness.examined(content, "image/png")
    assert (upload.state, upload.reason) == (nouns.UPLOAD_STATE_BLOCKED, "IMAGE")


async def _scanning(harness: Harness) -> str:
    return await harness.completed(b"x", "text/plain")


async def test_an_upload_leased_by_a_dead_scanner_is_examined_after_the_lease(harness: Harness) -> None:
    upload = await _scanning(harness)
    async with harness.database.connection(EVERY_TENANT) as connection:
        assert await store.take(connection, harness.tenant, "ann", 60)
    assert not await harness.scan.examine_next()
    await harness.execute("UPDATE uploads SET scan_lease_until = now() WHERE id = %s", upload)
    assert await harness.scan.examine_next()
    assert (await harness.get(upload)).state == nouns.UPLOAD_STATE_CLEAN


async def test_two_scanners_take_different_uploads(harness: Harness) -> None:
    uploads = {await _scanning(harness) for _ in range(2)}
    async with harness.database.connection(EVERY_TENANT) as connection:
        taken = [await store.take(connection, harness.tenant, "ann", 60) for _ in range(3)]
    assert {each[1].id for each in taken if each} == uploads
    assert taken[2] is None


async def test_the_first_verdict_is_final(harness: Harness) -> None:
    upload = await harness.examined(EICAR, "application/octet-stream")
    async with harness.database.connection(EVERY_TENANT) as connection:
        assert not await store.settle(connection, upload.id, Verdict(State.CLEAN))
    assert (await harness.get(upload.id)).state == nouns.UPLOAD_STATE_BLOCKED


async def test_a_running_scanner_examines_completed_uploads(harness: Harness) -> None:
    stopping = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(harness.scan.run(stopping))
        upload = await _scanning(harness)
        while (await harness.get(upload)).state == nouns.UPLOAD_STATE_SCANNING:
            pass
        stopping.set()
    assert (await harness.get(upload)).state == nouns.UPLOAD_STATE_CLEAN


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 600_000)
    return path


@pytest.mark.parametrize(("reply", "dangerous"), [(b"stream: OK\0", False), (b"stream: Win.Test FOUND\0", True)])
async def test_clamd_is_asked_about_the_whole_file(file: Path, reply: bytes, dangerous: bool) -> None:
    whole = b"x" * 600_000

    async def answer(content: bytes) -> bytes | None:
        return reply if content == whole else None

    async with clamd(answer) as address:
        assert await MalwareScanner(address).dangerous(file) is dangerous


@pytest.mark.parametrize("reply", [None, b"INSTREAM size limit exceeded. ERROR\0", b""])
async def test_a_clamd_that_does_not_answer_leaves_it_unscanned(file: Path, reply: bytes | None) -> None:
    async def answer(_content: bytes) -> bytes | None:
        return reply

    async with clamd(answer) as address:
        await _unscanned(MalwareScanner(address).dangerous(file))


async def test_an_absent_clamd_leaves_it_unscanned_and_never_clean(harness: Harness, file: Path, unused_tcp_port: int) -> None:
    absent = MalwareScanner(f"127.0.0.1:{unused_tcp_port}")
    await _unscanned(absent.dangerous(file))
    upload = await _scanning(harness)
    scan = ScanWorker(harness.database, harness.objects, absent)
    for _ in range(5):
        assert not await scan.examine_next()
        assert (await harness.get(upload)).state == nouns.UPLOAD_STATE_SCANNING
        await harness.execute("UPDATE uploads SET scan_lease_until = now() WHERE id = %s", upload)
    assert await scan.examine_next()
    failed = await harness.get(upload)
    assert (failed.state, failed.reason) == (nouns.UPLOAD_STATE_FAILED, "UNSCANNABLE")


async def _unscanned(call: Awaitable[object]) -> None:
    with pytest.raises(UnscannedError):
        await call
