"""The actions of Application Auto Scaling, for endpoint variants."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagemaker_local.endpoints.measurement import Load
from sagemaker_local.scaling.errors import ScalingError
from sagemaker_local.scaling.follower import PolicyFollower
from sagemaker_local.scaling.registry import load_registry, save_registry
from sagemaker_local.scaling.tracking import Timing
from sagemaker_local.scaling.validation import check_policy, check_target, get_key

Request = dict[str, Any]
FILE = "scaling.json"
# The service-linked role that AWS uses when none is given.
SERVICE_ROLE = (
    "aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)


class Autoscaler:
    """Methods take and return dicts of boto3's shapes. All belong to the thread of one event loop."""

    def __init__(
        self,
        state_dir: Path,
        read_load: Callable[[str], Load | None],
        set_capacity: Callable[[str, int], Awaitable[None]],
        timing: Timing | None = None,
        region: str = "us-east-1",
        account: str = "000000000000",
    ) -> None:
        """`read_load(resource_id)` is None without such a variant. Raises ValueError for a damaged file."""
        self._path = state_dir / FILE
        self._registry = load_registry(self._path)
        self._read_load = read_load
        self._follower = PolicyFollower(
            self._registry, self._save, read_load, set_capacity, timing or Timing()
        )
        self._arn = f"arn:aws:application-autoscaling:{region}:{account}:scalable-target/"
        self._role_arn = f"arn:aws:iam::{account}:role/{SERVICE_ROLE}"
        self._policy_arn = f"arn:aws:autoscaling:{region}:{account}:scalingPolicy:"

    def register_scalable_target(self, request: Request) -> Request:
        """Set a variant's limits. Raises ScalingError."""
        key = get_key(request)
        known = self._registry.targets.get(key)
        check_target(request, known, self._read_load(request["ResourceId"]))
        target = known or {
            "ScalableTargetARN": self._arn + uuid.uuid4().hex[:20],
            "CreationTime": time.time(),
            "RoleARN": self._role_arn,
        }
        target.update({name: value for name, value in request.items() if name != "Tags"})
        self._registry.targets[key] = target
        self._save()
        return {"ScalableTargetARN": target["ScalableTargetARN"]}

    def describe_scalable_targets(self, request: Request) -> Request:
        """All targets, or those asked for."""
        return {"ScalableTargets": [_with_times(each) for each in _select(self._registry.targets, request)]}

    def deregister_scalable_target(self, request: Request) -> Request:
        """Forget a target and its policies; its capacity stays. Raises ScalingError."""
        key = self._find_target(request)
        del self._registry.targets[key]
        for name in [name for name in self._registry.policies if name.startswith(f"{key}|")]:
            del self._registry.policies[name]
        self._save()
        return {}

    def put_scaling_policy(self, request: Request) -> Request:
        """Add or replace a target tracking policy. Raises ScalingError."""
        key = self._find_target(request)
        check_policy(request)
        name = f"{key}|{request['PolicyName']}"
        known = self._registry.policies.get(name)
        place = (
            f"{uuid.uuid4()}:resource/sagemaker/{request['ResourceId']}:policyName/{request['PolicyName']}"
        )
        policy = known or {"PolicyARN": self._policy_arn + place, "CreationTime": time.time()}
        policy.update(request)
        self._registry.policies[name] = policy
        self._follower.forget(name)
        self._save()
        return {"PolicyARN": policy["PolicyARN"], "Alarms": []}

    def describe_scaling_policies(self, request: Request) -> Request:
        """All policies, or those asked for."""
        names = request.get("PolicyNames")
        chosen = [
            each
            for each in _select(self._registry.policies, request)
            if not names or each["PolicyName"] in names
        ]
        return {"ScalingPolicies": [{**_with_times(each), "Alarms": []} for each in chosen]}

    def delete_scaling_policy(self, request: Request) -> Request:
        """Forget a policy. Raises ScalingError."""
        name = f"{get_key(request)}|{request['PolicyName']}"
        if self._registry.policies.pop(name, None) is None:
            raise ScalingError(
                "ObjectNotFoundException", f"No scaling policy found: {request['PolicyName']}."
            )
        self._save()
        return {}

    def describe_scaling_activities(self, request: Request) -> Request:
        """What was scaled when and why, the newest first."""
        numbered = {str(number): each for number, each in enumerate(self._registry.activities)}
        return {"ScalingActivities": [_with_times(each) for each in _select(numbered, request)]}

    async def run(self) -> None:
        """Follow the policies until cancelled."""
        await self._follower.run()

    def _find_target(self, request: Request) -> str:
        key = get_key(request)
        if key not in self._registry.targets:
            raise ScalingError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {request['ServiceNamespace']}, "
                f"resource ID: {request['ResourceId']}, scalable dimension: {request['ScalableDimension']}",
            )
        return key

    def _save(self) -> None:
        save_registry(self._registry, self._path)


def _select(entries: dict[str, Request], request: Request) -> list[Request]:
    """Those asked for, all on one page. Raises ScalingError for a NextToken, as none is ever given out."""
    if "NextToken" in request:
        raise ScalingError("InvalidNextTokenException", "The next token supplied is invalid.")
    resources = request.get("ResourceIds") or ([request["ResourceId"]] if request.get("ResourceId") else None)
    dimension = request.get("ScalableDimension")
    return [
        each
        for each in entries.values()
        if each["ServiceNamespace"] == request["ServiceNamespace"]
        and (resources is None or each["ResourceId"] in resources)
        and (dimension is None or each["ScalableDimension"] == dimension)
    ]


def _with_times(entry: Request) -> Request:
    times: Request = {
        name: datetime.fromtimestamp(entry[name], UTC)
        for name in ("CreationTime", "StartTime", "EndTime")
        if name in entry
    }
    return {**entry, **times}
