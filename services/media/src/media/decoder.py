"""Decodes one picture, confined, and encodes it anew: the program that `images` runs for each picture.

    python -I -m media.decoder FORMAT PICTURE_FD THUMBNAIL_FD < original > verdict

The picture is written in the original's format, upright, in sRGB and without metadata; the thumbnail as WebP. The verdict is one
JSON document, a `Decoded` or a `Refused`. Any other end (a signal, an exit code, no verdict) says nothing about the picture.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec
from PIL import Image, ImageCms, ImageOps

from media.cage import confine

THUMBNAIL_PIXELS = 480
MOST_PIXELS = 25_000_000
"""Of a picture as it is shown, and of all frames of an animation together."""
MOST_JPEG_PIXELS = 200_000_000
"""A larger JPEG is decoded at a half, a quarter or an eighth of its size, for a fraction of the memory."""
MOST_FRAMES = 500
MOST_FILE_BYTES = 64 * 1024**2
_MEMORY_BYTES = 1024**3
_CPU_SECONDS = 10
_ENCODING: dict[str, dict[str, int]] = {
    "PNG": {"compress_level": 3},  # 25 megapixels in 1.4 s; level 6 takes 3.9 s and saves nothing
    "JPEG": {"quality": 90},
    "GIF": {},
    "WEBP": {"quality": 90, "method": 2},  # 25 megapixels in 1.0 s; method 4 takes 6.3 s for the same size
}
_ANIMATED = frozenset({"GIF", "PNG", "WEBP"})
_PIXELS_HAVE_MEANING_WITH = ("transparency", "background")
_PROFILED_MODES = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB"}
_ORIENTATION = 0x0112
_SRGB = ImageCms.createProfile("sRGB")


class Decoded(msgspec.Struct, frozen=True, tag=True):
    """The picture as it is shown, in pixels."""

    width: int
    height: int
    landlock: int
    """Version of Landlock's ABI that confined the decoder; 0 for none."""


class Refused(msgspec.Struct, frozen=True, tag=True):
    """It cannot be shown: broken, too large, or too costly to decode."""

    error: str
    """Class of the decoder's exception."""


class TooManyPixelsError(Exception):
    """More pixels than are decoded."""


class TooCostlyError(Exception):
    """It takes more processor time than a picture gets."""


def main(decoder: str, picture_fd: str, thumbnail_fd: str) -> None:
    """Decode stdin into two open files, and write the verdict to stdout."""
    with (
        os.fdopen(0, "rb") as original,
        os.fdopen(int(picture_fd), "wb") as picture,
        os.fdopen(int(thumbnail_fd), "wb") as thumbnail,
    ):
        _load(decoder)
        signal.signal(signal.SIGXCPU, _too_costly)
        landlock = confine(memory_bytes=_MEMORY_BYTES, cpu_seconds=_CPU_SECONDS, file_bytes=MOST_FILE_BYTES)
        verdict: Decoded | Refused
        try:
            width, height = decode(original, decoder, picture, thumbnail)
            picture.flush()
            thumbnail.flush()
            verdict = Decoded(width, height, landlock)
        except (ImportError, PermissionError):
            raise  # of the cage, not of the picture
        except OSError as error:
            if error.errno not in {None, errno.EFBIG}:  # Pillow's own have no number
                raise
            verdict = Refused(type(error).__name__)
        except Exception as error:  # noqa: BLE001 - decoders raise errors of all kinds
            verdict = Refused(type(error).__name__)
    sys.stdout.buffer.write(msgspec.json.encode(verdict))
    sys.stdout.buffer.flush()


