"""What tests work on: a folder of drawn photos; check-ins made up by a seeded model of a classifier."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scones.data.drawing import draw_image
from scones.model.evaluation import evaluate_answers
from scones.report.checkins import LOW_CONFIDENCE, ROUTED, CheckIn
from scones.report.page import Run

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CLASSES = ("bicycle", "motorcycle")
STATES = ("serializeImageData", "classifyImage", "filterInferences", "assignOrder")


def draw_photos(folder: Path, count: int, side: int) -> Path:
    """`count` drawn pictures of each class, `side` pixels wide and high, one sub-folder a class."""
    for name in CLASSES:
        (folder / name).mkdir()
        for seed in range(count):
            draw_image(name, seed, side).save(folder / name / f"{name}_{seed:02}.png")
    return folder


def make_checkins(count: int = 200, accuracy: float = 0.98, seed: int = 0) -> list[CheckIn]:
    generator = np.random.default_rng(seed)
    return [_make_checkin(index, generator, accuracy) for index in range(count)]


def _make_checkin(index: int, generator: np.random.Generator, accuracy: float) -> CheckIn:
    truth = index % 2
    right = generator.random() < accuracy
    confidence = (
        float(1 - generator.exponential(0.01 if right else 0.2))
        if right
        else float(generator.uniform(0.5, 0.97))
    )
    confidence = min(max(confidence, 0.5001), 0.9999)
    predicted = truth if right else 1 - truth
    probabilities = (confidence, 1 - confidence) if predicted == 0 else (1 - confidence, confidence)
    routed = confidence >= 0.93
    buffer = io.BytesIO()
    Image.fromarray(generator.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(buffer, "PNG")
    states = {name: float(generator.gamma(4, 0.004)) for name in STATES[: 4 if routed else 3]}
    return CheckIn(
        key=f"incoming/driver-{index}/image_{index:04}.png",
        execution=f"arn:aws:states:us-east-1:123456789012:execution:route-delivery:{index}",
        outcome=ROUTED if routed else LOW_CONFIDENCE,
        started=START + timedelta(seconds=0.4 * index),
        seconds=sum(states.values()) + 0.15,
        states=states,
        probabilities=probabilities,
        ood=float(generator.random() * 0.4),
        truth=truth,
        capture=f"s3://bucket/capture/{index}.jsonl:1",
        event_id=f"event-{index}",
        image=buffer.getvalue(),
    )


def make_run(accuracy: float = 0.98, count: int = 200) -> Run:
    checkins = make_checkins(count, accuracy)
    return Run(
        make_summary(checkins), [("data", "synthetic"), ("model", "seed 0")], CLASSES, checkins, [(START, 1)]
    )


def make_summary(checkins: list[CheckIn]) -> dict[str, Any]:
    measures = evaluate_answers(
        np.array([checkin.probabilities for checkin in checkins]),
        np.array([checkin.truth for checkin in checkins]),
        CLASSES,
        0.93,
        np.zeros(len(checkins), dtype=bool),
    )
    names = ("test_accuracy", "ci95", "ece", "coverage", "selective_accuracy", "threshold")
    routed = sum(checkin.outcome == ROUTED for checkin in checkins)
    share = measures["test_accuracy"]
    return {
        "data": {"source": "synthetic", "train": 900, "validation": 100, "test": len(checkins)},
        "model": {**{name: measures[name] for name in names}, "train_seconds": 100.0},
        "endpoint": {
            "name": "scones",
            "p50_ms": 4.0,
            "p95_ms": 9.0,
            "overhead_p50_ms": 0.8,
            "overhead_p95_ms": 1.4,
        },
        "workflow": {
            "executions": len(checkins),
            "routed": routed,
            "low_confidence": len(checkins) - routed,
            "invalid": 0,
            "failed": 0,
            "p50_ms": 210.0,
            "p95_ms": 260.0,
        },
        "captured_records": len(checkins),
        "report": "report.html",
        "gate": {
            "passed": share >= 0.95,
            "least_accuracy": 0.95,
            "reason": f"Accuracy on the test images is {share:.1%}; at least 95.0% is asked for.",
        },
    }
