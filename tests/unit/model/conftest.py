"""Two drawn classes that any network tells apart: discs and stripes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scones.model.dataset import Dataset, Split
from scones.model.pixels import resize

CLASSES = ("disc", "stripes")


def draw(label: int, seed: int, side: int = 32) -> NDArray[np.uint8]:
    """One picture (side, side, 3) of a class."""
    random = np.random.default_rng(seed * 2 + label)
    y, x = np.mgrid[0:side, 0:side] / side - random.uniform(0.4, 0.6)
    mask = (
        (x**2 + y**2 < random.uniform(0.05, 0.12)) if label == 0 else np.sin(x * random.uniform(25, 40)) > 0
    )
    front, back = random.uniform(140, 255, 3), random.uniform(0, 110, 3)
    picture = np.where(mask[..., None], front, back) + random.normal(0, 6, (side, side, 3))
    return picture.clip(0, 255).astype(np.uint8)


def make_split(count: int, seed: int) -> Split:
    labels = np.arange(count) % 2
    pixels = np.stack([np.rint(resize(draw(int(label), seed + i))) for i, label in enumerate(labels)])
    files = tuple(Path(f"{i}.png") for i in range(count))
    return Split(pixels.astype(np.uint8), labels.astype(np.int64), files)


@pytest.fixture(scope="session")
def drawn() -> Dataset:
    """16 training and 8 validation pictures of two classes."""
    splits = {"train": make_split(16, 0), "validation": make_split(8, 1000)}
    return Dataset(CLASSES, splits, "sha256:drawn", {"kind": "drawn"})


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Path]:
    """Write a staged directory as `scones data stage` does; returns it."""

    def write(train: int = 16, validation: int = 8, test: int = 8) -> Path:
        folder, rows, counts = tmp_path / "staged", [], {}
        for split, count in (("train", train), ("validation", validation), ("test", test)):
            (folder / split).mkdir(parents=True)
            lines = []
            for i in range(count):
                name = f"{CLASSES[i % 2]}_{i}.png"
                Image.fromarray(draw(i % 2, hash((split, i)) % 9999)).save(folder / split / name)
                lines.append(f"{i}\t{i % 2}\t{name}")
                group = "twin" if (split, i) in (("train", 0), ("test", 0)) else f"{split}{i}"
                rows.append([split, i % 2, CLASSES[i % 2], name, "", 32, 32, group])
            (folder / f"{split}.lst").write_text("\n".join(lines) + "\n")
            counts[split] = {CLASSES[0]: (count + 1) // 2, CLASSES[1]: count // 2}
        with (folder / "images.csv").open("w", newline="") as file:
            header = ["split", "label", "class", "file", "sha256", "width", "height", "group"]
            csv.writer(file).writerows([header, *rows])
        commit = {"version": 1, "source": {"kind": "drawn"}, "digest": "sha256:drawn", "classes": CLASSES}
        (folder / "dataset.json").write_text(json.dumps({**commit, "counts": counts}))
        return folder

    return write
