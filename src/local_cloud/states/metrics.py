"""Executions counted in CloudWatch, for alarms and dashboards; ministack counts none.

Source: AWS Step Functions developer guide, "CloudWatch metrics": namespace AWS/States, by StateMachineArn.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

COUNTS = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def close(engine: Any) -> None:
    """Count where ministack tells EventBridge that an execution has changed."""
    engine._emit_execution_status_event = _counted(engine._emit_execution_status_event)


def _counted(tell: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    def tell_and_count(execution: dict[str, Any]) -> None:
        tell(execution)
        _put(execution, COUNTS[execution["status"]], 1, "Count")
        if execution.get("stopDate"):
            start, stop = (datetime.fromisoformat(execution[name]) for name in ("startDate", "stopDate"))
            _put(execution, "ExecutionTime", (stop - start).total_seconds() * 1000, "Milliseconds")

    return tell_and_count


def _put(execution: dict[str, Any], metric: str, value: float, unit: str) -> None:
    from ministack.services import cloudwatch

    dimensions = {"StateMachineArn": execution["stateMachineArn"]}
    cloudwatch.record_metric("AWS/States", metric, value, unit, dimensions)
