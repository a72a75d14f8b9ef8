"""What an invocation leaves behind: lines in CloudWatch Logs, numbers in CloudWatch.

Both are written through the functions behind ministack's API, in the account and region of the current scope.
"""

from __future__ import annotations

import time

from local_cloud.lambdas.functions import Function


def write_log(group: str, stream: str, lines: list[str]) -> None:
    """Append lines to a log stream, which is created with its group if need be."""
    from ministack.services import cloudwatch_logs as logs

    now = int(time.time() * 1000)
    where = {"logGroupName": group, "logStreamName": stream}
    events = {**where, "logEvents": [{"timestamp": now, "message": f"{line}\n"} for line in lines]}
    if logs._put_log_events(events)[0] != 200:
        logs._create_log_group({"logGroupName": group})
        logs._create_log_stream(where)
        logs._put_log_events(events)


def count_invocation(function: Function, duration: float, is_error: bool) -> None:
    """Invocations, Errors, Throttles and Duration (in ms) of namespace AWS/Lambda."""
    _put(function, "Invocations", 1, "Count")
    _put(function, "Errors", int(is_error), "Count")
    _put(function, "Throttles", 0, "Count")
    _put(function, "Duration", duration, "Milliseconds")


def count_throttle(function: Function) -> None:
    """A throttled request is no invocation."""
    _put(function, "Throttles", 1, "Count")


def _put(function: Function, metric: str, value: float, unit: str) -> None:
    from ministack.services import cloudwatch

    cloudwatch.record_metric("AWS/Lambda", metric, value, unit, {"FunctionName": function.name})
