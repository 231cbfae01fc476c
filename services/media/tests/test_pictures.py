"""Others see a picture that was encoded anew: upright, without metadata, within bounds."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin

from hubbub.media.v1 import media_pb2 as nouns
from services.media.tests.conftest import Harness, encoded, get, image

pytestmark = pytest.mark.asyncio(loop_scope="session")
_SECRET = b"52-31-12-N-13-24-36-E"
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


def _position(orientation: int = 1) -> bytes:
    """EXIF with a position, and the secret where cameras write text."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = _SECRET.decode()
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return exif.tobytes()


def _profile() -> bytes:
    """A colour profile with the secret behind it."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + _SECRET


def _picture() -> Image.Image:
    """A red left half and a blue right half."""
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (20, 0, 40, 20))
    return picture


def _text() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", _SECRET.decode())
    info.add_itxt("XML:com.adobe.xmp", _SECRET.decode())
    return info


_WITH_METADATA: dict[str, Callable[[], tuple[bytes, str]]] = {
    "jpeg exif": lambda: (encoded(_picture(), "JPEG", exif=_position()), "JPEG"),
    "jpeg comment": lambda: (encoded(_picture(), "JPEG", comment=_SECRET), "JPEG"),
    "jpeg profile": lambda: (encoded(_picture(), "JPEG", icc_profile=_profile()), "JPEG"),
    "jpeg xmp": lambda: (encoded(_picture(), "JPEG", xmp=_SECRET), "JPEG"),
    "png exif": lambda: (encoded(_picture(), "PNG", exif=_position()), "PNG"),
    "png text": lambda: (encoded(_picture(), "PNG", pnginfo=_text()), "PNG"),
    "png profile": lambda: (encoded(_picture(), "PNG", icc_profile=_profile()), "PNG"),
    "gif comment": lambda: (encoded(_picture(), "GIF", comment=_SECRET), "GIF"),
    "webp exif": lambda: (encoded(_picture(), "WEBP", exif=_position()), "WEBP"),
    "webp xmp": lambda: (encoded(_picture(), "WEBP", xmp=_SECRET), "WEBP"),
    "webp profile": lambda: (encoded(_picture(), "WEBP", icc_profile=_profile()), "WEBP"),
    **{
        f"{kind.lower()} tail": lambda kind=kind: (image(kind) + b"<script>" + _SECRET, kind)  # type: ignore[misc]
        for kind in _TYPES
    },
}


async def _shown(harness: Harness, content: bytes, kind: str, *, user: str = "bob") -> tuple[nouns.Upload, bytes]:
    upload = await harness.examined(content, _TYPES[kind])
    assert upload.state == nouns.UPLOAD_STATE_CLEAN
    answer = await get(await harness.link(upload.id, user=user))
    assert answer.headers["content-type"] == _TYPES[kind]
    return upload, answer.content


@pytest.mark.parametrize("name", _WITH_METADATA)
async def test_no_metadata_and_no_tail_reach_others(harness: Harness, name: str) -> None:
    content, kind = _WITH_METADATA[name]()
    upload, shown = await _shown(harness, content, kind)
    for seen in (shown, (await get(await harness.link(upload.id, nouns.LINK_VARIANT_THUMBNAIL))).content):
        assert _SECRET not in seen
        with Image.open(io.BytesIO(seen)) as opened:
            opened.load()
            assert not opened.getexif()
            assert not opened.info.keys() & {"exif", "xmp", "comment", "icc_profile"}


@pytest.mark.parametrize("kind", _TYPES)
async def test_the_original_is_for_its_owner_alone_and_is_saved(harness: Harness, kind: str) -> None:
    content = image(kind) + _SECRET
    upload, shown = await _shown(harness, content, kind, user="ann")
    assert shown == content
    for user, how in (("ann", "attachment;"), ("bob", "inline;"), ("", "inline;")):
        answer = await get(await harness.link(upload.id, user=user))
        assert answer.headers["content-disposition"].startswith(how)
        assert (answer.content == content) is (user == "ann")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_pictures_are_turned_upright(harness: Harness, kind: str) -> None:
    upload, shown = await _shown(harness, encoded(_picture(), kind, exif=_position(orientation=6)), kind)
    assert (upload.width, upload.height) == (20, 40)
    with Image.open(io.BytesIO(shown)) as opened:
        assert opened.size == (20, 40)
        colours = [_colour(opened, at) for at in ((10, 5), (10, 35))]
    assert colours == ["red", "blue"]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_metadata_that_cannot_be_read_does_not_block_a_picture(harness: Harness, kind: str) -> None:
    for exif in (b"Exif\0\0no TIFF", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        _, shown = await _shown(harness, encoded(_picture(), kind, exif=exif, icc_profile=b"no profile"), kind)
        assert b"no TIFF" not in shown
        assert b"no profile" not in shown


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
async def test_pixels_and_transparency_of_a_png_are_kept(harness: Harness, mode: str) -> None:
    picture = Image.new("RGBA", (8, 8), (255, 0, 0, 128))
    picture.paste((0, 0, 255, 0), (4, 0, 8, 8))
    picture = Image.linear_gradient("L").convert("I;16") if mode == "I;16" else picture.convert(mode)
    _, shown = await _shown(harness, encoded(picture, "PNG"), "PNG")
    with Image.open(io.BytesIO(shown)) as opened:
        assert opened.convert("RGBA").tobytes() == picture.convert("RGBA").tobytes()


async def test_a_cmyk_jpeg_is_shown_in_rgb(harness: Harness) -> None:
    _, shown = await _shown(harness, encoded(_picture().convert("CMYK"), "JPEG"), "JPEG")
    with Image.open(io.BytesIO(shown)) as opened:
        assert opened.mode == "RGB"


def _colour(picture: Image.Image, at: tuple[int, int]) -> str:
    red, _, blue = picture.convert("RGB").getpixel(at)  # type: ignore[misc]
    return "red" if red > blue else "blue"


def _animation(kind: str, frames: int, size: tuple[int, int]) -> bytes:
    pictures = [Image.new("RGB", size, (number * 40 % 256, 80, 200 - number % 100)) for number in range(frames)]
    return encoded(pictures[0], kind, save_all=True, append_images=pictures[1:], duration=70, loop=3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
async def test_a_small_animation_keeps_its_frames_and_pace(harness: Harness, kind: str) -> None:
    content = _animation(kind, 5, (30, 20))
    _, shown = await _shown(harness, content, kind)
    with Image.open(io.BytesIO(content)) as before, Image.open(io.BytesIO(shown)) as after:
        assert after.n_frames == 5  # type: ignore[attr-defined]
        assert after.info["loop"] == before.info["loop"]
        for one, other in zip(ImageSequence.Iterator(before), ImageSequence.Iterator(after), strict=True):
            one.load()
            other.load()
            assert other.info["duration"] == 70
            pairs = zip(one.convert("RGB").getpixel((5, 5)), other.convert("RGB").getpixel((5, 5)), strict=True)  # type: ignore[arg-type]
            assert all(abs(was - now) < 12 for was, now in pairs)


async def test_a_transparent_animation_leaves_no_ghosts(harness: Harness) -> None:
    frames = [Image.new("RGBA", (30, 10), (0, 0, 0, 0)) for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste((255, 0, 0, 255), (number * 10, 0, number * 10 + 10, 10))
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=70, disposal=2)
    _, shown = await _shown(harness, content, "GIF")
    with Image.open(io.BytesIO(shown)) as opened:
        for number, frame in enumerate(ImageSequence.Iterator(opened)):
            alpha = [frame.convert("RGBA").getpixel((at * 10 + 5, 5))[3] for at in range(3)]  # type: ignore[index]
            assert alpha == [255 if at == number else 0 for at in range(3)]


@pytest.mark.parametrize(("frames", "size"), [(501, (4, 4)), (30, (1_000, 1_000))], ids=["frames", "pixels"])
async def test_a_large_animation_shows_its_first_frame(harness: Harness, frames: int, size: tuple[int, int]) -> None:
    _, shown = await _shown(harness, _animation("GIF", frames, size), "GIF")
    with Image.open(io.BytesIO(shown)) as opened:
        assert (opened.size, getattr(opened, "n_frames", 1)) == (size, 1)


@pytest.mark.parametrize(("size", "shown"), [((5_000, 5_000), (5_000, 5_000)), ((9_248, 6_936), (4_624, 3_468))])
async def test_a_jpeg_of_many_pixels_is_shown_at_a_fraction_of_its_size(
    harness: Harness, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    upload, content = await _shown(harness, image("JPEG", size), "JPEG")
    assert (upload.width, upload.height) == shown
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.size == shown


@pytest.mark.parametrize(
    ("kind", "size"), [("PNG", (5_001, 5_000)), ("WEBP", (5_001, 5_000)), ("GIF", (5_001, 5_000)), ("JPEG", (20_001, 10_000))]
)
async def test_a_picture_of_too_many_pixels_is_blocked(harness: Harness, kind: str, size: tuple[int, int]) -> None:
    upload = await harness.examined(encoded(Image.new("L", size), kind), _TYPES[kind])
    assert (upload.state, upload.reason) == (nouns.UPLOAD_STATE_BLOCKED, "IMAGE")


async def test_others_get_the_thumbnail_of_a_picture_that_an_earlier_release_kept(harness: Harness) -> None:
    upload = await harness.examined(image("JPEG"), "image/jpeg")
    await harness.execute("UPDATE uploads SET kept_sha256 = NULL WHERE id = %s", upload.id)
    assert f"/kept/{harness.tenant}/{upload.id}.thumb?" in await harness.link(upload.id, user="bob")
    assert f"/kept/{harness.tenant}/{upload.id}?" in await harness.link(upload.id, user="ann")
