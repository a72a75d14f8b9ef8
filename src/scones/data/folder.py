"""A folder of the user's own photos as a source: one sub-folder a class, any image sizes and formats."""

from __future__ import annotations

import io
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from scones.data.collection import Collection, Progress, find_classes
from scones.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# SageMaker reads these (MPO: a JPEG with a second picture behind, as phones write it); others become PNG.
KEPT = {"JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",)}
MOST_PIXELS = 64_000_000
MOST_BYTES = 256 * 1024 * 1024
THUMBNAIL = 32
NAMED = 5  # files that an error message names


@dataclass(frozen=True)
class Photo:
    """One readable file; `size` is (width, height) as staged, `kept` whether its bytes stay as they are."""

    path: Path
    size: tuple[int, int]
    kept: bool
    thumbnail: NDArray[np.uint8]


@dataclass(frozen=True)
class Unreadable:
    """One file that is no image we can stage, and why."""

    path: Path
    reason: str


def read_folder(
    folder: Path, classes: Sequence[str], skip_unreadable: bool, progress: Progress
) -> Collection:
    """Check every image of the classes' sub-folders by decoding it.

    Raises DataError if there is no such folder or a file cannot be read (unless `skip_unreadable`),
    UsageError for classes that have no sub-folder.
    """
    paths = _list_files(folder, classes)
    results = check_photos([path for _, path in paths], progress)
    bad = [result for result in results if isinstance(result, Unreadable)]
    if bad and not skip_unreadable:
        listed = "; ".join(f"{one.path.relative_to(folder)} {one.reason}" for one in bad[:NAMED])
        more = "; …" if len(bad) > NAMED else ""
        raise DataError(
            f"{len(bad)} of {len(results)} files cannot be staged: {listed}{more}.",
            "Remove them, or leave them out with --skip-unreadable.",
        )
    pairs = zip(paths, results, strict=True)
    good = [(label, photo) for (label, _), photo in pairs if isinstance(photo, Photo)]
    photos = [photo for _, photo in good]
    left_out = [{"file": str(one.path.relative_to(folder)), "reason": one.reason} for one in bad]
    return Collection(
        source={"kind": "folder", "name": folder.resolve().name, "unreadable": left_out},
        classes=tuple(classes),
        names=_name_files(good, classes),
        labels=np.array([label for label, _ in good], dtype=np.int64),
        splits=[""] * len(good),
        sizes=[photo.size for photo in photos],
        thumbnails=[np.stack([photo.thumbnail for photo in photos])] if photos else [],
        read=lambda start, stop: map(_read_photo, photos[start:stop]),
    )


def _list_files(folder: Path, classes: Sequence[str]) -> list[tuple[int, Path]]:
    """Label and path of every file of the classes, hidden ones and sub-folders apart."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.", "Name one with a sub-folder for each class.")
    try:
        find_classes(classes, sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))
        return [
            (label, path)
            for label, name in enumerate(classes)
            for path in sorted((folder / name).iterdir())
            if not path.name.startswith(".") and not path.is_dir()
        ]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error


def check_photos(paths: Sequence[Path], progress: Progress) -> list[Photo | Unreadable]:
    """Decode files to the end, in parallel."""
    results: list[Photo | Unreadable] = []
    # Set here and not in the threads, which share the setting: Pillow's warning of large pictures is an
    # error, its warnings of odd metadata are nothing.
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for result in pool.map(_check_photo, paths):
            results.append(result)
            progress("Checking images", len(results), len(paths))
    return results


def _check_photo(path: Path) -> Photo | Unreadable:
    try:
        size = path.stat().st_size
        if not path.is_file() or not 0 < size <= MOST_BYTES:
            return Unreadable(path, "is too large, or no file" if size else "is empty")
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                return Unreadable(path, f"has more than {MOST_PIXELS // 10**6} megapixels")
            return _decode(path, image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Unreadable(path, f"has more than {MOST_PIXELS // 10**6} megapixels")
    except UnidentifiedImageError:
        return Unreadable(path, "is no JPEG, PNG, WebP, GIF, BMP or TIFF image")
    except OSError as error:
        return Unreadable(path, f"cannot be read ({error.strerror or error})")
    except (ValueError, SyntaxError, EOFError, LookupError, TypeError, OverflowError) as error:
        return Unreadable(path, f"is damaged ({error})")  # all of these come out of Pillow's decoders


def _decode(path: Path, image: Image.Image) -> Photo:
    kept = path.suffix.lower() in KEPT.get(image.format or "", ())
    size = (
        image.size if kept or image.getexif().get(0x0112, 1) < 5 else image.size[::-1]
    )  # orientation: turned
    image.draft(
        "RGB", (4 * THUMBNAIL, 4 * THUMBNAIL)
    )  # JPEG only: reads all of it, at a fraction of the cost
    small = image.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return Photo(path, size, kept, np.asarray(small))


def _read_photo(photo: Photo) -> bytes:
    if photo.kept:
        return photo.path.read_bytes()
    buffer = io.BytesIO()
    with Image.open(photo.path, formats=FORMATS) as image:
        upright = ImageOps.exif_transpose(image)
        mode = "RGBA" if upright.has_transparency_data else "RGB"
        upright.convert(mode).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _name_files(good: list[tuple[int, Photo]], classes: Sequence[str]) -> list[str]:
    """Names within the dataset: the original one, with the class before it where two classes share it."""
    names = [photo.path.name if photo.kept else f"{photo.path.name}.png" for _, photo in good]
    uses = Counter(name.casefold() for name in names)
    return [
        f"{classes[label]}_{name}" if uses[name.casefold()] > 1 else name
        for (label, _), name in zip(good, names, strict=True)
    ]
