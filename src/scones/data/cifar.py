"""CIFAR-100 as a source: the rows of the wanted classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
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
    new_label = np.full(len(archive.classes), -1)
    new_label[wanted] = np.arange(len(wanted))
    kept = [(rows, np.flatnonzero(new_label[rows.labels] >= 0)) for rows in (archive.train, archive.test)]
    train, test = (_view_images(rows, chosen) for rows, chosen in kept)

    def read(start: int, stop: int) -> Iterator[bytes]:
        first, last = (max(0, index - len(train)) for index in (start, stop))
        return chain(encode_pngs(train[start:stop]), encode_pngs(test[first:last]))

    return Collection(
        source=source,
        classes=tuple(classes),
        names=[_name_png(rows.names[row]) for rows, chosen in kept for row in chosen.tolist()],
        labels=np.concatenate([new_label[rows.labels[chosen]] for rows, chosen in kept]),
        splits=["train"] * len(train) + ["test"] * len(test),
        sizes=[(SIDE, SIDE)] * (len(train) + len(test)),
        thumbnails=[train, test],
        read=read,
    )


def _view_images(rows: Rows, chosen: NDArray[np.intp]) -> NDArray[np.uint8]:
    """(n, 32, 32, 3), of planes as they lie in the archive; copied only if most of it can then be let go."""
    pixels = rows.pixels if len(chosen) == len(rows.pixels) else rows.pixels[chosen]
    return pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)


def _name_png(name: str) -> str:
    return name if name.lower().endswith(".png") else f"{name}.png"
