"""CloudFormation's resource types of SageMaker and Application Auto Scaling.

`Ref` gives what CloudFormation's resource reference says: ARNs for SageMaker, the three-part id of a scalable
target. Properties that the reference marks "Replacement" make a new resource with a new name; the stack
engine deletes the old one when the update succeeded.
"""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from sagemaker_local.app import App
from sagemaker_local.errors import ApiError
from sagemaker_local.protocol import load_model

Properties = dict[str, Any]
Made = tuple[str, dict[str, Any]]
_POLL_SECONDS = 0.1
_SETTLED = ("InService", "Failed")


@dataclass(frozen=True)
class Resource:
    """How a resource type maps to operations; `changeable`: updated in place by `update`."""

    service: str
    create: str
    delete: str
    name: str
    arn: str
    update: str = ""
    changeable: tuple[str, ...] = ()
    waits: bool = False
    longest: int = 63


def _sagemaker(noun: str, **options: Any) -> Resource:
    return Resource("sagemaker", f"Create{noun}", f"Delete{noun}", f"{noun}Name", f"{noun}Arn", **options)


RESOURCES = {
    "AWS::SageMaker::Model": _sagemaker("Model"),
    "AWS::SageMaker::EndpointConfig": _sagemaker("EndpointConfig"),
    "AWS::SageMaker::Endpoint": _sagemaker(
        "Endpoint",
        update="UpdateEndpoint",
        waits=True,
        changeable=(
            "EndpointConfigName",
            "DeploymentConfig",
            "RetainAllVariantProperties",
            "ExcludeRetainedVariantProperties",
            "RetainDeploymentConfig",
        ),
    ),
    "AWS::SageMaker::ModelPackageGroup": _sagemaker("ModelPackageGroup"),
    "AWS::SageMaker::MonitoringSchedule": _sagemaker(
        "MonitoringSchedule", update="UpdateMonitoringSchedule", changeable=("MonitoringScheduleConfig",)
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": Resource(
        "application-autoscaling",
        "RegisterScalableTarget",
        "DeregisterScalableTarget",
        "ResourceId",
        "ScalableTargetARN",
        "RegisterScalableTarget",
        ("MinCapacity", "MaxCapacity", "SuspendedState"),
    ),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Resource(
        "application-autoscaling",
        "PutScalingPolicy",
        "DeleteScalingPolicy",
        "PolicyName",
        "PolicyARN",
        "PutScalingPolicy",
        ("PolicyType", "TargetTrackingScalingPolicyConfiguration", "StepScalingPolicyConfiguration"),
    ),
}


def make_handlers(app: App, kind: str) -> dict[str, Callable[..., Any]]:
    """create(logical_id, properties, stack), update(id, old, new, stack) and delete(id, properties)."""
    return {
        "create": lambda logical_id, properties, stack: _create(app, kind, logical_id, properties),
        "update": lambda physical_id, old, new, stack: _update(app, kind, physical_id, old, new),
        "delete": lambda physical_id, properties: _delete(app, kind, physical_id, properties),
    }


def _create(app: App, kind: str, logical_id: str, properties: Properties) -> Made:
    resource = RESOURCES[kind]
    wanted = _complete(kind, properties)
    wanted.setdefault(resource.name, _make_name(logical_id, resource.longest))
    answer = _call(app, resource, resource.create, wanted)
    if resource.waits:
        _wait(app, wanted[resource.name])
    return _identify(kind, wanted, answer)


def _update(app: App, kind: str, physical_id: str, old: Properties, new: Properties) -> Made:
    resource = RESOURCES[kind]
    before, after = _complete(kind, old), _complete(kind, new)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} - {"Tags"}
    name = _name_of(kind, physical_id, after)
    if changed <= set(resource.changeable):
        if changed:
            _call(app, resource, resource.update, {**after, resource.name: name})
            if resource.waits:
                _wait(app, name, after.get("EndpointConfigName"))
        return physical_id, _attributes(kind, name, physical_id)
    if resource.name in after and resource.name not in changed:
        raise ValueError(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {name} and update the stack again."
        )
    return _create(app, kind, name.rpartition("-")[0] or name, new)


