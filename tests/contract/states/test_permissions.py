"""A task needs the permission of its state machine's role, where IAM is enforced."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from ..lambdas.conftest import Cloud

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def allow(action: str, resource: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def run_as(cloud: Cloud, policy: dict[str, Any], task: dict[str, Any], patch: pytest.MonkeyPatch) -> Any:
    """The execution of a one-task machine whose role has this policy, with IAM enforced meanwhile."""
    from ministack import app
    from ministack.services import stepfunctions

    role = f"role-{uuid.uuid4().hex}"
    iam = cloud.client("iam")
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(policy))
    definition = {"StartAt": "One", "States": {"One": {"Type": "Task", "End": True, **task}}}
    machine = cloud.client("stepfunctions").create_state_machine(
        name=role, definition=json.dumps(definition), roleArn=arn
    )
    with patch.context() as enforced:
        enforced.setattr(app, "AUTH", True)
        request = {"stateMachineArn": machine["stateMachineArn"], "input": "{}"}
        started = json.loads(stepfunctions._start_execution(request)[2])
        execution = stepfunctions._executions[started["executionArn"]]
        deadline = time.monotonic() + 20
        while execution["status"] == "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.02)
    return execution


LAMBDA = {"Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "allowed"}}


@pytest.mark.parametrize(
    ("action", "resource", "error"),
    [
        ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:000000000000:function:allowed", None),
        ("lambda:*", "*", None),
        ("lambda:InvokeFunction", "arn:aws:lambda:*:*:function:other", "Lambda.AWSLambdaException"),
        ("lambda:GetFunction", "*", "Lambda.AWSLambdaException"),
    ],
)
def test_a_lambda_task_needs_its_permission(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, action: str, resource: str, error: str | None
) -> None:
    cloud.create_function("allowed", "def handler(event, context): return 1")
    execution = run_as(cloud, allow(action, resource), LAMBDA, monkeypatch)
    assert execution.get("error") == error
    if error:
        assert "is not authorized to perform: lambda:InvokeFunction" in execution["cause"]


def test_a_message_needs_its_permission(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = cloud.client("sqs").create_queue(QueueName=f"q-{uuid.uuid4().hex}")["QueueUrl"]
    parameters = {"QueueUrl": queue, "MessageBody": "review"}
    task = {"Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": parameters}
    arn = f"arn:aws:sqs:us-east-1:000000000000:{queue.rpartition('/')[2]}"
    for policy, error in (
        (allow("sqs:SendMessage", arn), None),
        (allow("sns:*", "*"), "SQS.AmazonSQSException"),
    ):
        assert run_as(cloud, policy, task, monkeypatch).get("error") == error


def test_a_copy_needs_both_permissions(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = f"photos-{uuid.uuid4().hex}"
    cloud.client("s3").create_bucket(Bucket=bucket)
    cloud.client("s3").put_object(Bucket=bucket, Key="in/1 a.png", Body=b"x")
    parameters = {"Bucket": bucket, "Key": "out/1.png", "CopySource": f"{bucket}/in/1%20a.png"}
    task = {"Resource": "arn:aws:states:::aws-sdk:s3:copyObject", "Parameters": parameters}
    both = allow("s3:GetObject", f"arn:aws:s3:::{bucket}/in/*")
    both["Statement"] += allow("s3:PutObject", f"arn:aws:s3:::{bucket}/out/*")["Statement"]
    assert run_as(cloud, both, task, monkeypatch)["status"] == "SUCCEEDED"
    for policy in (allow("s3:GetObject", "*"), allow("s3:PutObject", "*")):
        assert run_as(cloud, policy, task, monkeypatch)["error"] == "S3.S3Exception"
