"""Examines what was uploaded: size, sum, type, malware, and for images their measures. A verdict, once written, stands.

Uploads to be examined are rows, held by a lease while somebody is at it, so whatever a crash interrupts is taken up again.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import structlog

from chassis.errors import Unavailable
from chassis.lifecycle import pause
from chassis.metrics import DEFECTS
from chassis.postgres import EVERY_TENANT, Database
from media import store
from media.errors import ObjectAbsentError, ObjectChangedError, UnscannedError
from media.images import FORMATS, BrokenImageError, Measured, measure
from media.metrics import SCAN_SECONDS, SCANNING, VERDICTS
from media.objects import Downloaded, Objects
from media.scanners import Scanners
from media.sniff import fits
from media.upload import Refusal, State, Upload, Verdict

log = structlog.get_logger()
_LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0
_ATTEMPTS = 5
_AT_ONCE = 2
_IDLE_SECONDS = 2.0
_EXPIRE_SECONDS = 3600.0
_HEAD_BYTES = 64 * 1024


class Scan:
    """Examines uploads one after another, a few at once."""

    def __init__(self, database: Database, objects: Objects, scanners: Scanners) -> None:
        self._database = database
        self._objects = objects
        self._scanners = scanners
        self._wake = asyncio.Event()
        """Set when there may be something to examine."""

    def wake(self) -> None:
        """Say that there is something to examine."""
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Examine until `stopping`; what is at work then is finished first."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_AT_ONCE):
                tasks.create_task(self._examine_all(stopping))
            await stopping.wait()
            self._wake.set()

    async def _examine_all(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self._wake.clear()
            try:
                await self._expire()
                while not stopping.is_set() and await self.examine_next():
                    pass
            except Unavailable:
                log.warning("scanning_postponed")
            except Exception as error:  # the consume loop
                DEFECTS.labels("scan").inc()
                log.exception("scanning_failed", error=type(error).__name__)
            if not stopping.is_set():
                await pause(self._wake, _IDLE_SECONDS)

    async def examine_next(self) -> bool:
        """Examine the oldest that waits; False when none does, or the verdict has to wait. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            SCANNING.set(await store.count_scanning(connection))
            taken = await store.take(connection, _LEASE_SECONDS)
        if taken is None:
            return False
        attempts, upload = taken
        with SCAN_SECONDS.time():
            async with asyncio.TaskGroup() as tasks:
                renewing = tasks.create_task(self._renew(upload))
                verdict = await self._verdict(upload, attempts)
                renewing.cancel()
        if verdict is None:
            return False
        async with self._database.connection(EVERY_TENANT) as connection:
            await store.settle(connection, upload.id, verdict)
        VERDICTS.labels(verdict.state.value, verdict.reason).inc()
        log.info("upload_examined", upload=upload.id, state=verdict.state.value, reason=verdict.reason)
        await self._objects.discard(upload)
        return True

    async def _renew(self, upload: Upload) -> None:
        """Keep the lease until cancelled."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                async with self._database.connection(EVERY_TENANT) as connection:
                    await store.renew(connection, upload.id, _LEASE_SECONDS)
            except Unavailable:
                log.warning("scan_lease_not_renewed", upload=upload.id)

    async def _verdict(self, upload: Upload, attempts: int) -> Verdict | None:
        """What examining comes to; None when that cannot be told now.

        Storage that is away is not held against the upload. What cannot be examined, or changes meanwhile, waits for
        the end of its lease, and a few times only.
        """
        if attempts > _ATTEMPTS:
            return Verdict(State.FAILED, Refusal.UNSCANNABLE)
        try:
            with tempfile.TemporaryDirectory(prefix="hubbub-media-") as folder:
                return await self._examine(upload, Path(folder))
        except ObjectAbsentError:
            return Verdict(State.FAILED, Refusal.SIZE)
        except (UnscannedError, ObjectChangedError) as error:
            log.warning("upload_not_examined", upload=upload.id, error=type(error).__name__)
        except Unavailable:
            log.warning("scanning_postponed", upload=upload.id)
            await self._let_go(upload)
        return None

    async def _let_go(self, upload: Upload) -> None:
        try:
            async with self._database.connection(EVERY_TENANT) as connection:
                await store.let_go(connection, upload.id)
        except Unavailable:
            log.warning("scan_lease_not_ended", upload=upload.id)

    async def _examine(self, upload: Upload, folder: Path) -> Verdict:
        file, thumbnail = folder / "file", folder / "thumbnail"
        with file.open("wb") as content:
            found = await self._objects.download(upload, content, upload.size)
        refusal = await self._refusal(upload, found, file)
        if refusal:
            return refusal
        measured = Measured(0, 0)
        if upload.type in FORMATS:
            try:
                measured = await measure(file, thumbnail, upload.type)
            except BrokenImageError:
                return Verdict(State.BLOCKED, Refusal.IMAGE)
            await self._objects.put_thumbnail(upload, thumbnail)
        await self._objects.keep(upload, found.etag)
        return Verdict(State.CLEAN, "", measured.width, measured.height, upload.type in FORMATS)

    async def _refusal(self, upload: Upload, found: Downloaded, file: Path) -> Verdict | None:
        if found.size != upload.size:
            return Verdict(State.FAILED, Refusal.SIZE)
        if upload.sha256 not in {None, found.sha256}:
            return Verdict(State.FAILED, Refusal.SUM)
        with file.open("rb") as content:
            head = content.read(_HEAD_BYTES)
        if not fits(upload.type, head):
            return Verdict(State.BLOCKED, Refusal.TYPE)
        if await self._scanners.dangerous(file):
            return Verdict(State.BLOCKED, Refusal.MALWARE)
        return None

    async def _expire(self) -> None:
        """Give up on uploads whose bytes never came."""
        async with self._database.connection(EVERY_TENANT) as connection:
            expired = await store.expire(connection, _EXPIRE_SECONDS)
        for upload in expired:
            VERDICTS.labels(State.FAILED.value, "NEVER_ARRIVED").inc()
            await self._objects.discard(upload)
