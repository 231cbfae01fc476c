"""Examines uploads: size, checksum, type, malware, and for pictures a copy that is encoded anew. A verdict is final.

Uploads to be examined are rows under a lease, so another process takes over what a crash interrupted. What is kept is the very
file that was examined, from this process's disk, and never what the client's form may have stored meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

import structlog

from chassis.errors import Unavailable
from chassis.lifecycle import pause
from chassis.metrics import DEFECTS
from chassis.postgres import EVERY_TENANT, Database
from media import store
from media.errors import BrokenImageError, ObjectAbsentError, UnscannedError
from media.images import FORMATS, encode_anew
from media.malware import MalwareScanner
from media.metrics import SCAN_SECONDS, SCANNING, VERDICTS
from media.objects import Downloaded, Objects
from media.shares import Shares
from media.sniff import matches_type
from media.upload import THUMBNAIL_TYPE, Refusal, State, Upload, Verdict

log = structlog.get_logger()
PICTURES_AT_ONCE = 2
"""Pictures that one process decodes concurrently, in up to 1 GiB each."""
AT_ONCE = PICTURES_AT_ONCE + 1
"""Uploads that one process examines concurrently. One worker takes no pictures, so other files never wait for a decoder."""
_LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0
_ATTEMPTS = 5
_IDLE_SECONDS = 2.0
_HEAD_BYTES = 64 * 1024
_LEAST_CHARGE_SECONDS = 0.05


class ScanWorker:
    """Examines uploads, a few at once, tenants and users taking turns."""

    def __init__(self, database: Database, objects: Objects, scanners: MalwareScanner) -> None:
        self._database = database
        self._objects = objects
        self._scanners = scanners
        self._shares = Shares()
        self._wake = [asyncio.Event() for _ in range(AT_ONCE)]
        """For each worker, set when there may be an upload to examine."""

    def wake(self) -> None:
        """Look for an upload to examine now."""
        for event in self._wake:
            event.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Examine until `stopping`, and finish the examinations in progress."""
        async with asyncio.TaskGroup() as tasks:
            for number, wake in enumerate(self._wake):
                tasks.create_task(self._examine_all(stopping, wake, pictures=number < PICTURES_AT_ONCE))
            await stopping.wait()
            self.wake()

    async def _examine_all(self, stopping: asyncio.Event, wake: asyncio.Event, *, pictures: bool) -> None:
        while not stopping.is_set():
            wake.clear()
            try:
                while not stopping.is_set() and await self.examine_next(pictures=pictures):
                    pass
            except Unavailable:
                log.warning("scanning_postponed")
            except Exception as error:  # the consume loop
                DEFECTS.labels("scan").inc()
                log.exception("scanning_failed", error=type(error).__name__)
            if not stopping.is_set():
                await pause(wake, _IDLE_SECONDS)

    async def examine_next(self, *, pictures: bool = True) -> bool:
        """Examine the upload whose turn it is; False when none waits or its verdict has to wait. Raises `Unavailable`."""
        taken = await self._take([] if pictures else list(FORMATS))
        if taken is None:
            return False
        attempts, upload = taken
        started = time.monotonic()
        with SCAN_SECONDS.time():
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew(upload))
                verdict = await self._verdict(upload, attempts)
                renewing.cancel()
        self._shares.charge(upload.tenant, upload.owner, time.monotonic() - started)
        if verdict is None:
            return False
        async with self._database.connection(EVERY_TENANT) as connection:
            stored = await store.settle(connection, upload.id, verdict)
        if stored:
            VERDICTS.labels(verdict.state.value, verdict.reason).inc()
            log.info("upload_examined", upload=upload.id, state=verdict.state.value, reason=verdict.reason)
        await self._objects.remove(upload.incoming)
        return True

    async def _take(self, types_not_taken: Collection[str]) -> tuple[int, Upload] | None:
        """Lease the smallest upload of the least charged user of the least charged tenant."""
        async with self._database.connection(EVERY_TENANT) as connection:
            SCANNING.set(await store.count_scanning(connection))
            for tenant, owner in self._shares.order(await store.waiting(connection)):
                if taken := await store.take(connection, tenant, owner, _LEASE_SECONDS, types_not_taken):
                    self._shares.charge(tenant, owner, _LEAST_CHARGE_SECONDS)
                    return taken
        return None

    async def _renew(self, upload: Upload) -> None:
        """Renew the lease until cancelled."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                async with self._database.connection(EVERY_TENANT) as connection:
                    await store.renew(connection, upload.id, _LEASE_SECONDS)
            except Unavailable:
                log.warning("scan_lease_not_renewed", upload=upload.id)

    async def _verdict(self, upload: Upload, attempts: int) -> Verdict | None:
        """The verdict; None when there can be none now.

        An outage of storage ends the lease and does not count as an attempt. A scanner or decoder that fails does count: the
        upload waits for the end of its lease, and fails after a few attempts.
        """
        if attempts > _ATTEMPTS:
            return Verdict(State.FAILED, Refusal.UNSCANNABLE)
        try:
            with tempfile.TemporaryDirectory(prefix="hubbub-media-") as folder:
                return await self._examine(upload, Path(folder))
        except ObjectAbsentError:
            return Verdict(State.FAILED, Refusal.SIZE)
        except UnscannedError as error:
            log.warning("upload_not_examined", upload=upload.id, error=type(error).__name__)
        except Unavailable:
            log.warning("scanning_postponed", upload=upload.id)
            await self._release(upload)
        return None

    async def _release(self, upload: Upload) -> None:
        try:
            async with self._database.connection(EVERY_TENANT) as connection:
                await store.release(connection, upload.id)
        except Unavailable:
            log.warning("scan_lease_not_released", upload=upload.id)

    async def _examine(self, upload: Upload, folder: Path) -> Verdict:
        file, picture, thumbnail = folder / "file", folder / "picture", folder / "thumbnail"
        with file.open("wb") as content:
            found = await self._objects.download(upload, content, upload.size)
        refusal = await self._refusal(upload, found, file)
        if refusal:
            return refusal
        key = upload.kept_as(found.sha256)
        if upload.type not in FORMATS:
            await self._objects.put(key, file, upload.type, found.sha256)
            return Verdict(State.CLEAN, kept_sha256=found.sha256)
        try:
            shown = await encode_anew(file, picture, thumbnail, upload.type)
        except BrokenImageError:
            return Verdict(State.BLOCKED, Refusal.IMAGE)
        await self._objects.put(f"{key}.thumb", thumbnail, THUMBNAIL_TYPE, await _sha256(thumbnail))
        await self._objects.put(f"{key}.picture", picture, upload.type, await _sha256(picture))
        await self._objects.put(key, file, upload.type, found.sha256)
        return Verdict(State.CLEAN, "", shown.width, shown.height, thumbnail=True, kept_sha256=found.sha256)

    async def _refusal(self, upload: Upload, found: Downloaded, file: Path) -> Verdict | None:
        if found.size != upload.size:
            return Verdict(State.FAILED, Refusal.SIZE)
        if upload.sha256 not in {None, found.sha256}:
            return Verdict(State.FAILED, Refusal.SUM)
        with file.open("rb") as content:
            head = content.read(_HEAD_BYTES)
        if not matches_type(upload.type, head):
            return Verdict(State.BLOCKED, Refusal.TYPE)
        if await self._scanners.dangerous(file):
            return Verdict(State.BLOCKED, Refusal.MALWARE)
        return None


async def _sha256(file: Path) -> str:
    def digest() -> str:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    return await asyncio.to_thread(digest)
