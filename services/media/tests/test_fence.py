"""Only scanned bytes are served, by SHA-256, and unscanned bytes are removed."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from chassis.errors import Unavailable
from hubbub.media.v1 import media_pb2 as nouns
from media.malware import MalwareScanner
from media.objects import Objects
from media.scan import ScanWorker
from media.sweep import Sweep
from services.media.tests.conftest import Harness, clamd, get, post

pytestmark = pytest.mark.asyncio(loop_scope="session")

# Wang, Feng, Lai, Yu: Collisions for Hash Functions MD4, MD5, HAVAL-128 and RIPEMD (2004): two blocks with one MD5.
_SCANNED = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
    "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
_TWIN = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a"
    "085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70"
)
_OPAQUE = "application/octet-stream"


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def _keys(objects: Objects) -> set[str]:
    return {key async for page in objects.incoming() for key in page.values()}


async def test_the_twins_have_one_md5_and_two_sha256() -> None:
    assert hashlib.md5(_SCANNED).digest() == hashlib.md5(_TWIN).digest()
    assert _sum(_SCANNED) != _sum(_TWIN)


@pytest.mark.parametrize("later", [_TWIN, b"x" * len(_SCANNED)], ids=["twin", "other"])
async def test_bytes_that_arrive_while_the_scanner_works_are_not_kept(harness: Harness, later: bytes) -> None:
    made = await harness.create(_SCANNED, _OPAQUE)
    await post(made.form, _SCANNED)
    await harness.complete(made.upload.id)

    async def replace(content: bytes) -> bytes:
        assert content == _SCANNED
        assert (await post(made.form, later)).is_success
        return b"stream: OK\0"

    async with clamd(replace) as address:
        assert await ScanWorker(harness.database, harness.objects, MalwareScanner(address)).examine_next()
    upload = await harness.get(made.upload.id)
    assert (upload.state, upload.sha256) == (nouns.UPLOAD_STATE_CLEAN, _sum(_SCANNED))
    assert (await get(await harness.link(upload.id))).content == _SCANNED


async def test_bytes_that_arrive_before_the_scan_are_compared_with_the_announced_sum(harness: Harness) -> None:
    made = await harness.create(_SCANNED, _OPAQUE, sha256=_sum(_SCANNED))
    await post(made.form, _SCANNED)
    await harness.complete(made.upload.id)
    await post(made.form, _TWIN)
    assert await harness.scan.examine_next()
    upload = await harness.get(made.upload.id)
    assert (upload.state, upload.reason, upload.sha256) == (nouns.UPLOAD_STATE_FAILED, "SUM", "")


async def test_a_scanner_that_lost_its_lease_does_not_replace_the_kept_file_of_another(harness: Harness) -> None:
    made = await harness.create(_SCANNED, _OPAQUE)
    await post(made.form, _SCANNED)
    await harness.complete(made.upload.id)
    other = ScanWorker(harness.database, harness.objects, MalwareScanner())

    async def overtake(_content: bytes) -> bytes:
        await harness.execute("UPDATE uploads SET scan_lease_until = now() WHERE id = %s", made.upload.id)
        await post(made.form, _TWIN)
        assert await other.examine_next()
        return b"stream: OK\0"

    async with clamd(overtake) as address:
        assert await ScanWorker(harness.database, harness.objects, MalwareScanner(address)).examine_next()
    assert (await harness.get(made.upload.id)).sha256 == _sum(_TWIN)
    assert (await get(await harness.link(made.upload.id))).content == _TWIN


async def test_storage_refuses_bytes_that_have_another_checksum(harness: Harness, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(_TWIN)
    with pytest.raises(Unavailable):
        await harness.objects.put(f"kept/{harness.tenant}/x", file, _OPAQUE, _sum(_SCANNED))
    assert (await get(await harness.objects.link(f"kept/{harness.tenant}/x", _OPAQUE, "x", inline=False))).status_code == 404


async def test_bytes_that_arrive_after_the_verdict_are_removed_and_never_served(harness: Harness) -> None:
    made = await harness.create(b"harmless", "text/plain")
    await post(made.form, b"harmless")
    await harness.complete(made.upload.id)
    assert await harness.scan.examine_next()
    sweep = Sweep(harness.database, harness.objects)
    for _ in range(2):
        assert (await post(made.form, b"hostile!")).is_success
        assert (await get(await harness.link(made.upload.id))).content == b"harmless"
        await sweep.once()
        assert await _keys(harness.objects) == set()


@pytest.mark.parametrize("content", [b"MZ", b"x"], ids=["blocked", "failed"])
async def test_bytes_that_arrive_after_a_refusal_are_removed(harness: Harness, content: bytes) -> None:
    made = await harness.create(content, "text/plain", sha256="0" * 64 if content == b"x" else "")
    await post(made.form, content)
    await harness.complete(made.upload.id)
    assert await harness.scan.examine_next()
    assert (await post(made.form, content)).is_success
    await Sweep(harness.database, harness.objects).once()
    assert await _keys(harness.objects) == set()


async def test_uploads_that_are_not_completed_fail_and_their_bytes_are_removed(harness: Harness) -> None:
    abandoned, young = await harness.create(b"x", "text/plain"), await harness.create(b"y", "text/plain")
    for made, content in ((abandoned, b"x"), (young, b"y")):
        await post(made.form, content)
    scanning = await harness.completed(b"z", "text/plain")
    await harness.execute("UPDATE uploads SET created_at = now() - interval '31 minutes' WHERE id = %s", abandoned.upload.id)
    await Sweep(harness.database, harness.objects).once()
    failed = await harness.get(abandoned.upload.id)
    assert (failed.state, failed.reason) == (nouns.UPLOAD_STATE_FAILED, "NEVER_ARRIVED")
    folder = f"incoming/{harness.tenant}"
    assert await _keys(harness.objects) == {f"{folder}/{young.upload.id}", f"{folder}/{scanning}"}
    assert (await harness.get(young.upload.id)).state == nouns.UPLOAD_STATE_PENDING


async def test_a_running_sweep_ends_when_stopped(harness: Harness) -> None:
    stopping = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(Sweep(harness.database, harness.objects).run(stopping))
        stopping.set()
