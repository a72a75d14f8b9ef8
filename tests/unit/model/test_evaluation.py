"""Measures of a model's answers against cases worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scones.model.evaluation import (
    count_confusion,
    draw_mistakes,
    estimate_interval,
    evaluate_answers,
    list_mistakes,
)  # fmt: skip
from scones.model.novelty import dump_reference, fit_reference, load_reference, measure_distance, score

CLASSES = ("bicycle", "motorcycle")
ANSWERS = np.array([[0.99, 0.01], [0.10, 0.90], [0.96, 0.04], [0.20, 0.80]])
LABELS = np.array([0, 0, 1, 1])


def test_the_interval_is_wilsons() -> None:
    low, high = estimate_interval(195, 200)  # 0.975: published value of the Wilson score interval
    assert (low, high) == (pytest.approx(0.9428, abs=5e-4), pytest.approx(0.9893, abs=5e-4))
    assert estimate_interval(0, 0) == (0.0, 1.0)


def test_a_report_by_hand() -> None:
    report = evaluate_answers(ANSWERS, LABELS, CLASSES, 0.93, np.array([True, False, False, False]))
    assert report["test_accuracy"] == 0.5
    assert report["confusion"] == [[1, 1], [1, 1]]
    assert (report["coverage"], report["selective_accuracy"]) == (0.5, 0.5)
    assert report["per_class"]["bicycle"] == {"precision": 0.5, "recall": 0.5, "pictures": 2}
    assert (report["twins"], report["test_accuracy_without_twins"]) == (1, pytest.approx(1 / 3))


def test_rows_are_the_truth_and_columns_the_answer() -> None:
    assert count_confusion(np.array([1, 1]), np.array([0, 1]), 2).tolist() == [[0, 1], [0, 1]]


def test_the_worst_mistakes_come_first_and_are_drawn() -> None:
    files = [Path(f"{i}.png") for i in range(4)]
    mistakes = list_mistakes(ANSWERS, LABELS, files, CLASSES)
    assert [(m["file"], m["predicted"]) for m in mistakes] == [("2.png", "bicycle"), ("1.png", "motorcycle")]
    pictures = np.zeros((4, 160, 160, 3), np.uint8)
    assert draw_mistakes(mistakes, pictures).getextrema()[0] == (0, 255)
    assert draw_mistakes([], pictures).width > 0


def test_unlike_embeddings_score_high_and_like_ones_low() -> None:
    random = np.random.default_rng(0)
    known = random.normal(0, 1, (200, 1280)) @ np.diag(np.r_[np.full(20, 5.0), np.full(1260, 0.05)]) + 3
    reference = load_reference(dump_reference(fit_reference(known[:150], np.arange(150) % 2)))
    limit = float(np.quantile(measure_distance(reference, known[150:]), 0.98))
    like = score(measure_distance(reference, known[150:]), limit)
    unlike = score(measure_distance(reference, random.normal(0, 1, (50, 1280))), limit)
    assert (like <= 0.5).mean() >= 0.95
    assert (unlike > 0.5).all()
    assert ((like >= 0) & (like <= 1)).all()
