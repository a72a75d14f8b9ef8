"""The one object that says how a run went: `scones run --json` prints it, the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scones.aws.metrics import Latency
from scones.data.dataset import Dataset
from scones.report.checkins import INVALID_IMAGE, LOW_CONFIDENCE, ROUTED, CheckIn, count_outcomes

MODEL = ("test_accuracy", "ci95", "ece", "coverage", "selective_accuracy", "threshold", "train_seconds")


def summarize(
    dataset: Dataset,
    measures: Mapping[str, Any],
    gate: Mapping[str, Any],
    endpoint: str,
    latency: Latency | None,
    rows: Sequence[CheckIn],
    report: str,
) -> dict[str, Any]:
    """The summary. Latencies are in milliseconds: an execution's from start to end; the endpoint's own
    (ModelLatency, and OverheadLatency apart, because percentiles do not add up), null while CloudWatch has
    none."""
    outcomes = count_outcomes(rows)
    routed, low, invalid = (outcomes[name] for name in (ROUTED, LOW_CONFIDENCE, INVALID_IMAGE))
    return {
        "data": {"source": dataset.source.get("kind", "unknown"), **dataset.totals()},
        "model": {name: measures[name] for name in MODEL},
        "endpoint": {"name": endpoint, **_describe_latency(latency)},
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


def _describe_latency(latency: Latency | None) -> dict[str, float | None]:
    names = {
        "p50_ms": "model_p50",
        "p95_ms": "model_p95",
        "overhead_p50_ms": "overhead_p50",
        "overhead_p95_ms": "overhead_p95",
    }
    return {
        name: None if latency is None else round(getattr(latency, field), 2) for name, field in names.items()
    }


def _measure_percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return {"p50_ms": None, "p95_ms": None}
    half, most = np.percentile(seconds, (50, 95)) * 1000
    return {"p50_ms": round(float(half), 2), "p95_ms": round(float(most), 2)}
