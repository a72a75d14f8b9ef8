"""Every kind of picture file becomes the same RGB bytes, and one resize serves them all."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from scones.errors import DataError
from scones.model.pixels import REDUCED_SIDE, SIZE, decode, make_weights, resize


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def shade(width: int, height: int) -> NDArray[np.uint8]:
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, np.full_like(x, 128)], axis=2).astype(np.uint8)


def test_a_thumbnail_keeps_every_pixel() -> None:
    picture = shade(32, 32)
    assert np.array_equal(decode(encode(Image.fromarray(picture))), picture)


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGBA", "CMYK", "1", "I;16", "RGB"])
def test_every_colour_mode_becomes_rgb(mode: str) -> None:
    image = Image.fromarray(shade(48, 40))
    if mode == "I;16":
        image = Image.fromarray((np.arange(40 * 48).reshape(40, 48) * 34).astype(np.uint16))
    elif mode == "CMYK":
        assert decode(encode(image.convert("CMYK"), "JPEG")).shape == (40, 48, 3)
        return
    else:
        image = image.convert(mode)
    assert decode(encode(image)).shape == (40, 48, 3)


def test_sixteen_bit_grey_is_scaled_not_cut_off() -> None:
    image = Image.fromarray(np.full((16, 16), 257 * 100, np.uint16))
    assert np.abs(decode(encode(image)).astype(int) - 100).max() <= 1


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    assert decode(encode(clear)).min() == 255


def test_exif_orientation_is_honoured() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    turned = decode(encode(Image.fromarray(shade(60, 30)), "JPEG", exif=exif, quality=95))
    assert turned.shape == (60, 30, 3)
    assert turned[0, 0, 1] > turned[0, -1, 1]  # the bottom of the file is the left of the picture


def test_a_twelve_megapixel_photo_is_shrunk_while_decoding() -> None:
    photo = decode(encode(Image.fromarray(shade(4000, 3000)), "JPEG"))
    assert REDUCED_SIDE <= min(photo.shape[:2]) < 2 * REDUCED_SIDE
    small = resize(decode(encode(Image.fromarray(shade(400, 300)))))
    assert np.abs(resize(photo) - small).mean() < 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"GIF89a", "can be read"),
        (b"{}", "not a picture"),
        (encode(Image.fromarray(shade(64, 64)))[:120], "damaged"),
        (encode(Image.new("RGB", (4, 90))), "4x90"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode(content)


def test_a_size_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(DataError, match="100,000,000 pixels"):
        decode(encode(Image.new("1", (20_000, 6_000))))


@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_break_it(content: bytes) -> None:
    for start in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"BM",
        b"RIFF\x10\x00\x00\x00WEBP",
    ):
        with contextlib.suppress(DataError):
            decode(start + content)


@pytest.mark.parametrize("source", [8, 32, 160, 161, 640])
def test_the_resize_is_pillows_bicubic(source: int) -> None:
    picture = np.random.default_rng(source).integers(80, 176, (source, source, 3)).astype(np.uint8)
    pillow = np.asarray(Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC), float)
    assert np.abs(resize(picture) - pillow).max() <= 2


@given(st.integers(8, 700))
def test_weights_add_up_to_one(source: int) -> None:
    weights = make_weights(source, SIZE)
    assert weights.shape == (SIZE, source)
    assert np.abs(weights.sum(axis=1) - 1).max() < 1e-4
