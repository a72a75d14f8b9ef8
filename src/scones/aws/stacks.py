"""Deploy the application's CloudFormation stack with boto3 alone; `removal` deletes it.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scones.aws.buckets import ensure_bucket
from scones.aws.sessions import Cloud, translate_errors
from scones.aws.templates import Asset, package_template
from scones.errors import CloudError

POLL = 1.0  # seconds
NOTHING = ("didn't contain changes", "No updates are to be performed")
FIRST = ("REVIEW_IN_PROGRESS",)  # there is a change set, but no stack yet
BROKEN = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


@dataclass(frozen=True)
class Change:
    """What will happen to one resource: action is Add, Modify or Remove."""

    action: str
    name: str
    kind: str
    replacement: bool


@dataclass(frozen=True)
class ChangeSet:
    """A change set that waits to be executed."""

    stack: str
    arn: str
    first: bool
    changes: tuple[Change, ...]


Progress = Callable[[str, str, str], None]  # resource, status, reason


def prepare(cloud: Cloud, stack: str, template: Path, parameters: dict[str, str]) -> ChangeSet | None:
    """Upload the code and make a change set; None when nothing would change.

    A parameter that is not given keeps its value, or the template's default in a new stack. Raises UsageError
    for a bad template, CloudError.
    """
    with translate_errors(f"prepare the stack {stack}"):
        bucket = name_artifacts(cloud, stack)
        body, assets = package_template(template, bucket)
        whole = Asset(f"{hashlib.sha256(body.encode()).hexdigest()[:32]}.template.json", body.encode())
        _upload(cloud, bucket, [*assets, whole])
        found = describe(cloud, stack)
        if found.get("StackStatus") in BROKEN:
            _clear_away(cloud, stack)
            found = {}
        first = found.get("StackStatus", FIRST[0]) in FIRST
        # One that the template has no more must not be named.
        known = {entry["ParameterKey"] for entry in found.get("Parameters", [])}
        kept = known & json.loads(body).get("Parameters", {}).keys() - parameters.keys()
        made = cloud.client("cloudformation").create_change_set(
            StackName=stack,
            ChangeSetName=f"scones-{time.time_ns()}",
            ChangeSetType="CREATE" if first else "UPDATE",
            TemplateURL=f"{_find_address(cloud, bucket)}/{whole.key}",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[
                *({"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()),
                *({"ParameterKey": key, "UsePreviousValue": True} for key in sorted(kept)),
            ],
            Tags=[{"Key": "application", "Value": "scones"}],
        )
        return _await_change_set(cloud, stack, made["Id"], first)


def name_artifacts(cloud: Cloud, stack: str) -> str:
    """The bucket of the stack's code; in S3 a name is taken once in the world."""
    return f"{stack}-artifacts-{cloud.account}-{cloud.region}"


def _clear_away(cloud: Cloud, stack: str) -> None:
    """A stack whose creation was rolled back holds nothing and takes no update."""
    cloud.client("cloudformation").delete_stack(StackName=stack)
    await_stack(cloud, stack, set(), lambda *_: None)


def _find_address(cloud: Cloud, bucket: str) -> str:
    return str(cloud.client("s3").meta.endpoint_url).rstrip("/") + f"/{bucket}"


def _upload(cloud: Cloud, bucket: str, assets: list[Asset]) -> None:
    s3 = cloud.client("s3")
    ensure_bucket(cloud, bucket)
    present = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
    for asset in assets:
        if asset.key not in present:
            s3.put_object(Bucket=bucket, Key=asset.key, Body=asset.body)


def _await_change_set(cloud: Cloud, stack: str, arn: str, first: bool) -> ChangeSet | None:
    client = cloud.client("cloudformation")
    while True:
        found = client.describe_change_set(ChangeSetName=arn, StackName=stack)
        if found["Status"] == "CREATE_COMPLETE":
            return ChangeSet(stack, arn, first, tuple(_list_changes(client, found)))
        if found["Status"] == "FAILED":
            client.delete_change_set(ChangeSetName=arn, StackName=stack)
            if any(text in found.get("StatusReason", "") for text in NOTHING):
                return None
            raise CloudError(
                f"The change set of {stack} failed: {found.get('StatusReason', 'no reason given')}"
            )
        time.sleep(POLL)


