"""Has pictures decoded, each in a fresh and confined process; see `decoder`.

Only a verdict of the decoder counts against a picture. A decoder that crashes is run again in a new process; when all attempts
crash, the picture is left unexamined.
"""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from pathlib import Path

import msgspec
import structlog
from PIL import Image

from media.decoder import Decoded, Refused
from media.errors import BrokenImageError, DecoderCrashedError

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
"""The types that are shown as pictures, by Pillow's name of their decoder."""
_ATTEMPTS = 3
_WAIT_SECONDS = 60.0
_VERDICT_BYTES = 4096

log = structlog.get_logger()


async def encode_anew(original: Path, picture: Path, thumbnail: Path, kind: str) -> Decoded:
    """Write a picture's copy for everybody and its thumbnail. Raises `BrokenImageError`, `DecoderCrashedError`."""
    for attempt in range(1, _ATTEMPTS + 1):
        code, output = await asyncio.to_thread(_run, original, picture, thumbnail, FORMATS[kind])
        try:
            verdict = msgspec.json.decode(output, type=Decoded | Refused) if code == 0 else None
        except msgspec.DecodeError:
            verdict = None
        match verdict:
            case Decoded():
                return verdict
            case Refused(error):
                log.info("picture_refused", error=error)
                raise BrokenImageError
        log.warning("decoder_crashed", code=code, attempt=attempt)
    raise DecoderCrashedError


async def check(folder: Path) -> int:
    """Decode a picture of our own; returns the version of Landlock's ABI, 0 for none. Raises `DecoderCrashedError`."""
    sample = io.BytesIO()
    Image.new("RGB", (1, 1)).save(sample, "PNG")
    original = folder / "sample"
    original.write_bytes(sample.getvalue())
    return (await encode_anew(original, folder / "picture", folder / "thumbnail", "image/png")).landlock


def _run(original: Path, picture: Path, thumbnail: Path, decoder: str) -> tuple[int, bytes]:
    """Run the decoder once; returns its exit code and the beginning of what it said.

    By `subprocess`, which uses vfork: asyncio's child processes fork under uvloop, where gRPC's fork handlers crashed 10 of 400
    before they became the decoder.
    """
    said = picture.with_name("verdict")
    with original.open("rb") as given, picture.open("wb") as made, thumbnail.open("wb") as small, said.open("w+b") as verdict:
        argv = [sys.executable, "-I", "-m", "media.decoder", decoder, str(made.fileno()), str(small.fileno())]
        files = (made.fileno(), small.fileno())
        try:
            code = subprocess.call(
                argv, env={}, stdin=given, stdout=verdict, stderr=subprocess.DEVNULL, pass_fds=files, timeout=_WAIT_SECONDS
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            log.warning("decoder_not_run", error=type(error).__name__)
            code = -1
        verdict.seek(0)
        return code, verdict.read(_VERDICT_BYTES)
