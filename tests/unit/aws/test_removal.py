"""Whoever deletes the stack learns what goes on costing money, or that nobody could find out."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from scones.aws import removal
from scones.aws.endpoints import Deployment, deploy_endpoint
from scones.aws.removal import delete_stack
from scones.aws.sessions import Cloud

TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {"EndpointName": {"Value": "vehicles"}},
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        made = Cloud(boto3.Session("key", "secret", region_name="us-east-1"), "local")
        made.client("cloudformation").create_stack(StackName="scones", TemplateBody=json.dumps(TEMPLATE))
        yield made


def remove(cloud: Cloud) -> list[str]:
    return delete_stack(cloud, "scones", lambda *_: None)


def test_nothing_is_left_where_there_is_no_endpoint(cloud: Cloud) -> None:
    assert remove(cloud) == []
    assert remove(cloud) == []  # it is gone already


def test_an_endpoint_that_runs_is_named(cloud: Cloud) -> None:
    role = "arn:aws:iam::123456789012:role/scones"
    deploy_endpoint(cloud, Deployment("vehicles", "scones:1", "s3://models/model.tar.gz", role))
    [line] = remove(cloud)
    assert line.startswith("SageMaker endpoint vehicles: it still runs and costs money")


def test_an_endpoint_that_may_not_be_looked_for_is_named_too(cloud: Cloud) -> None:
    with Stubber(cloud.client("sagemaker")) as stub:
        stub.add_client_error("describe_endpoint", "AccessDeniedException", "You may not look.")
        [line] = remove(cloud)
    assert line.startswith("SageMaker endpoint vehicles: it may still run and cost money")
    assert "You may not look." in line


def test_a_key_that_was_never_made_is_not_kept() -> None:
    key = {"LogicalResourceId": "Key", "ResourceType": "AWS::KMS::Key", "ResourceStatus": "CREATE_FAILED"}
    assert removal._list_kept([key, {**key, "PhysicalResourceId": "made"}]) == [
        "KMS key made: AWS deletes it after 7 days, at no cost."
    ]
