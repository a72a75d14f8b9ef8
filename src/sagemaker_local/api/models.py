"""Models: CreateModel and its kin."""

from __future__ import annotations

from typing import Any

from sagemaker_local.api.model_packages import describe_package
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
from sagemaker_local.images import find_image
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

KIND = "model"
_LISTING = Listing("Models", "ModelName")


def create_model(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateModel: one container, from an image or an approved model package."""
    name = request["ModelName"]
    container = _find_container(request)
    resolved = resolve_container(plane, container)
    if "ModelDataUrl" in resolved and not resolved["ModelDataUrl"].startswith("s3://"):
        raise reject(f"ModelDataUrl {resolved['ModelDataUrl']} must begin with s3://.")
    image = find_image(plane.config.images, resolved["Image"])
    if image.serve is None:
        raise reject(f"The image {resolved['Image']} cannot serve.")
    arn = plane.arn(KIND, name)
    record = new_record(request, ModelArn=arn, PrimaryContainer={"Mode": "SingleModel", **container})
    record.setdefault("EnableNetworkIsolation", False)
    if not plane.store.add(KIND, name, arn, record):
        raise reject(already_exists(plane, KIND, name))
    keep_tags(plane, arn, request.get("Tags", ()))
    return {"ModelArn": arn}


def _find_container(request: dict[str, Any]) -> dict[str, Any]:
    containers = request.get("Containers", [])
    if "PrimaryContainer" in request and not containers:
        container = request["PrimaryContainer"]
    elif len(containers) == 1:
        container = containers[0]
    else:
        raise reject(
            "Give exactly one container, as PrimaryContainer; pipelines of containers are not available here."
        )
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise reject("Multi-model containers are not available here; Mode must be SingleModel.")
    assert isinstance(container, dict)
    return container


def resolve_container(plane: Plane, container: dict[str, Any]) -> dict[str, Any]:
    """Image, ModelDataUrl and Environment of a container; those of its model package when it names one.

    Raises ApiError when the package is unknown or not approved.
    """
    if "ModelPackageName" not in container:
        if "Image" not in container:
            raise reject("A container needs an Image or a ModelPackageName.")
        return _with_data(container)
    package = describe_package(plane, container["ModelPackageName"])
    if package.get("ModelApprovalStatus", "Approved") != "Approved":
        raise reject(
            f"Model package {package['ModelPackageArn']} is {package['ModelApprovalStatus']}; only Approved "
            "packages can be deployed."
        )
    inside = package["InferenceSpecification"]["Containers"][0]
    environment = {**inside.get("Environment", {}), **container.get("Environment", {})}
    return {**inside, **container, "Environment": environment}


def _with_data(container: dict[str, Any]) -> dict[str, Any]:
    """The container with its ModelDataSource, where it has one, as ModelDataUrl."""
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if source and source.get("CompressionType") != "Gzip":
        raise reject("ModelDataSource: only one tar.gz is available here; set CompressionType to Gzip.")
    return {**container, "ModelDataUrl": source["S3Uri"]} if source else container


def describe_model(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeModel."""
    return find_record(plane, KIND, request["ModelName"])


def list_models(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListModels."""
    return list_records(request, plane.store.list(KIND), _LISTING)


def delete_model(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteModel: the entry, not its artifacts."""
    remove_record(plane, KIND, request["ModelName"])
    return {}