def _list_changes(client: Any, found: dict[str, Any]) -> Iterator[Change]:
    while True:
        for entry in found["Changes"]:
            change = entry["ResourceChange"]
            replaced = change.get("Replacement") in ("True", "Conditional")
            yield Change(change["Action"], change["LogicalResourceId"], change["ResourceType"], replaced)
        if "NextToken" not in found:
            return
        found = client.describe_change_set(
            ChangeSetName=found["ChangeSetId"], StackName=found["StackName"], NextToken=found["NextToken"]
        )


def discard(cloud: Cloud, change_set: ChangeSet) -> None:
    """Forget a change set that is not wanted, and the empty stack that a first one brings."""
    with translate_errors("discard the change set"):
        client = cloud.client("cloudformation")
        client.delete_change_set(ChangeSetName=change_set.arn, StackName=change_set.stack)
        if change_set.first:
            client.delete_stack(StackName=change_set.stack)


def execute(cloud: Cloud, change_set: ChangeSet, progress: Progress) -> dict[str, str]:
    """Carry out the changes, telling each step, and return the stack's outputs. Raises CloudError."""
    with translate_errors(f"deploy the stack {change_set.stack}"):
        seen = {event["EventId"] for event in list_events(cloud, change_set.stack)}
        client = cloud.client("cloudformation")
        client.execute_change_set(ChangeSetName=change_set.arn, StackName=change_set.stack)
        status, reasons = await_stack(cloud, change_set.stack, seen, progress)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise CloudError(
            f"The stack {change_set.stack} ended as {status}: {' '.join(reasons[:3]) or 'no reason given'}",
            "What had been changed was rolled back.",
        )
    return read_outputs(cloud, change_set.stack)


def await_stack(cloud: Cloud, stack: str, seen: set[str], progress: Progress) -> tuple[str, list[str]]:
    """Wait; give the final status ("" = gone) and why resources failed. Tells events not in `seen`."""
    reasons: list[str] = []
    while True:
        found = describe(cloud, stack)
        for event in reversed([e for e in list_events(cloud, stack) if e["EventId"] not in seen]):
            seen.add(event["EventId"])
            status, reason = event["ResourceStatus"], event.get("ResourceStatusReason", "")
            progress(event["LogicalResourceId"], status, reason)
            if status.endswith("_FAILED"):
                reasons.append(f"{event['LogicalResourceId']}: {reason}")
        status = found.get("StackStatus", "")
        if not status.endswith("_IN_PROGRESS"):
            return status, reasons
        time.sleep(POLL)


def list_events(cloud: Cloud, stack: str) -> list[dict[str, Any]]:
    """The latest events of the stack, newest first; none when there is no such stack."""
    try:
        return list(cloud.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"])
    except ClientError as error:
        if _is_missing(error):
            return []
        raise


def describe(cloud: Cloud, stack: str) -> dict[str, Any]:
    """The stack as CloudFormation describes it; empty when there is none."""
    try:
        return dict(cloud.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0])
    except ClientError as error:
        if _is_missing(error):
            return {}
        raise


def _is_missing(error: ClientError) -> bool:
    return "does not exist" in error.response["Error"].get("Message", "")


def read_outputs(cloud: Cloud, stack: str) -> dict[str, str]:
    """Output -> value. Raises CloudError when there is no such stack."""
    with translate_errors(f"read the outputs of {stack}"):
        found = describe(cloud, stack)
    if found.get("StackStatus", FIRST[0]) in FIRST:
        raise CloudError(
            f"There is no application stack {stack} in {cloud.region}.", "Deploy it: scones app deploy."
        )
    return {entry["OutputKey"]: entry["OutputValue"] for entry in found.get("Outputs", [])}
