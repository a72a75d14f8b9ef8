"""Models are registered once; endpoints are deleted with all that they cost, whatever is gone already."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import boto3
import pytest
from moto import mock_aws

from scones.aws import endpoints
from scones.aws.endpoints import (
    Deployment,
    delete_endpoint,
    deploy_endpoint,
    read_endpoint,
)
from scones.aws.model_packages import find_model, register_model
from scones.aws.sessions import Cloud
from scones.errors import CloudError

ROLE = "arn:aws:iam::123456789012:role/scones"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        made = Cloud(boto3.Session("key", "secret", region_name="us-east-1"), "local")
        deploy_endpoint(made, Deployment("vehicles", "scones:1", "s3://models/model.tar.gz", ROLE))
        yield made


def test_a_model_is_registered_once_in_its_group(cloud: Cloud) -> None:
    for number in range(12):  # more than one page of groups with such a name
        cloud.client("sagemaker").create_model_package_group(ModelPackageGroupName=f"cars-{number}")
    first, second = (Deployment("vehicles", "scones:1", f"s3://models/{n}.tar.gz", ROLE) for n in "ab")
    assert find_model(cloud, "cars", first.artifact) is None
    made = register_model(cloud, "cars", first, "good")
    assert find_model(cloud, "cars", first.artifact) == register_model(cloud, "cars", first, "good") == made
    assert find_model(cloud, "cars", second.artifact) is None
    assert register_model(cloud, "cars", first, "good", again=True) != made


def test_an_endpoint_that_never_settles_is_not_awaited_for_ever(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled = endpoints.await_settled(cloud, "vehicles")
    assert settled
    assert settled.status == "InService"
    assert endpoints.await_settled(cloud, "nowhere") is None
    statuses = iter(["Updating", "Updating", "InService"])
    changing = lambda _, name: replace(settled, status=next(statuses))  # noqa: E731
    monkeypatch.setattr(endpoints, "read_endpoint", changing)
    assert endpoints.await_settled(cloud, "vehicles") == settled
    monkeypatch.setattr(endpoints, "read_endpoint", lambda _, name: replace(settled, status="Updating"))
    monkeypatch.setattr(endpoints, "MOST_SECONDS", 0.0)
    with pytest.raises(CloudError, match="is still Updating after 0 s"):
        endpoints.await_settled(cloud, "vehicles")


def test_an_endpoint_goes_with_its_configuration_and_model(cloud: Cloud) -> None:
    assert delete_endpoint(cloud, "vehicles")
    sagemaker = cloud.client("sagemaker")
    assert sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
    assert sagemaker.list_models()["Models"] == []
    assert not delete_endpoint(cloud, "vehicles")


def test_an_endpoint_goes_although_its_configuration_is_gone(cloud: Cloud) -> None:
    endpoint = read_endpoint(cloud, "vehicles")
    assert endpoint
    cloud.client("sagemaker").delete_endpoint_config(EndpointConfigName=endpoint.config)
    assert delete_endpoint(cloud, "vehicles")
    assert read_endpoint(cloud, "vehicles") is None
