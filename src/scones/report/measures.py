"""The numbers of an evaluation, computed in one place so that every page and command says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 10


def count_confusion(truth: Sequence[Any], predicted: Sequence[Any], classes: int) -> NDArray[np.int64]:
    """Matrix (classes x classes) of counts, truth by row, prediction by column."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(truth, dtype=int), np.asarray(predicted, dtype=int)), 1)
    return matrix


def list_reliability(
    confidence: Sequence[float], correct: Sequence[bool]
) -> list[tuple[float, float, int, float, float]]:
    """(from, to, images, mean confidence, accuracy) of each of ten equal bins that is not empty."""
    values, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    index = np.minimum((values * BINS).astype(int), BINS - 1)
    return [
        (i / BINS, (i + 1) / BINS, int(held.sum()), float(values[held].mean()), float(right[held].mean()))
        for i in range(BINS)
        if (held := index == i).any()
    ]


def measure_calibration_error(confidence: Sequence[float], correct: Sequence[bool]) -> float:
    """Expected calibration error over ten equal bins (Guo et al., 2017, https://arxiv.org/abs/1706.04599)."""
    bins = list_reliability(confidence, correct)
    return sum(images * abs(mean - accuracy) for _, _, images, mean, accuracy in bins) / max(
        len(confidence), 1
    )


def sweep_threshold(
    confidence: Sequence[float], correct: Sequence[bool]
) -> list[tuple[float, float, float | None]]:
    """(threshold, coverage, accuracy of the covered or None) at 0.50, 0.51, …, 0.99, 0.995, 0.999."""
    values, right = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=float)
    steps = [*(i / 100 for i in range(50, 100)), 0.995, 0.999]
    rows: list[tuple[float, float, float | None]] = []
    for step in steps:
        held = values >= step
        coverage = float(held.mean()) if len(values) else 0.0
        rows.append((step, coverage, float(right[held].mean()) if held.any() else None))
    return rows


def bound_share(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share (Wilson, 1927, https://doi.org/10.1080/01621459.1927.10502953)."""
    if total == 0:
        return 0.0, 1.0
    z, share = 1.959964, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * np.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
