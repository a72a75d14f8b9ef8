"""The built-in source: two-wheelers drawn by code, named as what they are."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from scones.data.collection import Collection, Progress, find_classes

CLASSES = ("bicycle", "motorcycle")
TRAIN, TEST = 500, 100  # of each class, as in CIFAR-100
SEEDS = 1_000_000  # room for the pictures of one dataset seed
NOTE = "Drawn by code: not photographs, and no measure of how well a model does on real ones."


def draw_sample(classes: Sequence[str], seed: int, size: int, note: str, progress: Progress) -> Collection:
    """500 training and 100 test pictures of each class, `size` pixels a side, all drawn from different seeds.

    A bicycle and a motorcycle of one seed share a scene, so that nothing but the vehicle tells the classes
    apart. Raises UsageError for other classes than bicycle and motorcycle.
    """
    find_classes(classes, CLASSES)
    numbers = [(label, number) for number in range(TRAIN + TEST) for label in range(len(classes))]
    wanted = [(classes[label], seed * SEEDS + number, size) for label, number in numbers]
    files: list[bytes] = []
    # Spawned, not forked: forking a process that has threads is unsafe.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for file in pool.map(draw_file, wanted, chunksize=25):
            files.append(file)
            progress("Drawing the sample", len(files), len(wanted))
    return Collection(
        source={"kind": "sample", "name": "two-wheelers drawn by code", "note": f"{note} {NOTE}".strip()},
        classes=tuple(classes),
        names=[f"drawn_{classes[label]}_{number:06d}.png" for label, number in numbers],
        labels=np.array([label for label, _ in numbers], dtype=np.int64),
        splits=["train" if number < TRAIN else "test" for _, number in numbers],
        sizes=[(size, size)] * len(numbers),
        thumbnails=[],
        read=lambda start, stop: files[start:stop],
    )


def draw_file(wanted: tuple[str, int, int]) -> bytes:
    """PNG bytes of the picture (class name, seed, side in pixels)."""
    from scones.data.drawing import draw_image

    buffer = io.BytesIO()
    draw_image(*wanted).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
