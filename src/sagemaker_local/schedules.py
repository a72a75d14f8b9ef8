"""When a monitoring schedule is due: SageMaker's own dialect of cron (model-monitor-scheduling.md)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sagemaker_local.errors import reject

_CRON = re.compile(r"^cron\(0 (?P<hours>\*|\[?\d{2}-\d{2}\]?|\d{1,2}|\d{1,2}/\d{1,2}) \? \* \* \*\)$")
_DURATION = re.compile(r"^(-)?P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?$")


def read_hours(expression: str) -> list[int]:
    """The hours of the day (UTC) at which a schedule starts. Raises ApiError for other expressions.

    `cron(0 * ? * * *)` hourly, `cron(0 17 ? * * *)` daily at 17, `cron(0 17/2 ? * * *)` each second hour that
    meets 17. NOW has no hours.
    """
    match = _CRON.match(expression)
    hours = match["hours"] if match else ""
    if hours == "*":
        return list(range(24))
    first, _, step = hours.partition("/")
    if not first.isdigit() or int(first) > 23 or (step and not 1 <= int(step) <= 24):
        raise reject(
            f"ScheduleExpression {expression} must be NOW, cron(0 * ? * * *), cron(0 [00-23] ? * * *) or "
            "cron(0 [00-23]/[01-24] ? * * *)."
        )
    return [hour for hour in range(24) if (hour - int(first)) % int(step or 24) == 0]


def next_time(hours: list[int], after: datetime) -> datetime:
    """The first full hour later than `after` that is one of `hours`."""
    moment = after.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    while moment.hour not in hours:
        moment += timedelta(hours=1)
    return moment


def previous_time(hours: list[int], before: datetime) -> datetime:
    """The last full hour earlier than the full hour `before` that is one of `hours`."""
    moment = before - timedelta(hours=1)
    while moment.hour not in hours:
        moment -= timedelta(hours=1)
    return moment


def read_duration(text: str) -> timedelta:
    """`-PT1H` or `P1DT30M` as ISO 8601 writes them. Raises ApiError."""
    match = _DURATION.match(text)
    if match is None or text.endswith(("P", "T")):
        raise reject(f"{text} must be an ISO 8601 duration such as -PT1H.")
    days, hours, minutes = (int(number or 0) for number in match.groups()[1:])
    length = timedelta(days=days, hours=hours, minutes=minutes)
    return -length if match[1] else length


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
