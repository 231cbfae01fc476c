"""Scans uploads: size, checksum, type and malware; measures images. A stored verdict is final.

The queue is the `uploads` table. A worker leases a row while it scans, so another worker resumes a scan after a crash.
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
from media.malware import MalwareScanner
from media.metrics import SCAN_SECONDS, SCANNING, VERDICTS
from media.objects import Downloaded, Objects
from media.sniff import HEAD_BYTES, matches_type
from media.upload import Refusal, State, Upload, Verdict

log = structlog.get_logger()
_LEASE_SECONDS = 20.0
_RENEW_SECONDS = 5.0
_MAX_ATTEMPTS = 5
_CONCURRENT_SCANS = 2
_IDLE_SECONDS = 2.0
_PENDING_SECONDS = 3600.0


class ScanWorker:
    """Scans uploads, two at a time."""

    def __init__(self, database: Database, objects: Objects, malware: MalwareScanner) -> None:
        self._database = database
        self._objects = objects
        self._malware = malware
        self._wake = asyncio.Event()
        """Set when an upload may be waiting."""

    def wake(self) -> None:
        """Start scanning without waiting for the next poll."""
        self._wake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Scan until `stopping`, and finish the scans in progress."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_CONCURRENT_SCANS):
                tasks.create_task(self._scan_all(stopping))
            await stopping.wait()
            self._wake.set()

    async def _scan_all(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            self._wake.clear()
            try:
                await self._expire()
                while not stopping.is_set() and await self.scan_next():
                    pass
            except Unavailable:
                log.warning("scan_postponed")
            except Exception as error:  # the consume loop
                DEFECTS.labels("scan").inc()
                log.exception("scan_failed", error=type(error).__name__)
            if not stopping.is_set():
                await pause(self._wake, _IDLE_SECONDS)

    async def scan_next(self) -> bool:
        """Scan the oldest waiting upload. Return False if none is waiting or no verdict was reached. Raises `Unavailable`."""
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
        log.info("upload_scanned", upload=upload.id, state=verdict.state.value, reason=verdict.reason)
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
                log.warning("scan_lease_renewal_failed", upload=upload.id)

    async def _verdict(self, upload: Upload, attempts: int) -> Verdict | None:
        """Return the verdict, or None if the scan must be repeated.

        If storage is unavailable, the attempt is not counted. If a scanner fails or the file changes during the scan, the
        upload is scanned again when its lease expires, up to 5 times in all.
        """
        if attempts > _MAX_ATTEMPTS:
            return Verdict(State.FAILED, Refusal.UNSCANNABLE)
        try:
            with tempfile.TemporaryDirectory(prefix="hubbub-media-") as folder:
                return await self._scan(upload, Path(folder))
        except ObjectAbsentError:
            return Verdict(State.FAILED, Refusal.SIZE)
        except (UnscannedError, ObjectChangedError) as error:
            log.warning("upload_scan_failed", upload=upload.id, error=type(error).__name__)
        except Unavailable:
            log.warning("scan_postponed", upload=upload.id)
            await self._release(upload)
        return None

    async def _release(self, upload: Upload) -> None:
        try:
            async with self._database.connection(EVERY_TENANT) as connection:
                await store.release(connection, upload.id)
        except Unavailable:
            log.warning("scan_lease_release_failed", upload=upload.id)

    async def _scan(self, upload: Upload, folder: Path) -> Verdict:
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
            head = content.read(HEAD_BYTES)
        if not matches_type(upload.type, head):
            return Verdict(State.BLOCKED, Refusal.TYPE)
        if await self._malware.detects(file):
            return Verdict(State.BLOCKED, Refusal.MALWARE)
        return None

    async def _expire(self) -> None:
        """Fail uploads whose file never arrived."""
        async with self._database.connection(EVERY_TENANT) as connection:
            expired = await store.expire(connection, _PENDING_SECONDS)
        for upload in expired:
            VERDICTS.labels(State.FAILED.value, "NEVER_ARRIVED").inc()
            await self._objects.discard(upload)
