"""An endpoint's metrics on their way to CloudWatch, with AWS's names, units and dimensions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sagemaker_local.endpoints import measurement, utilization
from sagemaker_local.endpoints.endpoint import Endpoint
from sagemaker_local.endpoints.spec import Cloud
from sagemaker_local.endpoints.utilization import UtilizationMeter

logger = logging.getLogger(__name__)


async def publish(endpoint: Endpoint, meter: UtilizationMeter, cloud: Cloud) -> None:
    """Send what was measured since the last time. Data that cannot be sent are dropped, and logged."""
    invocations: list[dict[str, Any]] = []
    machines: list[dict[str, Any]] = []
    for variant, each in endpoint.measurements.items():
        dimensions = {"EndpointName": endpoint.spec.name, "VariantName": variant}
        sets = [dimensions]
        if endpoint.spec.config_name:  # deployment guardrails watch these
            sets.append({**dimensions, "EndpointConfigName": endpoint.spec.config_name})
        invocations += each.take(sets)
        machines += _describe_machines(meter.read(endpoint.list_pids(variant)), dimensions)
    await _send(cloud, measurement.NAMESPACE, invocations)
    await _send(cloud, utilization.NAMESPACE, machines)


def _describe_machines(values: Mapping[str, float], dimensions: Mapping[str, str]) -> list[dict[str, Any]]:
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    common = {"Dimensions": named, "Timestamp": datetime.now(UTC), "Unit": "Percent"}
    return [{"MetricName": name, "Value": value, **common} for name, value in values.items()]


async def _send(cloud: Cloud, namespace: str, data: Sequence[Mapping[str, Any]]) -> None:
    try:
        for start in range(0, len(data), 1000):
            await asyncio.to_thread(cloud.publish_metric, namespace, data[start : start + 1000])
    except Exception as error:  # the edge to whatever cloud there is; serving goes on without its metrics
        logger.warning("metrics of %s could not be sent: %s", namespace, error)
