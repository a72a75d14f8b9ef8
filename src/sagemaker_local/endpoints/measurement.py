"""What a variant does, counted for CloudWatch (namespace AWS/SageMaker) and for auto scaling."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

NAMESPACE = "AWS/SageMaker"
UNITS = {"ModelLatency": "Microseconds", "OverheadLatency": "Microseconds"}
MOST_VALUES = 150  # different ones in one datum: PutMetricData takes no more


@dataclass(frozen=True)
class Load:
    """A variant's load since it was started: auto scaling looks at differences of the sums.

    `instances` are ready now, `desired` are wanted; `invocations` were begun; `busy_seconds` is the sum over
    time of the number of invocations under way (its difference over a time, divided by the time, is the mean
    concurrency).
    """

    instances: int
    desired: int
    invocations: int
    busy_seconds: float


@dataclass
class VariantMeasurement:
    """Counts the invocations of one variant. Used on the event loop's thread only.

    `counts` says how often each metric had each value since the last publication: CloudWatch computes
    percentiles of values, never of sums.
    """

    counts: dict[str, Counter[float]] = field(default_factory=dict)
    invocations: int = 0
    _under_way: int = 0
    _busy_seconds: float = 0.0
    _changed: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """An invocation begins."""
        self.invocations += 1
        self._move(+1)
        self._add("ConcurrentRequestsPerModel", self._under_way)

    def end(self, status: int, model_seconds: float, total_seconds: float, instances: int) -> None:
        """An invocation ended: `status` is the container's, 0 when it gave none."""
        self._move(-1)
        self._add("Invocations", 1)
        self._add("InvocationsPerInstance", 1 / max(instances, 1))
        self._add("Invocation4XXErrors", int(400 <= status < 500))
        self._add("Invocation5XXErrors", int(status == 0 or status >= 500))
        self._add("InvocationModelErrors", int(not 200 <= status < 300))
        self._add("ModelLatency", _round(model_seconds * 1e6))
        self._add("OverheadLatency", _round((total_seconds - model_seconds) * 1e6))

    def read_load(self, instances: int, desired: int) -> Load:
        """The load until now."""
        self._move(0)
        return Load(instances, desired, self.invocations, self._busy_seconds)

    def take(self, dimensions: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """CloudWatch's MetricData of what was counted since the last call, for each set of dimensions."""
        taken, self.counts = self.counts, {}
        now = datetime.now(UTC)
        return [
            _format(name, part, dims, now)
            for dims in dimensions
            for name, counts in taken.items()
            for part in _divide(counts)
        ]

    def _add(self, name: str, value: float) -> None:
        self.counts.setdefault(name, Counter())[value] += 1

    def _move(self, difference: int) -> None:
        now = time.monotonic()
        self._busy_seconds += self._under_way * (now - self._changed)
        self._changed = now
        self._under_way += difference


def _round(value: float) -> float:
    """To two digits (within 5%), so that a busy endpoint has few different latencies to publish."""
    return float(f"{value:.2g}")


def _divide(counts: Counter[float]) -> list[list[tuple[float, int]]]:
    pairs = list(counts.items())
    return [pairs[start : start + MOST_VALUES] for start in range(0, len(pairs), MOST_VALUES)]


def _format(
    name: str, counts: Sequence[tuple[float, int]], dimensions: Mapping[str, str], now: datetime
) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Timestamp": now,
        "Unit": UNITS.get(name, "None"),
        "Values": [value for value, _ in counts],
        "Counts": [float(count) for _, count in counts],
    }
