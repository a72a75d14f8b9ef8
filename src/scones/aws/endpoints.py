"""Endpoints: bring a model into service with data capture, say how it stands, delete it."""

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
