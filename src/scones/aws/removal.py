"""Delete the application's stack so that nothing which costs money is left, and say what is."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from scones.aws.buckets import empty_bucket
from scones.aws.endpoints import read_endpoint
from scones.aws.sessions import Cloud, translate_errors
from scones.aws.stacks import Progress, await_stack, describe, list_events, name_artifacts
from scones.errors import CloudError


def delete_stack(cloud: Cloud, stack: str, progress: Progress) -> list[str]:
    """Empty the stack's buckets, delete the stack and the bucket of its code; one line for each thing kept.

    What is gone already is no error, so that an interrupted deletion can be repeated. Raises CloudError.
    """
    with translate_errors(f"delete the stack {stack}"):
        resources = _list_resources(cloud, stack)
        for resource in resources:
            if resource["ResourceType"] == "AWS::S3::Bucket" and "PhysicalResourceId" in resource:
                progress(resource["LogicalResourceId"], "EMPTYING", "")
                empty_bucket(cloud, resource["PhysicalResourceId"])
        found = describe(cloud, stack)
        if found:
            _delete_and_wait(cloud, found, progress)
        _delete_artifacts(cloud, stack, progress)
        return [*_list_kept(resources), *_list_endpoint(cloud, found)]


def _list_resources(cloud: Cloud, stack: str) -> list[dict[str, Any]]:
    if not describe(cloud, stack):
        return []
    pages = cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    return [resource for page in pages for resource in page["StackResourceSummaries"]]


def _delete_and_wait(cloud: Cloud, found: dict[str, Any], progress: Progress) -> None:
    # By its id: a deleted stack can only be asked for by that.
    stack = found["StackId"]
    seen = {event["EventId"] for event in list_events(cloud, stack)}
    cloud.client("cloudformation").delete_stack(StackName=found["StackName"])
    status, reasons = await_stack(cloud, stack, seen, progress)
    if status not in ("DELETE_COMPLETE", ""):
        raise CloudError(
            f"The stack {found['StackName']} ended as {status}: {' '.join(reasons[:3]) or 'no reason given'}",
            "Remove the cause, then delete it again.",
        )


def _delete_artifacts(cloud: Cloud, stack: str, progress: Progress) -> None:
    bucket = name_artifacts(cloud, stack)
    empty_bucket(cloud, bucket)
    try:
        cloud.client("s3").delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
    else:
        progress(bucket, "DELETE_COMPLETE", "")


def _list_kept(resources: list[dict[str, Any]]) -> list[str]:
    keys = [r.get("PhysicalResourceId") for r in resources if r["ResourceType"] == "AWS::KMS::Key"]
    return [f"KMS key {key}: AWS deletes it after 7 days, at no cost." for key in keys if key]


def _list_endpoint(cloud: Cloud, found: dict[str, Any]) -> list[str]:
    """The endpoint is not of this stack, but it is what costs most."""
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", [])}
    name = outputs.get("EndpointName", "")
    try:
        if not name or read_endpoint(cloud, name) is None:
            return []
    except CloudError as error:
        return [f"SageMaker endpoint {name}: it may still run and cost money. {error.message}"]
    return [f"SageMaker endpoint {name}: it still runs and costs money; scones endpoint delete {name}."]
