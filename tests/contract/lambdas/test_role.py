"""In the whole local cloud, where IAM is enforced: a handler may do what its role may, and no more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..local_cloud.conftest import LocalCloud
from .conftest import archive

HANDLER = """
import boto3, botocore
def handler(event, context):
    s3 = boto3.client("s3")
    try:
        s3.put_object(Bucket=event["bucket"], Key=event["key"], Body=b"x")
        return "written"
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    cloud = LocalCloud(tmp_path / "state")
    cloud.up()
    yield cloud.session()
    cloud.down()


def create_role(client: Callable[[str], Any], service: str, action: str, resource: str) -> str:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    allow = {"Effect": "Allow", "Action": action, "Resource": resource}
    documents = [json.dumps({"Version": "2012-10-17", "Statement": [one]}) for one in (trust, allow)]
    name = service.partition(".")[0]
    role = client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=documents[0])["Role"]
    client("iam").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=documents[1])
    return str(role["Arn"])


def test_a_handler_and_a_state_machine_have_the_permissions_of_their_roles(
    client: Callable[[str], Any],
) -> None:
    client("s3").create_bucket(Bucket="inbox")
    writer = create_role(client, "lambda.amazonaws.com", "s3:PutObject", "arn:aws:s3:::inbox/in/*")
    for name in ("writes", "forbidden"):
        client("lambda").create_function(
            FunctionName=name, Runtime="python3.11", Handler="app.handler", Role=writer, Timeout=60,
            Code={"ZipFile": archive({"app.py": HANDLER})},
        )  # fmt: skip

    def run(key: str) -> Any:
        event = json.dumps({"bucket": "inbox", "key": key})
        return json.loads(client("lambda").invoke(FunctionName="writes", Payload=event)["Payload"].read())

    assert run("in/1") == "written"
    assert run("out/1") == "AccessDenied"
    assert [item["Key"] for item in client("s3").list_objects_v2(Bucket="inbox")["Contents"]] == ["in/1"]

    caller = create_role(
        client, "states.amazonaws.com", "lambda:InvokeFunction", "arn:aws:lambda:*:*:function:writes"
    )
    for name, status in (("writes", "SUCCEEDED"), ("forbidden", "FAILED")):
        parameters = {"FunctionName": name, "Payload": {"bucket": "inbox", "key": "in/2"}}
        task = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": parameters,
            "End": True,
        }
        definition = json.dumps({"StartAt": "A", "States": {"A": task}})
        states = client("stepfunctions")
        machine = states.create_state_machine(name=name, definition=definition, roleArn=caller)
        arn = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
        while (found := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.05)
        assert found["status"] == status, found
