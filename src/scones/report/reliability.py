"""The bins of a reliability diagram, the same ones that the calibration error is computed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scones.model.calibration import BINS


@dataclass(frozen=True)
class Bin:
    """Pictures whose top probability lies in [low, high)."""

    low: float
    high: float
    pictures: int
    confidence: float
    accuracy: float


def list_bins(probabilities: NDArray[Any], labels: NDArray[Any]) -> list[Bin]:
    """The bins that are not empty, for `probabilities` (n, classes) of pictures with `labels` (n,)."""
    if not len(labels):
        return []
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        Bin(
            i / BINS,
            (i + 1) / BINS,
            int(held.sum()),
            float(confidence[held].mean()),
            float(right[held].mean()),
        )
        for i in range(BINS)
        if (held := place == i).any()
    ]
