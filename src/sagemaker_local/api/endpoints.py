"""Endpoints: CreateEndpoint and its kin. The work itself is done in `sagemaker_local.hosting`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from sagemaker_local import hosting
from sagemaker_local.api.endpoint_configs import KIND as CONFIG
from sagemaker_local.api.models import KIND as MODEL
from sagemaker_local.api.models import resolve_container
from sagemaker_local.api.records import (
    Listing,
    already_exists,
    find_record,
    list_records,
    new_record,
)
from sagemaker_local.api.tags import forget_tags, keep_tags
from sagemaker_local.endpoints import EndpointDescription
from sagemaker_local.errors import reject
from sagemaker_local.hosting import KIND
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

_LISTING = Listing("Endpoints", "EndpointName", "EndpointStatus")


def create_endpoint(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateEndpoint: Creating, then InService or Failed."""
    name = request["EndpointName"]
    _check_deployment(request)
    arn = plane.arn(KIND, name)
    record = new_record(request, EndpointArn=arn, EndpointStatus="Creating", **_plan(plane, request))
    if not plane.store.add(KIND, name, arn, record):
        raise reject(already_exists(plane, KIND, name))
    keep_tags(plane, arn, request.get("Tags", ()))
    plane.spawn(hosting.start_endpoint(plane, name))
    return {"EndpointArn": arn}


def _check_deployment(request: Mapping[str, Any]) -> None:
    deployment = request.get("DeploymentConfig", {})
    routing = deployment.get("BlueGreenUpdatePolicy", {}).get("TrafficRoutingConfiguration", {})
    if deployment.get("RollingUpdatePolicy") or routing.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE":
        raise reject("DeploymentConfig: only blue/green with traffic routing ALL_AT_ONCE is available here.")


def _plan(plane: Plane, request: Mapping[str, Any]) -> dict[str, Any]:
    """What an endpoint of this configuration runs; kept, so that it outlives configuration and models."""
    config = find_record(plane, CONFIG, request["EndpointConfigName"])
    variants = [_plan_variant(plane, variant) for variant in config["ProductionVariants"]]
    return {"Deployed": variants, "Capture": config.get("DataCaptureConfig")}


def _plan_variant(plane: Plane, variant: Mapping[str, Any]) -> dict[str, Any]:
    model = find_record(plane, MODEL, variant["ModelName"])
    container = resolve_container(plane, model["PrimaryContainer"])
    kept: dict[str, Any] = {
        key: container[key] for key in ("Image", "ModelDataUrl", "Environment") if key in container
    }
    return {
        **kept,
        "VariantName": variant["VariantName"],
        "InstanceCount": variant["InitialInstanceCount"],
        "Weight": variant["InitialVariantWeight"],
        "Isolated": model["EnableNetworkIsolation"],
    }


def update_endpoint(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateEndpoint: a new fleet takes over without a failed request."""
    name = request["EndpointName"]
    _check_deployment(request)
    plan = _plan(plane, request)
    before = _begin_update(plane, name)
    if request.get("RetainAllVariantProperties"):
        _retain_sizes(
            plan["Deployed"], before["Deployed"], request.get("ExcludeRetainedVariantProperties", ())
        )
    plan["EndpointConfigName"] = request["EndpointConfigName"]
    plane.store.change(KIND, name, lambda record: record.update(plan))
    plane.spawn(hosting.update_endpoint(plane, name, before))
    return {"EndpointArn": plane.arn(KIND, name)}


def _begin_update(plane: Plane, name: str) -> Record:
    """The endpoint as it was, now Updating. Raises ApiError unless it is in service."""
    with plane.store.transaction():
        before = find_record(plane, KIND, name)
        if before["EndpointStatus"] != "InService":
            raise reject(f'Cannot update in-progress endpoint "{plane.arn(KIND, name)}".')
        plane.store.change(KIND, name, lambda record: record.update(EndpointStatus="Updating"))
    return before


def _retain_sizes(
    planned: list[dict[str, Any]], before: list[dict[str, Any]], excluded: list[dict[str, str]]
) -> None:
    names = {"DesiredInstanceCount": "InstanceCount", "DesiredWeight": "Weight"}
    dropped = {names.get(entry["VariantPropertyType"]) for entry in excluded}
    old = {variant["VariantName"]: variant for variant in before}
    for variant in planned:
        kept = old.get(variant["VariantName"], {})
        variant.update({key: kept[key] for key in names.values() if key in kept and key not in dropped})


def update_endpoint_weights_and_capacities(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateEndpointWeightsAndCapacities."""
    name = request["EndpointName"]
    changes = request["DesiredWeightsAndCapacities"]
    known = {variant["VariantName"] for variant in find_record(plane, KIND, name)["Deployed"]}
    for entry in changes:
        if entry["VariantName"] not in known:
            raise reject(f'Endpoint "{plane.arn(KIND, name)}" has no variant {entry["VariantName"]}.')
        if entry.get("DesiredInstanceCount", 1) < 1:
            raise reject(f"Variant {entry['VariantName']}: DesiredInstanceCount must be at least 1.")
    _begin_update(plane, name)
    wanted = {
        entry["VariantName"]: (entry.get("DesiredWeight"), entry.get("DesiredInstanceCount"))
        for entry in changes
    }
    plane.spawn(hosting.resize_endpoint(plane, name, wanted))
    return {"EndpointArn": plane.arn(KIND, name)}


def delete_endpoint(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteEndpoint: Deleting while requests end, then gone."""
    name = request["EndpointName"]
    with plane.store.transaction():
        record = find_record(plane, KIND, name)
        if record["EndpointStatus"] not in ("InService", "Failed"):
            raise reject(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
        plane.store.change(KIND, name, lambda kept: kept.update(EndpointStatus="Deleting"))
    forget_tags(plane, record["EndpointArn"])
    plane.spawn(hosting.delete_endpoint(plane, name))
    return {}


def describe_endpoint(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeEndpoint: the record, and the variants as they are now."""
    record = find_record(plane, KIND, request["EndpointName"])
    with contextlib.suppress(KeyError):  # one that failed or is only being created has no fleet
        live = plane.fleet.describe(record["EndpointName"])
        if variants := _describe_variants(record, live):  # the model says at least one
            record["ProductionVariants"] = variants
        if record["EndpointStatus"] == "InService":  # auto scaling works without a call
            record["EndpointStatus"] = live.state
    if capture := record.get("Capture"):
        enabled = capture.get("EnableCapture", True)
        record["DataCaptureConfig"] = {
            "KmsKeyId": "",
            **capture,
            "EnableCapture": enabled,
            "CaptureStatus": "Started" if enabled else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        }
    return record


def _describe_variants(record: Record, live: EndpointDescription) -> list[dict[str, Any]]:
    images = {variant["VariantName"]: variant["Image"] for variant in record["Deployed"]}
    return [
        {
            "VariantName": status.name,
            "DeployedImages": [{"SpecifiedImage": images[status.name], "ResolvedImage": images[status.name]}]
            if status.name in images
            else [],
            "CurrentWeight": status.current_weight,
            "DesiredWeight": status.desired_weight,
            "CurrentInstanceCount": status.current_count,
            "DesiredInstanceCount": status.desired_count,
        }
        for status in live.variants
    ]


def list_endpoints(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListEndpoints."""
    return list_records(request, plane.store.list(KIND), _LISTING)
