"""Models, endpoint configurations and endpoints, as boto3 sees them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import IMAGE, ROLE, wait_for


def put_model(s3: Any, bucket: str, key: str = "model.tar.gz", *names: str) -> str:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name in names or ("weights",):
            archive.addfile(tarfile.TarInfo(name))
    s3.put_object(Bucket=bucket, Key=key, Body=data.getvalue())
    return f"s3://{bucket}/{key}"


def make_config(sagemaker: Any, name: str, model_uri: str, **changes: Any) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": model_uri, "Environment": {"MY": "1"}}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **changes)


def wait_in_service(sagemaker: Any, name: str) -> dict[str, Any]:
    return wait_for(
        lambda: sagemaker.describe_endpoint(EndpointName=name),
        lambda endpoint: endpoint["EndpointStatus"] in ("InService", "Failed"),
    )


def deploy(sagemaker: Any, name: str, model_uri: str, **changes: Any) -> dict[str, Any]:
    """Create an endpoint of one model; its description once it is in service, or failed."""
    make_config(sagemaker, name, model_uri, **changes)
    created = sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    endpoint = wait_in_service(sagemaker, name)
    assert endpoint["EndpointArn"] == created["EndpointArn"]
    return endpoint


def test_an_endpoint_serves_is_updated_resized_and_deleted(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    endpoint = deploy(sagemaker, name, put_model(s3, bucket))
    assert endpoint["EndpointStatus"] == "InService", endpoint
    runtime = cloud.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=name, Body=b"hello", ContentType="text/plain")
    told = json.loads(answer["Body"].read())
    assert (told["body"], told["files"], told["type"]) == ("hello", ["weights"], "text/plain")
    assert answer["InvokedProductionVariant"] == "AllTraffic"

    make_config(sagemaker, f"{name}-2", put_model(s3, bucket, "second.tar.gz", "other"))
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-2")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName=name)
    assert wait_in_service(sagemaker, name)["EndpointConfigName"] == f"{name}-2"
    assert json.loads(runtime.invoke_endpoint(EndpointName=name, Body=b"x")["Body"].read())["files"] == [
        "other"
    ]

    change = {"VariantName": "AllTraffic", "DesiredInstanceCount": 2, "DesiredWeight": 3.0}
    sagemaker.update_endpoint_weights_and_capacities(EndpointName=name, DesiredWeightsAndCapacities=[change])
    (variant,) = wait_in_service(sagemaker, name)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (2, 3.0)

    sagemaker.delete_endpoint(EndpointName=name)
    sagemaker.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    with pytest.raises(runtime.exceptions.ClientError) as caught:
        runtime.invoke_endpoint(EndpointName=name, Body=b"x")
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_an_endpoint_that_cannot_start_is_failed_with_the_reason(
    sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    endpoint = deploy(sagemaker, name, put_model(s3, bucket, "model.tar.gz", "exit"))
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"]
    sagemaker.delete_endpoint(EndpointName=name)


def test_an_update_that_cannot_start_leaves_the_old_fleet(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    deploy(sagemaker, name, put_model(s3, bucket))
    make_config(sagemaker, f"{name}-bad", put_model(s3, bucket, "bad.tar.gz", "exit"))
    sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-bad")
    endpoint = wait_in_service(sagemaker, name)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", name)
    assert endpoint["FailureReason"]
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"x")
    assert json.loads(answer["Body"].read())["files"] == ["weights"]
    sagemaker.delete_endpoint(EndpointName=name)


def test_a_resize_ends_whatever_goes_wrong(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    deploy(sagemaker, name, put_model(s3, bucket))
    (folder,) = (cloud.state_dir / "endpoints").glob(f"{name}-*")
    away = folder.rename(folder.with_name(f"away-{name}"))
    folder.touch()  # no worker can make its own folder below a file
    change = {"VariantName": "AllTraffic", "DesiredInstanceCount": 2}
    try:
        sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=[change]
        )
        endpoint = wait_in_service(sagemaker, name)
    finally:
        folder.unlink()
        away.rename(folder)
    assert "Not a directory" in endpoint["FailureReason"]
    (variant,) = endpoint["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (1, 1)
    sagemaker.delete_endpoint(EndpointName=name)


def test_model_errors_carry_the_containers_own_words(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    deploy(sagemaker, name, put_model(s3, bucket))
    runtime = cloud.client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=name, Body=b"fail")
    assert caught.value.response["OriginalStatusCode"] == 500
    assert "told to fail" in caught.value.response["OriginalMessage"]
    sagemaker.delete_endpoint(EndpointName=name)


def test_names_are_unknown_or_taken_in_awss_words(sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    for call, noun in (
        (lambda: sagemaker.describe_model(ModelName=name), "model"),
        (lambda: sagemaker.describe_endpoint(EndpointName=name), "endpoint"),
        (lambda: sagemaker.describe_endpoint_config(EndpointConfigName=name), "endpoint configuration"),
        (
            lambda: sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name),
            "endpoint configuration",
        ),
    ):
        with pytest.raises(ClientError, match=f'Could not find {noun} "arn:aws:sagemaker:'):
            call()
    make_config(sagemaker, name, put_model(s3, bucket))
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        sagemaker.create_model(ModelName=name, PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    sagemaker.delete_model(ModelName=name)
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.delete_model(ModelName=name)


def test_a_package_must_be_approved_before_it_is_deployed(
    sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    uri = put_model(s3, bucket)
    sagemaker.create_model_package_group(ModelPackageGroupName=name)
    specification = {
        "Containers": [{"Image": IMAGE, "ModelDataUrl": uri}],
        "SupportedContentTypes": ["image/png"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    arns = [
        sagemaker.create_model_package(ModelPackageGroupName=name, InferenceSpecification=specification)[
            "ModelPackageArn"
        ]
        for _ in range(2)
    ]
    assert [arn.rpartition("/")[2] for arn in arns] == ["1", "2"]
    container = {"ModelPackageName": arns[1]}
    with pytest.raises(ClientError, match="PendingManualApproval"):
        sagemaker.create_model(ModelName=name, Containers=[container], ExecutionRoleArn=ROLE)
    sagemaker.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved")
    sagemaker.create_model(ModelName=name, Containers=[container], ExecutionRoleArn=ROLE)
    approved = sagemaker.list_model_packages(ModelPackageGroupName=name, ModelApprovalStatus="Approved")
    assert [package["ModelPackageVersion"] for package in approved["ModelPackageSummaryList"]] == [2]
    with pytest.raises(sagemaker.exceptions.ConflictException, match="still has Model Packages"):
        sagemaker.delete_model_package_group(ModelPackageGroupName=name)