def _delete(app: App, kind: str, physical_id: str, properties: Properties) -> None:
    resource = RESOURCES[kind]
    request = {**_complete(kind, properties), resource.name: _name_of(kind, physical_id, properties)}
    try:
        _call(app, resource, resource.delete, request)
    except ValueError as error:
        if not str(error).startswith(
            ("Could not find", "No scal", "ModelPackageGroup", "Monitoring Schedule")
        ):
            raise
    while resource.waits and _describe(app, request[resource.name]) is not None:
        time.sleep(_POLL_SECONDS)


def _call(app: App, resource: Resource, operation: str, properties: Properties) -> dict[str, Any]:
    """The operation with those properties that it knows, numbers and booleans as such. Raises ValueError."""
    shape = load_model(resource.service).operation_model(operation).input_shape
    assert isinstance(shape, StructureShape)
    known = {name: value for name, value in properties.items() if name in shape.members}
    try:
        return app.call(resource.service, operation, _coerce(shape, known))
    except ApiError as error:
        raise ValueError(error.message) from error


def _wait(app: App, name: str, config: str | None = None) -> None:
    """Until the endpoint settled. Raises ValueError unless it is in service with `config`."""
    while (endpoint := _describe(app, name) or {}).get("EndpointStatus") not in (*_SETTLED, None):
        time.sleep(_POLL_SECONDS)
    rolled_back = config is not None and endpoint.get("EndpointConfigName") != config
    if endpoint.get("EndpointStatus") != "InService" or rolled_back:
        raise ValueError(endpoint.get("FailureReason", f"Endpoint {name} was deleted meanwhile."))


def _describe(app: App, name: str) -> Mapping[str, Any] | None:
    try:
        return app.call("sagemaker", "DescribeEndpoint", {"EndpointName": name})
    except ApiError:
        return None


def _complete(kind: str, properties: Properties) -> Properties:
    """The properties as the operation wants them: a policy's ScalingTargetId says what it is for."""
    complete = dict(properties)
    target = complete.pop("ScalingTargetId", None)
    if target:
        complete |= dict(
            zip(("ResourceId", "ScalableDimension", "ServiceNamespace"), target.split("|"), strict=True)
        )
    return complete


def _identify(kind: str, wanted: Properties, answer: Mapping[str, Any]) -> Made:
    name = wanted[RESOURCES[kind].name]
    physical_id = answer.get(RESOURCES[kind].arn, "")
    if kind.endswith("ScalableTarget"):
        physical_id = "|".join((name, wanted["ScalableDimension"], wanted["ServiceNamespace"]))
    return physical_id, _attributes(kind, name, physical_id)


def _attributes(kind: str, name: str, physical_id: str) -> dict[str, Any]:
    """What Fn::GetAtt gives."""
    if kind.endswith("ScalableTarget"):
        return {"Id": physical_id}
    return {RESOURCES[kind].name: name, RESOURCES[kind].arn: physical_id, "Arn": physical_id}


def _name_of(kind: str, physical_id: str, properties: Properties) -> str:
    if kind.startswith("AWS::ApplicationAutoScaling::"):
        return str(
            properties.get(RESOURCES[kind].name) or physical_id.split("|")[0].rpartition("policyName/")[2]
        )
    return physical_id.rpartition("/")[2]


def _make_name(logical_id: str, longest: int) -> str:
    """`Model-AbCdEf012345`, as CloudFormation names what the template does not."""
    ending = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))
    return f"{logical_id[: longest - 13]}-{ending}"


def _coerce(shape: Shape, value: Any) -> Any:
    """Templates carry numbers and booleans as strings, too."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        return {k: _coerce(shape.members[k], v) if k in shape.members else v for k, v in value.items()}
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_coerce(shape.member, item) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _coerce(shape.value, item) for key, item in value.items()}
    return _coerce_scalar(shape.type_name, value)


def _coerce_scalar(kind: str, value: Any) -> Any:
    if kind == "string" and isinstance(value, bool | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if not isinstance(value, str):
        return value
    try:
        if kind in ("integer", "long"):
            return int(value)
        if kind in ("float", "double"):
            return float(value)
    except ValueError:
        return value
    return value.lower() == "true" if kind == "boolean" else value
