"""What CloudWatch knows of an endpoint: how long its answers took, and how many instances it had.

https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scones.aws.endpoints import VARIANT
from scones.aws.sessions import Cloud, translate_errors

NAMESPACE = "AWS/SageMaker"
DAY, MINUTE = 86400, 60
_CAPACITY = re.compile(r"desired instance count to (\d+)")


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds: of the container's time to answer (ModelLatency), and of what SageMaker
    adds (OverheadLatency)."""

    invocations: int
    model_p50: float
    model_p95: float
    overhead_p50: float
    overhead_p95: float


def read_latency(cloud: Cloud, endpoint: str, start: datetime, end: datetime) -> Latency | None:
    """The endpoint's latency over its invocations from `start` (whole minute) to `end`; None without any.

    Over midnight (UTC) CloudWatch gives a value for each day; then it is their mean, weighted by invocations.
    Raises CloudError.
    """
    asked = [
        (name, statistic)
        for name in ("ModelLatency", "OverheadLatency")
        for statistic in ("SampleCount", "p50", "p95")
    ]
    found = _read(cloud, endpoint, asked, DAY, start, end)
    counts = found["ModelLatency", "SampleCount"]
    if not counts:
        return None

    def average(name: str, statistic: str) -> float:
        values = found[name, statistic]
        weights = {at: counts.get(at, 0.0) for at in values}
        total = sum(weights.values())
        return sum(weights[at] * value for at, value in values.items()) / total / 1000 if total else 0.0

    return Latency(
        int(sum(counts.values())),
        average("ModelLatency", "p50"),
        average("ModelLatency", "p95"),
        average("OverheadLatency", "p50"),
        average("OverheadLatency", "p95"),
    )


def read_instances(cloud: Cloud, endpoint: str, start: datetime, end: datetime) -> list[tuple[datetime, int]]:
    """How many instances the endpoint had, in order of time: in each minute with invocations, and from each
    scaling activity on.

    SageMaker publishes no such metric, but sends 1 / (number of instances) as InvocationsPerInstance with
    each invocation. Raises CloudError.
    """
    least = _read(cloud, endpoint, [("InvocationsPerInstance", "Minimum")], MINUTE, start, end)
    served = [
        (at, round(1 / value)) for at, value in least["InvocationsPerInstance", "Minimum"].items() if value
    ]
    changed = [(at, count) for at, count in _list_changes(cloud, endpoint) if start <= at <= end]
    return sorted([*served, *changed])


def _list_changes(cloud: Cloud, endpoint: str) -> Iterator[tuple[datetime, int]]:
    scaling = cloud.client("application-autoscaling")
    with translate_errors(f"read the scaling activities of {endpoint}"):
        pages = scaling.get_paginator("describe_scaling_activities").paginate(
            ServiceNamespace="sagemaker",
            ResourceId=f"endpoint/{endpoint}/variant/{VARIANT}",
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        )
        for activity in (entry for page in pages for entry in page["ScalingActivities"]):
            if activity["StatusCode"] == "Successful" and (told := _CAPACITY.search(activity["Description"])):
                yield activity["EndTime"], int(told[1])


def _read(
    cloud: Cloud, endpoint: str, asked: list[tuple[str, str]], period: int, start: datetime, end: datetime
) -> dict[tuple[str, str], dict[datetime, float]]:
    """By metric and statistic, the values by the start of their period."""
    with translate_errors(f"read the metrics of {endpoint}"):
        pages = cloud.client("cloudwatch").get_paginator("get_metric_data").paginate(
            MetricDataQueries=[_ask(endpoint, f"q{n}", *pair, period) for n, pair in enumerate(asked)],
            StartTime=start.replace(second=0, microsecond=0),
            EndTime=end,
        )  # fmt: skip
        found: dict[tuple[str, str], dict[datetime, float]] = {pair: {} for pair in asked}
        for result in (entry for page in pages for entry in page["MetricDataResults"]):
            pair = asked[int(result["Id"].removeprefix("q"))]
            found[pair].update(zip(result["Timestamps"], result["Values"], strict=True))
    return found


def _ask(endpoint: str, name: str, metric: str, statistic: str, period: int) -> dict[str, Any]:
    dimensions = {"EndpointName": endpoint, "VariantName": VARIANT}
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": NAMESPACE,
                "MetricName": metric,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": period,
            "Stat": statistic,
        },
    }
