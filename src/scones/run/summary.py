"""The one object that says how a run went: `scones run --json` prints it, the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scones.data.dataset import Dataset
from scones.report.checkins import INVALID_IMAGE, LOW_CONFIDENCE, ROUTED, CheckIn, count_outcomes

_MODEL = ("test_accuracy", "ci95", "ece", "coverage", "selective_accuracy", "threshold", "train_seconds")
CLASSIFY = "ClassifyImage"  # the state in which the endpoint is asked


def summarize(
    dataset: Dataset,
    measures: Mapping[str, Any],
    gate: Mapping[str, Any],
    endpoint: str,
    rows: Sequence[CheckIn],
    report: str,
) -> dict[str, Any]:
    """The summary; latencies are in milliseconds, the endpoint's as the classifying state sees it."""
    outcomes = count_outcomes(rows)
    routed, low, invalid = (outcomes[name] for name in (ROUTED, LOW_CONFIDENCE, INVALID_IMAGE))
    counts = {split: sum(names.values()) for split, names in dataset.counts().items()}
    asked = [row.states[CLASSIFY] for row in rows if CLASSIFY in row.states]
    return {
        "data": {"source": dataset.source.get("kind", "unknown"), **counts},
        "model": {name: measures[name] for name in _MODEL},
        "endpoint": {"name": endpoint, **_measure_percentiles(asked)},
        "workflow": {
            "executions": len(rows),
            "routed": routed,
            "low_confidence": low,
            "invalid": invalid,
            "failed": len(rows) - routed - low - invalid,
            **_measure_percentiles([row.seconds for row in rows]),
        },
        "captured_records": sum(row.capture is not None for row in rows),
        "report": report,
        "gate": dict(gate),
    }


def _measure_percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return {"p50_ms": None, "p95_ms": None}
    half, most = np.percentile(seconds, (50, 95)) * 1000
    return {"p50_ms": round(float(half), 2), "p95_ms": round(float(most), 2)}
