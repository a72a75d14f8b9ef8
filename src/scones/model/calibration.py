"""Makes probabilities mean what they say, and measures whether they do. NumPy only.

Temperature scaling: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.integer[Any]]

BINS = 15
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.2, 5.0
COVERAGE_THRESHOLDS = tuple(round(0.5 + 0.01 * step, 2) for step in range(50))


@dataclass(frozen=True)
class Coverage:
    """What routing at `threshold` does: the share answered, and the accuracy among those (1 if none)."""

    threshold: float
    coverage: float
    accuracy: float


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def fit_temperature(logits: Floats, labels: Labels, prior: float = 1.0, prior_strength: float = 0.0) -> float:
    """The temperature that minimises the negative log-likelihood of held-out labels.

    `logits` is (n, classes), `labels` (n,). `prior` is the temperature that cross-validation found for the
    recipe; moving the logarithm of the temperature away from it by d costs `prior_strength` * d² nats: a
    validation split of a hundred pictures holds two or three errors, too few to go by alone. With no pictures
    the prior is returned. The search is over 400 temperatures, evenly spaced in the logarithm.
    """
    if not len(labels):
        return prior
    candidates = np.geomspace(LEAST_TEMPERATURE, MOST_TEMPERATURE, 400)
    losses = [_log_loss(logits / candidate, labels) * len(labels) for candidate in candidates]
    penalty = prior_strength * np.log(candidates / prior) ** 2
    return float(candidates[np.argmin(np.asarray(losses) + penalty)])


def _log_loss(logits: Floats, labels: Labels) -> float:
    chosen = softmax(logits)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())


def measure_calibration_error(probabilities: Floats, labels: Labels, bins: int = BINS) -> float:
    """Expected calibration error of the top probability, `bins` bins of equal width; 0 when there is
    nothing."""
    if not len(labels):
        return 0.0
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(confidence[place == b].sum() - right[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(labels))


def measure_coverage(probabilities: Floats, labels: Labels, threshold: float) -> Coverage:
    """Coverage and accuracy among the pictures whose top probability is at least `threshold`."""
    kept = probabilities.max(axis=1) >= threshold
    right = (probabilities.argmax(axis=1) == labels)[kept]
    return Coverage(
        threshold, float(kept.mean()) if len(kept) else 0.0, float(right.mean()) if kept.any() else 1.0
    )


def trace_coverage(
    probabilities: Floats, labels: Labels, thresholds: Sequence[float] = COVERAGE_THRESHOLDS
) -> list[dict[str, float]]:
    """The coverage/accuracy curve, one entry for each threshold."""
    return [asdict(measure_coverage(probabilities, labels, threshold)) for threshold in thresholds]


def find_threshold(probabilities: Floats, labels: Labels, accuracy: float) -> float | None:
    """The least threshold at which, and above which, the covered pictures reach `accuracy`; None if none
    does."""
    found = None
    for threshold in reversed(COVERAGE_THRESHOLDS):
        measured = measure_coverage(probabilities, labels, threshold)
        if measured.accuracy < accuracy:
            break
        found = threshold
    return found
