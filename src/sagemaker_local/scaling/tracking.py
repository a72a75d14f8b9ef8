"""Target tracking: from what a variant did in the last periods to how many instances it should have.

Out when the metric lay above its target in each of the last 3 periods, in when it lay below 90% of it in each
of the last 15: the alarms that AWS sets up for a policy (application-auto-scaling-target-tracking). A period
is a minute, or 10 seconds for the high-resolution metric.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from sagemaker_local.endpoints.measurement import Load

INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
CONCURRENCY = "SageMakerVariantConcurrentRequestsPerModelHighResolution"
LOW = 0.9  # of the target: between it and the target nothing is changed
DEFAULT_COOLDOWN = 300.0  # seconds, after either direction


@dataclass(frozen=True)
class Timing:
    """Periods in seconds and how many of them decide. Shorter ones make tests and demonstrations quick."""

    period_s: float = 60
    high_resolution_period_s: float = 10
    periods_out: int = 3
    periods_in: int = 15

    def get_period(self, metric: str) -> float:
        """Seconds over which a metric is averaged."""
        return self.high_resolution_period_s if metric == CONCURRENCY else self.period_s


@dataclass(frozen=True)
class Tracking:
    """What a target tracking policy wants."""

    metric: str
    target: float
    cooldown_out: float = DEFAULT_COOLDOWN
    cooldown_in: float = DEFAULT_COOLDOWN
    may_scale_in: bool = True


def read_tracking(configuration: dict[str, Any]) -> Tracking:
    """From TargetTrackingScalingPolicyConfiguration."""
    return Tracking(
        configuration["PredefinedMetricSpecification"]["PredefinedMetricType"],
        float(configuration["TargetValue"]),
        float(configuration.get("ScaleOutCooldown", DEFAULT_COOLDOWN)),
        float(configuration.get("ScaleInCooldown", DEFAULT_COOLDOWN)),
        not configuration.get("DisableScaleIn", False),
    )


@dataclass
class Series:
    """The metric's values in the last periods, per instance, made of a variant's running sums."""

    metric: str
    values: deque[float]
    _since: float | None = None
    _before: Load | None = field(default=None)

    def observe(self, load: Load, now: float, period: float) -> None:
        """Take the sums as they are at `now` (seconds); every full period gives one value."""
        if self._before is None or self._since is None or load.invocations < self._before.invocations:
            self._since, self._before = now, load
        elif (elapsed := now - self._since) >= period:
            self.values.append(_average(self.metric, self._before, load, elapsed))
            self._since, self._before = now, load


def _average(metric: str, before: Load, after: Load, elapsed: float) -> float:
    instances = max(after.instances, 1)
    if metric == CONCURRENCY:
        return (after.busy_seconds - before.busy_seconds) / elapsed / instances
    return (after.invocations - before.invocations) * 60 / elapsed / instances  # per minute


def decide(values: deque[float], tracking: Tracking, instances: int, timing: Timing) -> int:
    """How many instances these values (the newest last) call for; the present number to change nothing."""
    recent = list(values)
    last = recent[-timing.periods_out :]
    if len(last) == timing.periods_out and min(last) > tracking.target:
        return math.ceil(instances * last[-1] / tracking.target)
    last = recent[-timing.periods_in :]
    if tracking.may_scale_in and len(last) == timing.periods_in and max(last) < LOW * tracking.target:
        return max(1, math.ceil(instances * max(last) / tracking.target))
    return instances
