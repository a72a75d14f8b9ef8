"""CIFAR-100 as a source: the rows of the wanted classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scones.data.archive import SIDE, Archive, Rows
from scones.data.collection import Collection, find_classes
from scones.data.png import encode_pngs


def select_rows(archive: Archive, classes: Sequence[str], source: dict[str, Any]) -> Collection:
    """The archive's images of `classes` (names of fine labels), labelled 0..n-1 in the order given.

    Raises UsageError for names the archive does not have.
    """
    wanted = find_classes(classes, archive.classes)
    train, test = (np.flatnonzero(np.isin(rows.labels, wanted)) for rows in (archive.train, archive.test))
    images = np.empty((len(train) + len(test), SIDE, SIDE, 3), dtype=np.uint8)
    _copy_images(archive.train, train, images[: len(train)])
    _copy_images(archive.test, test, images[len(train) :])
    new_label = np.full(len(archive.classes), -1)
    new_label[wanted] = np.arange(len(wanted))
    return Collection(
        source=source,
        classes=tuple(classes),
        names=[_name_png(rows.names[row]) for rows, kept in _pair(archive, train, test) for row in kept],
        labels=np.concatenate([new_label[rows.labels[kept]] for rows, kept in _pair(archive, train, test)]),
        splits=["train"] * len(train) + ["test"] * len(test),
        sizes=[(SIDE, SIDE)] * len(images),
        thumbnails=images,
        read=lambda start, stop: encode_pngs(images[start:stop]),
    )


def _pair(
    archive: Archive, train: NDArray[np.int64], test: NDArray[np.int64]
) -> list[tuple[Rows, NDArray[np.int64]]]:
    return [(archive.train, train), (archive.test, test)]


def _copy_images(rows: Rows, kept: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    for channel in range(3):  # planes to interleaved, one plane at a time to spare memory
        start = channel * SIDE * SIDE
        out[..., channel] = rows.pixels[kept, start : start + SIDE * SIDE].reshape(-1, SIDE, SIDE)


def _name_png(name: str) -> str:
    return name if name.lower().endswith(".png") else f"{name}.png"
