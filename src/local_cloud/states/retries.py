"""Which errors a retrier or catcher matches, and how long a retrier waits.

Source: AWS Step Functions developer guide, "Error handling": States.ALL matches neither
States.DataLimitExceeded nor States.Runtime, and nothing retries or catches States.Runtime;
`MaxDelaySeconds` caps the interval; `JitterStrategy` FULL draws it uniformly from 0 to the computed delay.
"""

from __future__ import annotations

import random
from typing import Any


def close(engine: Any) -> None:
    """Replace the matching and the delays of ministack's engine."""
    find, matches = engine._find_matching_retrier, engine._error_matches

    def error_matches(names: list[str], error: str) -> bool:
        if error == "States.Runtime":
            return False
        if error == "States.DataLimitExceeded":
            return error in names or "States.TaskFailed" in names
        return bool(matches(names, error))

    def find_matching_retrier(retriers: list[dict[str, Any]], error: str, counts: dict[int, int]) -> Any:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return retrier, index
        # The engine computes interval * rate ** count: hand it the finished delay, and a rate of 1.
        return {
            **retrier,
            "IntervalSeconds": delay_of(retrier, counts.get(index, 0)),
            "BackoffRate": 1.0,
        }, index

    engine._error_matches, engine._find_matching_retrier = error_matches, find_matching_retrier


def delay_of(retrier: dict[str, Any], count: int) -> float:
    """Seconds to wait before retry number `count` (from 0) of `retrier`."""
    delay = float(retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** count)
    delay = min(delay, retrier.get("MaxDelaySeconds", delay))
    return random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
