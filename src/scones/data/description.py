"""Describes a staged dataset: counts, sizes, near-duplicates, damaged files, and a sheet to look at."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from PIL import Image as Pictures
from PIL import ImageDraw, ImageOps

from scones.data.collection import Progress, ignore_progress
from scones.data.dataset import Dataset, Image, describe_commit
from scones.data.folder import Unreadable, check_photos
from scones.errors import DataError

TILE = 64  # side of a picture on the sheet, pixels
COLUMNS = 12
LEGEND = 12


def describe_dataset(dataset: Dataset, progress: Progress = ignore_progress) -> dict[str, Any]:
    """All that `scones data describe --json` prints; opens and checks every image.

    `near_duplicates.groups` lists the groups of two or more; `test_with_twin_in_training` the test images
    of which a near-duplicate is in train or validation; `unreadable` the files that are missing, altered or
    damaged now, and `left_out` those of the source that could not be staged.
    """
    groups: dict[int, list[str]] = defaultdict(list)
    for image in dataset.images:
        groups[image.group].append(image.key)
    return {
        "location": dataset.location,
        **describe_commit(dataset),
        "sizes": _summarise_sizes(dataset),
        "near_duplicates": {
            "groups": [keys for keys in groups.values() if len(keys) > 1],
            "test_with_twin_in_training": [image.key for image in dataset.twins_in_training()],
        },
        "unreadable": find_damage(dataset, progress),
        "left_out": dataset.source.get("unreadable", []),
    }


def _summarise_sizes(dataset: Dataset) -> dict[str, Any]:
    widths, heights = (
        sorted(getattr(image, side) for image in dataset.images) for side in ("width", "height")
    )
    middle = len(widths) // 2
    return {
        name: {"least": sides[0], "median": sides[middle], "most": sides[-1]}
        for name, sides in (("width", widths), ("height", heights))
    }


def find_damage(dataset: Dataset, progress: Progress) -> list[dict[str, str]]:
    """Files that are missing, that cannot be decoded, or whose SHA-256 is not the recorded one."""
    paths = [dataset.path(image) for image in dataset.images]
    return [
        {"file": image.key, "reason": reason}
        for image, checked in zip(dataset.images, check_photos(paths, progress), strict=True)
        if (reason := checked.reason if isinstance(checked, Unreadable) else _find_change(dataset, image))
    ]


def _find_change(dataset: Dataset, image: Image) -> str:
    found = hashlib.sha256(dataset.path(image).read_bytes()).hexdigest()
    return "" if found == image.sha256 else "is not the file that was staged"


def draw_sheet(dataset: Dataset, path: Path, split: str = "train", rows: int = 4) -> None:
    """Write a contact sheet (PNG) of one split: for each class some rows of 12 images, evenly chosen.

    Raises DataError if an image cannot be read or the sheet cannot be written.
    """
    per_class = rows * COLUMNS
    height = len(dataset.classes) * (LEGEND + rows * TILE)
    sheet = Pictures.new("RGB", (COLUMNS * TILE, height), "white")
    pen = ImageDraw.Draw(sheet)
    try:
        for label, name in enumerate(dataset.classes):
            top = label * (LEGEND + rows * TILE)
            pen.text((2, top), f"{name} ({split})", fill="black")
            images = [image for image in dataset.select(split) if image.label == label]
            chosen = images[:: max(1, len(images) // per_class)][:per_class]
            for place, image in enumerate(chosen):
                row, column = divmod(place, COLUMNS)
                sheet.paste(_shrink(dataset.path(image)), (column * TILE, top + LEGEND + row * TILE))
        sheet.save(path, "PNG")
    except OSError as error:
        raise DataError(f"The contact sheet cannot be made: {error}.") from error


def _shrink(path: Path) -> Pictures.Image:
    with Pictures.open(path) as image:
        image.draft("RGB", (2 * TILE, 2 * TILE))
        return ImageOps.pad(ImageOps.exif_transpose(image).convert("RGB"), (TILE, TILE))
