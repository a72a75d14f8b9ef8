"""The model registry: a model that has passed its gate, as an approved model package."""

from __future__ import annotations

from typing import Any

from scones.aws.endpoints import Deployment
from scones.aws.sessions import Cloud, translate_errors


def register_model(
    cloud: Cloud, group: str, deployment: Deployment, description: str, again: bool = False
) -> str:
    """ARN of the approved model package of this artifact in `group`, made unless it is there.

    `again` makes another version all the same. Raises CloudError.
    """
    sagemaker = cloud.client("sagemaker")
    with translate_errors(f"register the model in {group}"):
        if not _has_group(sagemaker, group):
            sagemaker.create_model_package_group(
                ModelPackageGroupName=group, ModelPackageGroupDescription="Scones: vehicle classifiers"
            )
        if not again and (known := _find_package(sagemaker, group, deployment.artifact)):
            return known
        made = sagemaker.create_model_package(
            ModelPackageGroupName=group,
            ModelPackageDescription=description[:1024],
            ModelApprovalStatus="Approved",
            InferenceSpecification={
                "Containers": [{"Image": deployment.image, "ModelDataUrl": deployment.artifact}],
                "SupportedContentTypes": ["image/png", "image/jpeg", "application/x-image"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
        )
    return str(made["ModelPackageArn"])


def find_model(cloud: Cloud, group: str, artifact: str) -> str | None:
    """ARN of the model package of this artifact in `group`, or None. Raises CloudError."""
    sagemaker = cloud.client("sagemaker")
    with translate_errors(f"read the models of {group}"):
        return _find_package(sagemaker, group, artifact) if _has_group(sagemaker, group) else None


def _has_group(sagemaker: Any, group: str) -> bool:
    try:
        sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    except sagemaker.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True


def _find_package(sagemaker: Any, group: str, artifact: str) -> str | None:
    for known in _list_packages(sagemaker, group):
        found = sagemaker.describe_model_package(ModelPackageName=known)
        if found["InferenceSpecification"]["Containers"][0].get("ModelDataUrl") == artifact:
            return known
    return None


def _list_packages(sagemaker: Any, group: str) -> list[str]:
    pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
    return [entry["ModelPackageArn"] for page in pages for entry in page["ModelPackageSummaryList"]]