def decode(original: BinaryIO, decoder: str, picture: BinaryIO, thumbnail: BinaryIO) -> tuple[int, int]:
    """Encode a picture anew, and its thumbnail; returns its width and height as shown. Raises the errors of Pillow."""
    Image.MAX_IMAGE_PIXELS = MOST_JPEG_PIXELS if decoder == "JPEG" else MOST_PIXELS
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)  # Pillow refuses at twice the limit, and warns before
    with Image.open(original, formats=[decoder]) as opened:
        if decoder == "JPEG":
            _scale_down(opened)
        frames = _frames(opened, decoder)
        first = next(frames)
        options: dict[str, Any] = dict(_ENCODING[decoder])
        if decoder in _ANIMATED and _is_animation(opened):
            options |= _animation(first, list(frames), decoder)
            if "loop" in opened.info:  # a GIF without it plays once
                options["loop"] = opened.info["loop"]
        elif decoder == "JPEG" and first.mode not in {"L", "RGB"}:
            first = first.convert("RGB")
        first.save(picture, decoder, **options)
    small = first.convert("RGBA" if first.has_transparency_data else "RGB")
    small.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
    small.save(thumbnail, "WEBP", quality=80)
    return first.width, first.height


def _scale_down(jpeg: Image.Image) -> None:
    """Have a large JPEG decoded at less than its size."""
    for divisor in (1, 2, 4, 8):
        size = (max(1, jpeg.width // divisor), max(1, jpeg.height // divisor))
        if size[0] * size[1] <= MOST_PIXELS:
            jpeg.draft(None, size)  # None keeps the mode
            break
    if jpeg.width * jpeg.height > MOST_PIXELS:
        raise TooManyPixelsError


def _is_animation(opened: Image.Image) -> bool:
    """Whether it moves and is small enough to be kept moving; otherwise its first frame is shown."""
    frames: int = getattr(opened, "n_frames", 1)
    return 1 < frames <= MOST_FRAMES and frames * opened.width * opened.height <= MOST_PIXELS


def _frames(opened: Image.Image, decoder: str) -> Iterator[Image.Image]:
    """The frames, upright and without metadata. A still picture has one."""
    for number in range(getattr(opened, "n_frames", 1) if decoder in _ANIMATED else 1):
        opened.seek(number)
        opened.load()  # some decoders know the duration only then
        duration = opened.info.get("duration", 0)
        frame = _in_srgb(_upright(opened))
        # Encoders copy comments, profiles and XMP from here.
        frame.info = {name: value for name, value in frame.info.items() if name in _PIXELS_HAVE_MEANING_WITH}
        frame.info["duration"] = duration
        yield frame


def _animation(first: Image.Image, rest: list[Image.Image], encoder: str) -> dict[str, Any]:
    """Options that save all frames."""
    frames = [first, *rest]
    options = {"save_all": True, "append_images": rest, "duration": [int(frame.info["duration"]) for frame in frames]}
    if encoder == "GIF" and any(frame.has_transparency_data for frame in frames):
        options["disposal"] = 2  # or earlier frames would shine through
    return options


def _upright(frame: Image.Image) -> Image.Image:
    """A copy, turned as its EXIF says; as it is where that cannot be read."""
    try:
        return ImageOps.exif_transpose(frame)
    except SyntaxError:  # Pillow's error for EXIF without a TIFF header
        return frame.copy()


def _in_srgb(frame: Image.Image) -> Image.Image:
    """The colours that its profile means; as they are where the profile cannot be read."""
    profile = frame.info.get("icc_profile")
    mode = _PROFILED_MODES.get(frame.mode)
    if not profile or not mode:
        return frame
    try:
        converted = ImageCms.profileToProfile(frame, ImageCms.ImageCmsProfile(io.BytesIO(profile)), _SRGB, outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return frame
    return converted or frame


def _load(decoder: str) -> None:
    """Load the modules that Pillow imports late: the confined process can open no file."""
    exif = Image.Exif()
    exif[_ORIENTATION] = 6
    for frames in (1, 2):
        sample = io.BytesIO()
        images = [Image.new("RGB", (2, 2), colour) for colour in ("red", "blue")][:frames]
        if decoder in _ANIMATED and frames > 1:
            images[0].save(sample, decoder, save_all=True, append_images=images[1:], duration=100)
        else:
            images[0].save(sample, decoder, icc_profile=ImageCms.ImageCmsProfile(_SRGB).tobytes(), exif=exif)
        sample.seek(0)
        decode(sample, decoder, io.BytesIO(), io.BytesIO())


def _too_costly(_number: int, _frame: object) -> None:
    raise TooCostlyError


if __name__ == "__main__":
    main(*sys.argv[1:])
