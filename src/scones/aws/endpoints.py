"""Models and endpoints: register a model, bring it into service with data capture, measure and delete it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scones.aws.sessions import Cloud, translate_errors
from scones.errors import CloudError

VARIANT = "AllTraffic"
POLL = 0.3  # seconds
MOST_SECONDS = 1800.0
BUSY = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


@dataclass(frozen=True)
class Deployment:
    """What shall serve: `artifact` and `capture` are s3:// addresses; no `capture` means no data capture."""

    endpoint: str
    image: str
    artifact: str
    role: str
    capture: str = ""
    sampling: int = 100
    instance_type: str = "ml.m5.large"
    instances: int = 1

    @property
    def version(self) -> str:
        """A name that changes with anything that is deployed."""
        return f"{self.endpoint}-{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as DescribeEndpoint tells it."""

    name: str
    arn: str
    config: str
    status: str
    instances: int
    reason: str


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


def deploy_endpoint(
    cloud: Cloud, deployment: Deployment, tell: Callable[[str], None] = lambda status: None
) -> Endpoint:
    """Create the endpoint, or update it if something else serves, and wait until it is in service.

    `tell` gets each new status. Raises CloudError when it does not get there; an update that fails leaves
    what served before.
    """
    sagemaker = cloud.client("sagemaker")
    with translate_errors(f"deploy the endpoint {deployment.endpoint}"):
        _make_model(sagemaker, deployment)
        _make_config(sagemaker, deployment)
        before = read_endpoint(cloud, deployment.endpoint)
        names = {"EndpointName": deployment.endpoint, "EndpointConfigName": deployment.version}
        if before is not None and before.status == "Failed":
            sagemaker.delete_endpoint(EndpointName=deployment.endpoint)
            _await_deletion(cloud, deployment.endpoint)
            before = None
        if before is None:
            sagemaker.create_endpoint(**names)
        elif before.config != deployment.version:
            sagemaker.update_endpoint(**names)
    endpoint = await_endpoint(cloud, deployment.endpoint, tell)
    if endpoint.config != deployment.version:
        raise CloudError(f"Endpoint {endpoint.name} was not updated: {endpoint.reason or 'no reason given'}")
    return endpoint


def await_endpoint(cloud: Cloud, name: str, tell: Callable[[str], None] = lambda status: None) -> Endpoint:
    """Wait until the endpoint is in service. Raises CloudError when it fails, vanishes or takes too long."""
    status, deadline = "", time.monotonic() + MOST_SECONDS
    while (endpoint := read_endpoint(cloud, name)) is not None:
        if endpoint.status != status:
            status = endpoint.status
            tell(status)
        if status == "InService":
            return endpoint
        if status not in BUSY or time.monotonic() > deadline:
            raise CloudError(
                f"Endpoint {name} is {status}, not in service: {endpoint.reason or 'it takes too long'}",
                f"Its log: /aws/sagemaker/Endpoints/{name} in CloudWatch Logs.",
            )
        time.sleep(POLL)
    raise CloudError(f"There is no endpoint {name}.")


def await_settled(cloud: Cloud, name: str) -> Endpoint | None:
    """The endpoint once it has stopped changing, or None if there is none.

    Raises CloudError when it takes too long.
    """
    deadline = time.monotonic() + MOST_SECONDS
    while (endpoint := read_endpoint(cloud, name)) and endpoint.status in BUSY:
        if time.monotonic() > deadline:
            raise CloudError(f"Endpoint {name} is still {endpoint.status} after {MOST_SECONDS:g} s.")
        time.sleep(POLL)
    return endpoint


def read_endpoint(cloud: Cloud, name: str) -> Endpoint | None:
    """The endpoint as it stands, or None if there is none of that name. Raises CloudError."""
    sagemaker = cloud.client("sagemaker")
    with translate_errors(f"read the endpoint {name}"):
        try:
            found = sagemaker.describe_endpoint(EndpointName=name)
        except sagemaker.exceptions.ClientError as error:
            if "Could not find" in str(error):
                return None
            raise
    variants = found.get("ProductionVariants", [])
    return Endpoint(
        name=name,
        arn=found["EndpointArn"],
        config=found["EndpointConfigName"],
        status=found["EndpointStatus"],
        instances=sum(variant.get("CurrentInstanceCount", 0) for variant in variants),
        reason=found.get("FailureReason", ""),
    )


def delete_endpoint(cloud: Cloud, name: str) -> bool:
    """Delete the endpoint, its configuration and its models, which end its cost; False if there is none.

    Raises CloudError.
    """
    endpoint, sagemaker = read_endpoint(cloud, name), cloud.client("sagemaker")
    if endpoint is None:
        return False
    with translate_errors(f"delete the endpoint {name}"):
        models = _list_models(sagemaker, endpoint.config)
        sagemaker.delete_endpoint(EndpointName=name)
        _await_deletion(cloud, name)
        if models:
            sagemaker.delete_endpoint_config(EndpointConfigName=endpoint.config)
        for model in models:
            sagemaker.delete_model(ModelName=model)
    return True


def _list_models(sagemaker: Any, config: str) -> list[str]:
    """The models of an endpoint configuration; none if it is gone."""
    try:
        found = sagemaker.describe_endpoint_config(EndpointConfigName=config)
    except sagemaker.exceptions.ClientError as error:
        if "Could not find" in str(error):
            return []
        raise
    return [variant["ModelName"] for variant in found["ProductionVariants"]]


def _make_model(sagemaker: Any, deployment: Deployment) -> None:
    try:
        sagemaker.describe_model(ModelName=deployment.version)
    except sagemaker.exceptions.ClientError:
        sagemaker.create_model(
            ModelName=deployment.version,
            ExecutionRoleArn=deployment.role,
            PrimaryContainer={"Image": deployment.image, "ModelDataUrl": deployment.artifact},
        )


def _make_config(sagemaker: Any, deployment: Deployment) -> None:
    try:
        sagemaker.describe_endpoint_config(EndpointConfigName=deployment.version)
    except sagemaker.exceptions.ClientError:
        variant = {
            "VariantName": VARIANT,
            "ModelName": deployment.version,
            "InstanceType": deployment.instance_type,
            "InitialInstanceCount": deployment.instances,
        }
        sagemaker.create_endpoint_config(
            EndpointConfigName=deployment.version,
            ProductionVariants=[variant],
            **_describe_capture(deployment),
        )


def _describe_capture(deployment: Deployment) -> dict[str, Any]:
    if not deployment.capture:
        return {}
    return {
        "DataCaptureConfig": {
            "EnableCapture": True,
            "InitialSamplingPercentage": deployment.sampling,
            "DestinationS3Uri": deployment.capture,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            # Without this list SageMaker encodes the answers as base64, too.
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    }


def _await_deletion(cloud: Cloud, name: str) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while read_endpoint(cloud, name) is not None:
        if time.monotonic() > deadline:
            raise CloudError(f"Endpoint {name} is still being deleted.")
        time.sleep(POLL)
