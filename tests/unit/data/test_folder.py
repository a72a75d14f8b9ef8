"""Folders of photos: what is kept, what is converted, what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scones.data import Dataset, stage
from scones.errors import DataError, UsageError

CLASSES = ("cars", "trucks")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve JPEG photos of each of two classes, of different sizes."""
    rng = np.random.default_rng(5)
    for name in CLASSES:
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            photo = coarse.resize((120 + 20 * number, 90), Image.Resampling.BICUBIC)
            photo.save(tmp_path / "photos" / name / f"{name}_{number}.jpg")
    return tmp_path / "photos"


def stage_folder(folder: Path, skip_unreadable: bool = False) -> Dataset:
    return stage(
        f"folder:{folder}",
        folder.parent / "set",
        cache_dir=folder.parent,
        classes=CLASSES,
        skip_unreadable=skip_unreadable,
    )


def test_photos_are_staged_as_they_are(folder: Path) -> None:
    dataset = stage_folder(folder)
    assert dataset.counts() == {
        "train": {"cars": 9, "trucks": 9},
        "validation": {"cars": 1, "trucks": 1},
        "test": {"cars": 2, "trucks": 2},
    }
    for image in dataset.images:
        original = folder / image.class_name / image.file
        assert dataset.path(image).read_bytes() == original.read_bytes()
        with Image.open(original) as opened:
            assert opened.size == (image.width, image.height)


def test_other_formats_become_upright_png(folder: Path) -> None:
    rng = np.random.default_rng(6)
    pixels = Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    pixels.save(folder / "cars" / "turned.webp", lossless=True, exif=exif)
    pixels.convert("P").save(folder / "cars" / "palette.gif")
    pixels.convert("CMYK").save(folder / "trucks" / "print.tiff")
    pixels.save(folder / "trucks" / "wrong.jpg", "PNG")  # the wrong extension would mislead SageMaker
    dataset = stage_folder(folder)
    by_file = {image.file: image for image in dataset.images}
    assert {"turned.webp.png", "palette.gif.png", "print.tiff.png", "wrong.jpg.png"} <= by_file.keys()
    turned = by_file["turned.webp.png"]
    assert (turned.width, turned.height) == (40, 60)
    with Image.open(dataset.path(turned)) as opened:
        assert opened.format == "PNG"
        assert np.array_equal(np.asarray(opened), np.rot90(np.asarray(pixels), -1))


def test_the_same_name_in_two_classes(folder: Path) -> None:
    for name in CLASSES:
        (folder / name / f"{name}_0.jpg").rename(folder / name / "IMG_0001.jpg")
    files = {image.file for image in stage_folder(folder).images}
    assert {"cars_IMG_0001.jpg", "trucks_IMG_0001.jpg"} <= files


def test_hidden_files_and_sub_folders_are_no_images(folder: Path) -> None:
    (folder / "cars" / ".DS_Store").write_bytes(b"x")
    (folder / "cars" / "older").mkdir()
    assert len(stage_folder(folder).images) == 24


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def truncated_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((300, 300), 80).save(buffer, "JPEG")
    return buffer.getvalue()[:-2000]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"no image at all", "is no JPEG, PNG"),
        (truncated_jpeg(), "cannot be read .*truncated"),
        (png_header(10_000, 10_000), "has more than 64 megapixels"),
        (png_header(60_000, 60_000), "has more than 64 megapixels"),
        (png_header(20, 2_000), "cannot be read|is damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no JPEG, PNG"),  # would start Ghostscript
    ],
    ids=["empty", "text", "truncated", "100 megapixels", "bomb", "cut", "program"],
)
def test_a_bad_file_is_named(folder: Path, content: bytes, reason: str) -> None:
    (folder / "cars" / "bad.jpg").write_bytes(content)
    with pytest.raises(DataError, match=rf"1 of 25 files cannot be staged: cars/bad\.jpg {reason}"):
        stage_folder(folder)
    assert not (folder.parent / "set").exists()
    dataset = stage_folder(folder, skip_unreadable=True)
    assert len(dataset.images) == 24
    assert [entry["file"] for entry in dataset.source["unreadable"]] == ["cars/bad.jpg"]


def test_many_bad_files_make_one_short_message(folder: Path) -> None:
    for number in range(40):
        (folder / "cars" / f"bad{number}.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"40 of 64 files") as caught:
        stage_folder(folder)
    assert len(caught.value.message) < 300


def test_no_folder_and_no_class(folder: Path) -> None:
    with pytest.raises(DataError, match="There is no folder"):
        stage_folder(folder / "none")
    (folder / "trucks").rename(folder / "lorries")
    with pytest.raises(UsageError, match="no class 'trucks'") as caught:
        stage_folder(folder)
    assert "cars, lorries" in caught.value.hint


def test_a_class_without_images(folder: Path) -> None:
    for path in (folder / "trucks").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no image of class 'trucks'"):
        stage_folder(folder)


def test_too_few_different_images(folder: Path) -> None:
    photos = sorted((folder / "trucks").iterdir())
    for path in photos[1:]:
        path.write_bytes(photos[0].read_bytes())
    with pytest.raises(DataError, match="Class 'trucks' has too few different images"):
        stage_folder(folder)
    assert not (folder.parent / "set").exists()
