"""Figures say what the check-ins say, also where there is little or nothing to say."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from scones.model.calibration import measure_calibration_error
from scones.report import figures
from scones.report.checkins import CheckIn, count_outcomes, select_uncertain, select_wrong
from scones.report.confusion import EXAMPLES, count_cells
from scones.report.reliability import list_bins
from synthetic import CLASSES, START, make_checkins


def checkin(outcome: str, *probabilities: float, truth: int | None = None) -> CheckIn:
    return CheckIn("key", "arn", outcome, START, 0.2, {"classifyImage": 0.1}, probabilities, truth=truth)


def test_outcomes_count_every_checkin_once() -> None:
    found = [checkin("ROUTED"), checkin("EndpointUnavailable"), checkin("ROUTED"), checkin("InvalidImage")]
    assert count_outcomes(found) == {
        "ROUTED": 2,
        "LowConfidence": 0,
        "InvalidImage": 1,
        "EndpointUnavailable": 1,
    }
    rows = figures.draw_outcomes(found).rows
    assert [row["share"] for row in rows] == [0.5, 0, 0.25, 0.25]


def test_confidence_over_time_names_what_is_under_the_threshold_and_wrong() -> None:
    found = [checkin("ROUTED", 0.95, 0.05, truth=1), checkin("LowConfidence", 0.4, 0.6, truth=1)]
    figure = figures.draw_confidence_over_time(found, CLASSES, 0.93)
    assert "1 lie under the threshold of 0.93; 1 are wrong" in figure.summary
    assert [trace["name"] for trace in figure.traces] == ["LowConfidence", "wrong"]
    assert figure.traces[1]["y"] == [0.95]


def test_the_histogram_holds_every_inference() -> None:
    found = make_checkins()
    assert sum(row["count"] for row in figures.draw_confidence_histogram(found, CLASSES, 0.93).rows) == len(
        found
    )


def test_the_confusion_matrix_is_by_truth_then_prediction() -> None:
    found = [checkin("ROUTED", 0.9, 0.1, truth=1)] * 3 + [checkin("ROUTED", 0.9, 0.1, truth=0)]
    cells = count_cells([*found, checkin("InvalidImage", truth=0), checkin("ROUTED", 0.9, 0.1)], CLASSES)
    assert [[cell.count for cell in row] for row in cells] == [[1, 0], [3, 0]]
    assert [[cell.share for cell in row] for row in cells] == [[1, 0], [1, 0]]
    assert [(cell.truth, cell.predicted, cell.right) for cell in cells[1]] == [
        ("motorcycle", "bicycle", False),
        ("motorcycle", "motorcycle", True),
    ]


def test_a_cell_shows_the_most_confident_mistakes_and_the_least_certain_right_ones() -> None:
    found = [checkin("ROUTED", p, 1 - p, truth=truth) for truth in (0, 1) for p in (0.6, 0.99, 0.8) * 10]
    (right, _), (wrong, _) = count_cells(found, CLASSES)
    assert {example.confidence for example in right.examples} == {0.6}
    assert {example.confidence for example in wrong.examples} == {0.99}
    assert len(right.examples) == len(wrong.examples) == EXAMPLES // 4
    many = [[checkin("ROUTED", *([0.1] * 10), truth=truth)] * 5 for truth in range(10)]
    cells = count_cells([one for some in many for one in some], [str(n) for n in range(10)])
    assert sum(len(cell.examples) for row in cells for cell in row) == 10


def test_latency_is_in_milliseconds() -> None:
    rows = {row["state"]: row for row in figures.draw_latency([checkin("ROUTED")] * 5).rows}
    assert rows["classifyImage"]["p50_ms"] == 100
    assert rows["whole execution"]["p99_ms"] == 200


def test_instances_step() -> None:
    figure = figures.draw_instances([(START, 1), (datetime(2026, 3, 1, 9, 5, tzinfo=UTC), 3)])
    assert [row["instances"] for row in figure.rows] == [1, 3]
    assert "At most 3 instances" in figure.summary


@pytest.mark.parametrize("found", [[], [checkin("InvalidImage")], [checkin("ROUTED", 0.99, 0.01)]])
def test_nothing_to_show_is_shown_as_nothing(found: list[CheckIn]) -> None:
    drawn = [
        figures.draw_confidence_over_time(found, CLASSES, 0.93),
        figures.draw_confidence_histogram(found, CLASSES, 0.93),
        figures.draw_outcomes(found),
        figures.draw_reliability(found),
        figures.draw_coverage(found, 0.93),
        figures.draw_latency(found),
        figures.draw_instances([]),
    ]
    for figure in drawn:
        json.dumps([figure.traces, figure.layout, figure.rows], allow_nan=False)


def test_the_most_confident_mistake_and_the_least_certain_come_first() -> None:
    found = [
        checkin("a", 0.8, 0.2, truth=1),
        checkin("b", 0.99, 0.01, truth=1),
        checkin("c", 0.6, 0.4, truth=0),
    ]
    assert [entry.outcome for entry in select_wrong(found)] == ["b", "a"]
    assert [entry.outcome for entry in select_uncertain(found, 2)] == ["c", "a"]


def test_the_bins_are_those_of_the_calibration_error() -> None:
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.35, 0.65]])
    labels = np.array([0, 1, 1, 1])
    bins = list_bins(probabilities, labels)
    assert [(entry.pictures, entry.accuracy) for entry in bins] == [(2, 1.0), (2, 0.5)]
    error = sum(entry.pictures * abs(entry.confidence - entry.accuracy) for entry in bins) / 4
    assert error == pytest.approx(measure_calibration_error(probabilities, labels))
