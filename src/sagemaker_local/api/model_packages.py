"""The model registry: groups of model packages, versions that must be approved to be deployed."""

from __future__ import annotations

from typing import Any

from sagemaker_local.api.records import Listing, list_records, new_record
from sagemaker_local.api.tags import forget_tags, keep_tags
from sagemaker_local.errors import clash, reject
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

GROUP = "model-package-group"
PACKAGE = "model-package"
_GROUPS = Listing("ModelPackageGroupSummaryList", "ModelPackageGroupName", "", "Ascending")
_PACKAGES = Listing("ModelPackageSummaryList", "ModelPackageName", "", "Ascending")
_CHANGEABLE = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)


def create_model_package_group(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateModelPackageGroup."""
    name = request["ModelPackageGroupName"]
    arn = plane.arn(GROUP, name)
    record = new_record(request, ModelPackageGroupArn=arn, ModelPackageGroupStatus="Completed", LastVersion=0)
    record["CreatedBy"] = {}
    if not plane.store.add(GROUP, name, arn, record):
        raise reject(f"Model Package Group already exists: {arn}")
    keep_tags(plane, arn, request.get("Tags", ()))
    return {"ModelPackageGroupArn": arn}


def describe_model_package_group(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeModelPackageGroup."""
    return _find_group(plane, request["ModelPackageGroupName"])


def _find_group(plane: Plane, name_or_arn: str) -> Record:
    record = plane.store.find(GROUP, name_or_arn.rpartition("/")[2])
    if record is None:
        raise reject(f"ModelPackageGroup {plane.arn(GROUP, name_or_arn.rpartition('/')[2])} does not exist.")
    return record


def list_model_package_groups(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListModelPackageGroups."""
    return list_records(request, plane.store.list(GROUP), _GROUPS)


def delete_model_package_group(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteModelPackageGroup: only an empty one."""
    name = _find_group(plane, request["ModelPackageGroupName"])["ModelPackageGroupName"]
    if any(package.get("ModelPackageGroupName") == name for package in plane.store.list(PACKAGE)):
        raise clash(
            f"Model Package Group {plane.arn(GROUP, name)} still has Model Packages; delete those first."
        )
    plane.store.remove(GROUP, name)
    forget_tags(plane, plane.arn(GROUP, name))
    return {}


def create_model_package(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateModelPackage: the next version of a group, or a package with a name of its own."""
    if ("ModelPackageName" in request) == ("ModelPackageGroupName" in request):
        raise reject("Give either ModelPackageName or ModelPackageGroupName.")
    if not request.get("InferenceSpecification", {}).get("Containers"):
        raise reject("A model package needs an InferenceSpecification with one container.")
    with plane.store.transaction():
        name, members = _number_package(plane, request)
        arn = plane.arn(PACKAGE, name)
        details: dict[str, Any] = {"ValidationStatuses": [], "ImageScanStatuses": []}
        members |= {
            "ModelPackageArn": arn,
            "ModelPackageStatus": "Completed",
            "ModelPackageStatusDetails": details,
        }
        if not plane.store.add(PACKAGE, name, arn, new_record(request, **members)):
            raise reject(f"Model Package already exists: {arn}")
        keep_tags(plane, arn, request.get("Tags", ()))
    return {"ModelPackageArn": arn}


def _number_package(plane: Plane, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The store's name of a new package, and the members that say where it belongs."""
    if "ModelPackageName" in request:
        return request["ModelPackageName"], {"ModelPackageName": request["ModelPackageName"]}
    group = _find_group(plane, request["ModelPackageGroupName"])["ModelPackageGroupName"]
    record = plane.store.change(GROUP, group, lambda kept: kept.update(LastVersion=kept["LastVersion"] + 1))
    assert record is not None
    version = record["LastVersion"]
    return f"{group}/{version}", {
        "ModelPackageName": group,
        "ModelPackageGroupName": group,
        "ModelPackageVersion": version,
        "ModelApprovalStatus": request.get("ModelApprovalStatus", "PendingManualApproval"),
    }


def describe_model_package(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeModelPackage."""
    return describe_package(plane, request["ModelPackageName"])


def describe_package(plane: Plane, name_or_arn: str) -> Record:
    """The record of a package by ARN, or by name when it is in no group. Raises ApiError."""
    record = plane.store.find(PACKAGE, _package_name(name_or_arn))
    if record is None:
        raise reject(f"ModelPackage {name_or_arn} does not exist.")
    return record


def _package_name(name_or_arn: str) -> str:
    return name_or_arn.split(f":{PACKAGE}/", 1)[-1]


def update_model_package(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateModelPackage: approve, reject, describe."""

    def edit(record: Record) -> None:
        record.update({name: request[name] for name in _CHANGEABLE if name in request})
        metadata = {
            **record.get("CustomerMetadataProperties", {}),
            **request.get("CustomerMetadataProperties", {}),
        }
        for key in request.get("CustomerMetadataPropertiesToRemove", ()):
            metadata.pop(key, None)
        record["CustomerMetadataProperties"] = metadata

    if plane.store.change(PACKAGE, _package_name(request["ModelPackageArn"]), edit) is None:
        raise reject(f"ModelPackage {request['ModelPackageArn']} does not exist.")
    return {"ModelPackageArn": request["ModelPackageArn"]}


def list_model_packages(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListModelPackages: of one group, or those that are in none."""
    group = request.get("ModelPackageGroupName", "").rpartition("/")[2]
    status = request.get("ModelApprovalStatus")
    if group:
        _find_group(plane, group)
    found = [
        record
        for record in plane.store.list(PACKAGE)
        if record.get("ModelPackageGroupName", "") == group
        and (status is None or record.get("ModelApprovalStatus") == status)
    ]
    return list_records(request, found, _PACKAGES)


def delete_model_package(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteModelPackage."""
    package = describe_package(plane, request["ModelPackageName"])
    plane.store.remove(PACKAGE, _package_name(package["ModelPackageArn"]))
    forget_tags(plane, package["ModelPackageArn"])
    return {}
