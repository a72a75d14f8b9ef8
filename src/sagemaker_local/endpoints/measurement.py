"""What a variant does, counted for CloudWatch (namespace AWS/SageMaker) and for auto scaling."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

NAMESPACE = "AWS/SageMaker"
UNITS = {"ModelLatency": "Microseconds", "OverheadLatency": "Microseconds"}


@dataclass
class Statistic:
    """Sum, smallest, largest and number of values since the last publication."""

    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def add(self, value: float) -> None:
        self.least = min(self.least, value) if self.count else value
        self.most = max(self.most, value) if self.count else value
        self.count += 1
        self.total += value


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
    """Counts the invocations of one variant. Used on the event loop's thread only."""

    statistics: dict[str, Statistic] = field(default_factory=dict)
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
        self._add("ModelLatency", model_seconds * 1e6)
        self._add("OverheadLatency", (total_seconds - model_seconds) * 1e6)

    def read_load(self, instances: int, desired: int) -> Load:
        """The load until now."""
        self._move(0)
        return Load(instances, desired, self.invocations, self._busy_seconds)

    def take(self, dimensions: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """CloudWatch's MetricData of what was counted since the last call, for each set of dimensions."""
        taken, self.statistics = self.statistics, {}
        now = datetime.now(UTC)
        return [_format(name, each, dims, now) for dims in dimensions for name, each in taken.items()]

    def _add(self, name: str, value: float) -> None:
        self.statistics.setdefault(name, Statistic()).add(value)

    def _move(self, difference: int) -> None:
        now = time.monotonic()
        self._busy_seconds += self._under_way * (now - self._changed)
        self._changed = now
        self._under_way += difference


def _format(name: str, statistic: Statistic, dimensions: Mapping[str, str], now: datetime) -> dict[str, Any]:
    return {
        "MetricName": name,
        "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        "Timestamp": now,
        "Unit": UNITS.get(name, "None"),
        "StatisticValues": {
            "SampleCount": float(statistic.count),
            "Sum": statistic.total,
            "Minimum": statistic.least,
            "Maximum": statistic.most,
        },
    }
