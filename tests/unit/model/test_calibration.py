"""Temperature, calibration error and coverage against cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scones.model.calibration import (
    find_threshold,
    fit_temperature,
    measure_calibration_error,
    measure_coverage,
    softmax,
    trace_coverage,
)  # fmt: skip

SURE = np.array([[0.99, 0.01], [0.95, 0.05], [0.40, 0.60], [0.90, 0.10]])
LABELS = np.array([0, 0, 1, 1])


@pytest.mark.parametrize("true", [0.5, 1.0, 2.0])
def test_the_temperature_that_made_the_labels_is_found(true: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (20_000, 3))
    drawn = random.random((20_000, 1))
    labels = (softmax(logits / true).cumsum(axis=1) < drawn).sum(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(true, rel=0.05)


def test_few_pictures_hardly_move_the_prior() -> None:
    right, wrong = np.array([[3.0, 0.0]]), np.array([1])
    assert fit_temperature(right, wrong, prior=0.6, prior_strength=50) == pytest.approx(0.6, rel=0.1)
    assert fit_temperature(right[:0], wrong[:0], prior=0.6) == 0.6


def test_calibration_error_by_hand() -> None:
    # One bin each for 0.99 and 0.95 (right), 0.6 (right), 0.9 (wrong), except 0.99 and 0.95 share the last.
    expected = (abs(1.94 - 2) + abs(0.6 - 1) + abs(0.9 - 0)) / 4
    assert measure_calibration_error(SURE, LABELS) == pytest.approx(expected)
    assert measure_calibration_error(SURE[:0], LABELS[:0]) == 0


def test_coverage_by_hand() -> None:
    covered = measure_coverage(SURE, LABELS, 0.9)
    assert (covered.coverage, covered.accuracy) == (0.75, pytest.approx(2 / 3))
    assert measure_coverage(SURE, LABELS, 1.0).accuracy == 1.0


def test_the_threshold_holds_from_there_on() -> None:
    assert find_threshold(SURE, LABELS, 0.99) == 0.91
    assert find_threshold(np.array([[0.999, 0.001]]), np.array([1]), 0.5) is None


def test_the_curve_never_covers_more_as_the_threshold_rises() -> None:
    covered = [point["coverage"] for point in trace_coverage(SURE, LABELS)]
    assert covered == sorted(covered, reverse=True)
