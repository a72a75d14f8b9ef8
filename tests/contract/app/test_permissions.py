"""Least privilege: each role may do its own work (the other tests pass with enforcement on) and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.app.conftest import STACK, Application

ROLES = (
    "SerializeImage", "ClassifyImage", "FilterInferences", "AssignOrder", "ExplainFailure", "StartDelivery",
    "SweepCheckins", "ListImages", "SummarizeBatch", "RouteDelivery", "RouteBatch",
)  # fmt: skip

REFUSED = re.compile("AccessDenied|Authorization")

# What no role of the application may do, and what only the roles named may.
Call = Callable[[Application, dict[str, str]], Any]
FORBIDDEN: dict[str, tuple[Call, set[str]]] = {
    "delete a photo": (
        lambda a, c: a.client("s3", **c).delete_object(Bucket=a.outputs["BucketName"], Key="incoming/d/x"),
        set(),
    ),
    "overwrite a photo": (
        lambda a, c: a.client("s3", **c).put_object(
            Bucket=a.outputs["BucketName"], Key="incoming/d/x", Body=b""
        ),
        set(),
    ),
    "read a batch's manifest": (
        lambda a, c: a.client("s3", **c).get_object(Bucket=a.outputs["BucketName"], Key="batches/probe.json"),
        {"ListImages", "SummarizeBatch", "RouteBatch"},
    ),
    "read every order": (
        lambda a, c: a.client("dynamodb", **c).scan(TableName=a.outputs["OrdersTableName"]), set(),
    ),
    "write an order": (
        lambda a, c: a.client("dynamodb", **c).put_item(
            TableName=a.outputs["OrdersTableName"], Item={"order_id": {"S": "own"}}
        ),
        set(),
    ),
    "read a check-in": (
        lambda a, c: a.client("dynamodb", **c).get_item(
            TableName=a.outputs["CheckinsTableName"], Key={"checkin_id": {"S": "x"}}
        ),
        {"AssignOrder"},
    ),
    "start an execution": (
        lambda a, c: a.client("stepfunctions", **c).start_execution(
            stateMachineArn=a.outputs["RouteDeliveryArn"], input=json.dumps({"s3_bucket": "b", "s3_key": "k"})
        ),
        {"StartDelivery", "RouteBatch"},
    ),
    "read the review queue": (
        lambda a, c: a.client("sqs", **c).receive_message(QueueUrl=a.outputs["ReviewQueueUrl"]), set(),
    ),
    "alert": (
        lambda a, c: a.client("sns", **c).publish(TopicArn=a.outputs["AlertTopicArn"], Message="probe"),
        {"SweepCheckins", "RouteDelivery", "RouteBatch"},
    ),
    "call a function": (
        lambda a, c: a.client("lambda", **c).invoke(FunctionName=f"{STACK}-filter-inferences", Payload=b"{}"),
        {"RouteDelivery"},
    ),
    "change a function": (
        lambda a, c: a.client("lambda", **c).update_function_configuration(
            FunctionName=f"{STACK}-filter-inferences", Timeout=9
        ),
        set(),
    ),
    "give itself a policy": (
        lambda a, c: a.client("iam", **c).list_roles(), set(),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def credentials(application: Application) -> dict[str, dict[str, str]]:
    """Role -> its credentials, taken as the service takes them: from IAM's record of the role."""
    application.client("s3").put_object(
        Bucket=application.outputs["BucketName"], Key="batches/probe.json", Body=b"[]"
    )
    return {role: assume(application, role) for role in ROLES}


def assume(application: Application, role: str) -> dict[str, str]:
    """The trust policy names a service; for the test the account is added, and nothing else changed."""
    cloudformation, iam = application.client("cloudformation"), application.client("iam")
    found = cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=f"{role}Role")
    name = found["StackResourceDetail"]["PhysicalResourceId"]
    described = iam.get_role(RoleName=name)["Role"]
    trust = described["AssumeRolePolicyDocument"]
    account = {
        "Effect": "Allow",
        "Principal": {"AWS": described["Arn"].split(":")[4]},
        "Action": "sts:AssumeRole",
    }
    opened = {**trust, "Statement": [*trust["Statement"], account]}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(opened))
    made = application.client("sts").assume_role(RoleArn=described["Arn"], RoleSessionName="probe")[
        "Credentials"
    ]
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    return {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }


@pytest.mark.parametrize("action", FORBIDDEN)
def test_only_who_has_to_may(
    application: Application, credentials: dict[str, dict[str, str]], action: str
) -> None:
    call, expected = FORBIDDEN[action]
    allowed = set()
    for role in ROLES:
        try:
            call(application, credentials[role])
            code = ""
        except ClientError as error:
            code = error.response["Error"]["Code"]
        if not REFUSED.search(code):
            assert code == "", f"{role}: {code}"
            allowed.add(role)
    assert allowed == expected
