"""Counters of the serving program in Prometheus's text format.

prometheus.io/docs/instrumenting/exposition_formats

Everything is changed on the event loop's thread only, so nothing here needs a lock.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

# Upper bounds in seconds; an image takes a few milliseconds, a full queue a second or more.
BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, float("inf"))


@dataclass
class ServingMetrics:
    """What has been served since the start."""

    responses: Counter[int] = field(default_factory=Counter)  # by HTTP status
    buckets: Counter[float] = field(default_factory=Counter)  # by upper bound, not cumulated
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))  # by phase

    def count_response(self, status: int, seconds: float) -> None:
        """Note one answer of /invocations."""
        self.responses[status] += 1
        self.buckets[next(bound for bound in BUCKETS if seconds <= bound)] += 1
        self.seconds["total"] += seconds

    def add_phases(self, waited: float, decoded: float, inferred: float) -> None:
        """Note where the seconds of one answer went."""
        self.seconds["wait"] += waited
        self.seconds["decode"] += decoded
        self.seconds["infer"] += inferred

    def render(self, in_flight: int) -> str:
        """The page that /metrics shows."""
        lines = ["# TYPE scones_responses_total counter"]
        lines += [f'scones_responses_total{{status="{k}"}} {v}' for k, v in sorted(self.responses.items())]
        lines += ["# TYPE scones_request_seconds histogram"]
        total = 0
        for bound in BUCKETS:
            total += self.buckets[bound]
            label = "+Inf" if bound == float("inf") else bound
            lines.append(f'scones_request_seconds_bucket{{le="{label}"}} {total}')
        lines += [f"scones_request_seconds_sum {self.seconds['total']:.6f}"]
        lines += [f"scones_request_seconds_count {total}", "# TYPE scones_phase_seconds_total counter"]
        for phase in ("wait", "decode", "infer"):
            lines.append(f'scones_phase_seconds_total{{phase="{phase}"}} {self.seconds[phase]:.6f}')
        return "\n".join([*lines, "# TYPE scones_in_flight gauge", f"scones_in_flight {in_flight}", ""])
