"""Measures an image and makes its thumbnail, in a separate process with limited memory and CPU time: the image may be hostile.

python -I -m media.images <image> <thumbnail> <format>    prints {"width":…,"height":…}
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

import msgspec
from PIL import Image, ImageOps

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/gif": "GIF", "image/webp": "WEBP"}
"""Media types displayed as images, with Pillow's decoder for each."""
THUMBNAIL_PIXELS = 480
_MAX_PIXELS = 50_000_000
_MEMORY_BYTES = 1024**3
_CPU_SECONDS = 20
_WAIT_SECONDS = 30.0


class BrokenImageError(Exception):
    """The image is broken, or too large to decode."""


class Measured(msgspec.Struct, frozen=True):
    """The displayed size of an image, in pixels."""

    width: int
    height: int


async def measure(image: Path, thumbnail: Path, kind: str) -> Measured:
    """Measure an image and write its thumbnail (WebP, without metadata). Raises `BrokenImageError`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "media.images", str(image), str(thumbnail), FORMATS[kind]),
        env={},  # the decoder gets no secrets
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_WAIT_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError as error:
        raise BrokenImageError from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise BrokenImageError
    return msgspec.json.decode(output, type=Measured)


def _decode(image: Path, thumbnail: Path, decoder: str) -> Measured:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    Image.MAX_IMAGE_PIXELS = _MAX_PIXELS // 2  # Pillow refuses at twice this
    with Image.open(image, formats=[decoder]) as opened:
        shown = ImageOps.exif_transpose(opened)
        measured = Measured(shown.width, shown.height)
        shown.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
        shown.convert("RGBA" if shown.has_transparency_data else "RGB").save(thumbnail, "WEBP", quality=80)
    return measured


if __name__ == "__main__":
    _, source, target, decoder_name = sys.argv
    sys.stdout.buffer.write(msgspec.json.encode(_decode(Path(source), Path(target), decoder_name)))
