"""What Application Auto Scaling checks beyond its model, for the one resource there is: endpoint variants."""

from __future__ import annotations

import re
from typing import Any

from sagemaker_local.endpoints.measurement import Load
from sagemaker_local.scaling.errors import ScalingError
from sagemaker_local.scaling.tracking import CONCURRENCY, INVOCATIONS

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
RESOURCE = re.compile(r"endpoint/[^/]+/variant/[^/]+")


def get_key(request: dict[str, Any]) -> str:
    """The name of a target: one string, so that it can be a JSON key. Raises ScalingError."""
    if request["ServiceNamespace"] != "sagemaker" or request["ScalableDimension"] != DIMENSION:
        raise _refuse(f"Only {DIMENSION} of service namespace sagemaker can be scaled here.")
    if not RESOURCE.fullmatch(request["ResourceId"]):
        raise _refuse(
            f"Unsupported service namespace, resource type or scalable dimension: {request['ResourceId']}"
        )
    return f"{request['ResourceId']}|{request['ScalableDimension']}"


def check_target(request: dict[str, Any], known: dict[str, Any] | None, load: Load | None) -> None:
    """Raise ScalingError unless both limits are known, in order, and the variant exists."""
    merged = {**(known or {}), **request}
    if "MinCapacity" not in merged or "MaxCapacity" not in merged:
        raise _refuse("MinCapacity and MaxCapacity are required for a new scalable target.")
    if merged["MinCapacity"] < 1:
        raise _refuse("Minimum capacity must be at least 1 for a variant.")
    if merged["MinCapacity"] > merged["MaxCapacity"]:
        raise _refuse("Maximum capacity cannot be less than minimum capacity")
    if load is None:
        raise _refuse(f"SageMaker endpoint variant not found: {request['ResourceId']}")


def check_policy(request: dict[str, Any]) -> None:
    """Raise ScalingError unless it is target tracking on a metric that variants have."""
    configuration = request.get("TargetTrackingScalingPolicyConfiguration")
    if request.get("PolicyType") != "TargetTrackingScaling" or configuration is None:
        raise _refuse("Only PolicyType TargetTrackingScaling, with its configuration, is supported here.")
    metric = configuration.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric not in (INVOCATIONS, CONCURRENCY):
        raise _refuse(f"Only the predefined metrics {INVOCATIONS} and {CONCURRENCY} are supported here.")
    if configuration["TargetValue"] <= 0:
        raise _refuse("TargetValue must be greater than 0.")


def _refuse(message: str) -> ScalingError:
    return ScalingError("ValidationException", message)
