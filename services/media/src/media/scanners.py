"""Looks for malware: our own signatures (YARA) always, and a clamd where one is configured."""

from __future__ import annotations

import asyncio
from pathlib import Path

import yara_x

from media.errors import UnscannedError

_SCAN_SECONDS = 30
_CHUNK_BYTES = 256 * 1024
_REPLY_BYTES = 4096
# EICAR, the harmless test virus, in hex: no scanner takes this source file for it.
_RULES = """
rule eicar_test_file {
  strings:
    $eicar = { 58 35 4F 21 50 25 40 41 50 5B 34 5C 50 5A 58 35 34 28 50 5E 29 37 43 43 29 37 7D 24 }
  condition:
    $eicar
}
"""


class Scanners:
    """Every scanner of this process."""

    def __init__(self, clamd: str = "") -> None:
        compiler = yara_x.Compiler()
        compiler.add_source(_RULES)
        self._rules = compiler.build()
        self._clamd = clamd

    async def dangerous(self, file: Path) -> bool:
        """Whether any scanner finds malware. Raises `UnscannedError` when one could not scan the whole file."""
        if await asyncio.to_thread(self._matches, file):
            return True
        return bool(self._clamd) and await self._clamd_objects(file)

    def _matches(self, file: Path) -> bool:
        scanner = yara_x.Scanner(self._rules)
        scanner.set_timeout(_SCAN_SECONDS)
        try:
            return bool(scanner.scan_file(str(file)).matching_rules)
        except (yara_x.ScanError, yara_x.TimeoutError) as error:
            raise UnscannedError from error

    async def _clamd_objects(self, file: Path) -> bool:
        """Ask clamd by INSTREAM. It hangs up on a file above its limit, which is no verdict."""
        try:
            async with asyncio.timeout(_SCAN_SECONDS):
                reader, writer = await self._connect()
                try:
                    writer.write(b"zINSTREAM\0")
                    with file.open("rb") as content:
                        while chunk := await asyncio.to_thread(content.read, _CHUNK_BYTES):
                            writer.write(len(chunk).to_bytes(4) + chunk)
                            await writer.drain()
                    writer.write(bytes(4))
                    await writer.drain()
                    reply = await reader.read(_REPLY_BYTES)
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise UnscannedError from error
        answer = reply.rstrip(b"\0\n")
        if answer.endswith(b" FOUND"):
            return True
        if answer.endswith(b" OK"):
            return False
        raise UnscannedError

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self._clamd.rpartition(":")
        if host and port.isdigit():
            return await asyncio.open_connection(host, int(port))
        return await asyncio.open_unix_connection(self._clamd)
