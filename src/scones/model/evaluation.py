"""How good a model's answers are. NumPy and Pillow only; whoever calls brings the probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from scones.model.calibration import measure_calibration_error, measure_coverage

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

Z95 = 1.959964
TILE, CAPTION, COLUMNS = 128, 30, 6  # of the contact sheet, pixels and tiles


def estimate_interval(right: int, count: int) -> tuple[float, float]:
    """The 95% interval of a share, `right` of `count` (E. B. Wilson, 1927); (0, 1) for a count of 0."""
    if not count:
        return 0.0, 1.0
    share, spread = right / count, Z95**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def evaluate_answers(
    probabilities: Floats, labels: Labels, classes: Sequence[str], threshold: float, twins: NDArray[np.bool_]
) -> dict[str, Any]:
    """One report on `probabilities` (n, classes) for pictures with `labels` (n,).

    `twins` (n,) marks pictures with a near-duplicate in training: accuracy is given with and without them.
    """
    right = probabilities.argmax(axis=1) == labels
    covered = measure_coverage(probabilities, labels, threshold)
    apart = ~twins
    return {
        "pictures": len(labels),
        "test_accuracy": float(right.mean()),
        "ci95": list(estimate_interval(int(right.sum()), len(labels))),
        "ece": measure_calibration_error(probabilities, labels),
        "threshold": threshold,
        "coverage": covered.coverage,
        "selective_accuracy": covered.accuracy,
        "per_class": _rate_classes(probabilities.argmax(axis=1), labels, classes),
        "confusion": count_confusion(probabilities.argmax(axis=1), labels, len(classes)).tolist(),
        "twins": int(twins.sum()),
        "test_accuracy_without_twins": float(right[apart].mean()) if apart.any() else None,
        "ci95_without_twins": list(estimate_interval(int(right[apart].sum()), int(apart.sum()))),
    }


def count_confusion(predicted: Labels, labels: Labels, classes: int) -> NDArray[np.int64]:
    """Rows: the true class; columns: the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def _rate_classes(predicted: Labels, labels: Labels, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    table = count_confusion(predicted, labels, len(classes))
    return {
        name: {
            "precision": float(table[i, i] / max(1, table[:, i].sum())),
            "recall": float(table[i, i] / max(1, table[i].sum())),
            "pictures": int(table[i].sum()),
        }
        for i, name in enumerate(classes)
    }


def list_mistakes(
    probabilities: Floats, labels: Labels, files: Sequence[Path], classes: Sequence[str], most: int = 24
) -> list[dict[str, Any]]:
    """Wrongly answered pictures, the most confident first."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:most]
    return [
        {
            "file": files[i].name,
            "label": classes[labels[i]],
            "predicted": classes[predicted[i]],
            "confidence": float(probabilities[i].max()),
            "position": int(i),
        }
        for i in wrong.tolist()
    ]


def draw_mistakes(mistakes: Sequence[dict[str, Any]], pixels: NDArray[np.uint8]) -> Image.Image:
    """A contact sheet of `list_mistakes`' pictures; `pixels` (n, h, w, 3) are indexed by their positions."""
    rows = max(1, -(-len(mistakes) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * (TILE + 8) + 8, rows * (TILE + CAPTION + 8) + 8), "white")
    pen = ImageDraw.Draw(sheet)
    for place, mistake in enumerate(mistakes):
        x, y = 8 + place % COLUMNS * (TILE + 8), 8 + place // COLUMNS * (TILE + CAPTION + 8)
        tile = Image.fromarray(pixels[mistake["position"]]).resize((TILE, TILE), Image.Resampling.BICUBIC)
        sheet.paste(tile, (x, y))
        pen.text((x, y + TILE + 2), mistake["file"][:22], fill="black")
        pen.text(
            (x, y + TILE + 14), f"{mistake['predicted'][:12]} {mistake['confidence']:.2f}", fill="firebrick"
        )
    if not mistakes:
        pen.text((8, 8), "No mistakes.", fill="black")
    return sheet
