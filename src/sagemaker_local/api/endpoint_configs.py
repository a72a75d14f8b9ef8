"""Endpoint configurations: CreateEndpointConfig and its kin."""

from __future__ import annotations

from typing import Any

from sagemaker_local.api.models import KIND as MODEL
from sagemaker_local.api.records import (
    Listing,
    already_exists,
    find_record,
    list_records,
    new_record,
    remove_record,
)
from sagemaker_local.api.tags import keep_tags
from sagemaker_local.errors import reject
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

KIND = "endpoint-config"
_LISTING = Listing("EndpointConfigs", "EndpointConfigName")
_ABSENT = ("AsyncInferenceConfig", "ExplainerConfig", "ShadowProductionVariants")


def create_endpoint_config(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateEndpointConfig."""
    for member in _ABSENT:
        if request.get(member):
            raise reject(f"{member} is not available here.")
    names = [variant["VariantName"] for variant in request["ProductionVariants"]]
    if len(set(names)) != len(names):
        raise reject("VariantName values must be unique within ProductionVariants.")
    for variant in request["ProductionVariants"]:
        _check_variant(plane, variant)
    _check_capture(request.get("DataCaptureConfig"))
    name = request["EndpointConfigName"]
    arn = plane.arn(KIND, name)
    if not plane.store.add(KIND, name, arn, _make_record(request, arn)):
        raise reject(already_exists(plane, KIND, name))
    keep_tags(plane, arn, request.get("Tags", ()))
    return {"EndpointConfigArn": arn}


def _make_record(request: dict[str, Any], arn: str) -> Record:
    variants = [{"InitialVariantWeight": 1.0, **variant} for variant in request["ProductionVariants"]]
    return new_record(request, EndpointConfigArn=arn, ProductionVariants=variants)


def _check_variant(plane: Plane, variant: dict[str, Any]) -> None:
    place = f"ProductionVariant {variant['VariantName']}"
    if "ServerlessConfig" in variant:
        raise reject(
            f"{place}: serverless is not available here; give InstanceType and InitialInstanceCount."
        )
    if "ModelName" not in variant:
        raise reject(f"{place} needs a ModelName; inference components are not available here.")
    if "InstanceType" not in variant or "InitialInstanceCount" not in variant:
        raise reject(f"{place} needs InstanceType and InitialInstanceCount.")
    find_record(plane, MODEL, variant["ModelName"])


def _check_capture(capture: dict[str, Any] | None) -> None:
    if capture and not capture["DestinationS3Uri"].startswith("s3://"):
        raise reject(
            f"DataCaptureConfig: DestinationS3Uri {capture['DestinationS3Uri']} must begin with s3://."
        )


def describe_endpoint_config(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeEndpointConfig."""
    return find_record(plane, KIND, request["EndpointConfigName"])


def list_endpoint_configs(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListEndpointConfigs."""
    return list_records(request, plane.store.list(KIND), _LISTING)


def delete_endpoint_config(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteEndpointConfig."""
    remove_record(plane, KIND, request["EndpointConfigName"])
    return {}
