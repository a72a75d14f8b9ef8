"""Application auto scaling over the fleet: what a variant does, how it is resized, its operations."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from sagemaker_local.endpoints.measurement import Load
from sagemaker_local.errors import ApiError, StateError, reject
from sagemaker_local.hosting import set_capacity
from sagemaker_local.scaling.autoscaler import Autoscaler
from sagemaker_local.scaling.errors import ScalingError

if TYPE_CHECKING:
    from sagemaker_local.plane import Plane

# Only these: the other operations of the service are not available here.
METHODS = {
    "RegisterScalableTarget": "register_scalable_target",
    "DescribeScalableTargets": "describe_scalable_targets",
    "DeregisterScalableTarget": "deregister_scalable_target",
    "PutScalingPolicy": "put_scaling_policy",
    "DescribeScalingPolicies": "describe_scaling_policies",
    "DeleteScalingPolicy": "delete_scaling_policy",
    "DescribeScalingActivities": "describe_scaling_activities",
}


def make_autoscaler(plane: Plane) -> Autoscaler:
    """The auto scaler of this SageMaker. Raises StateError when its file is damaged."""

    def read_load(resource_id: str) -> Load | None:
        parts = _split(resource_id)
        try:
            return plane.fleet.read_load(*parts) if parts else None
        except KeyError:
            return None

    async def resize(resource_id: str, count: int) -> None:
        endpoint, variant = _split(resource_id) or ("", "")
        await set_capacity(plane, endpoint, variant, count)

    config = plane.config
    try:
        return Autoscaler(
            config.state_dir, read_load, resize, region=config.region, account=config.account_id
        )
    except ValueError as error:
        raise StateError(str(error)) from error


def _split(resource_id: str) -> tuple[str, str] | None:
    match = re.fullmatch(r"endpoint/([^/]+)/variant/([^/]+)", resource_id)
    return (match[1], match[2]) if match else None


def call_autoscaler(plane: Plane, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    """One operation, from any thread but the event loop's. Raises ApiError."""
    if operation not in METHODS:
        raise reject(f"{operation} is not available in this SageMaker.")
    return plane.wait_for(_call(plane.autoscaler, operation, request))


async def _call(autoscaler: Autoscaler, operation: str, request: dict[str, Any]) -> dict[str, Any]:
    # The auto scaler belongs to the event loop's thread; this runs there.
    await asyncio.sleep(0)
    try:
        answer: dict[str, Any] = getattr(autoscaler, METHODS[operation])(request)
    except ScalingError as error:
        raise ApiError(error.code, error.message) from error
    return answer
