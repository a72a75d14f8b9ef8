"""Every operation refuses once, and every error code of the reference page is provoked, over the wire."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from sagemaker_local.api.operations import OPERATIONS
from sagemaker_local.protocol import load_model
from sagemaker_local.scalable import METHODS

from .conftest import IMAGE, LocalSageMaker, training_request
from .test_endpoints import make_config, put_model, wait_in_service
from .test_monitoring_schedules import schedule_config
from .test_processing_and_transform_jobs import processing_request, transform_request

PAGE = Path(__file__).parents[3] / "docs/reference/sagemaker-local.md"
TAKEN = "taken"  # a bucket and one resource of each kind
NONE = "nobody"
ARN = "arn:aws:sagemaker:us-east-1:000000000000"
BAD_PAGE = {"NextToken": "made-up"}
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    "ResourceId": f"endpoint/{NONE}/variant/AllTraffic",
}
TRACKING = {
    "PolicyName": NONE,
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingScalingPolicyConfiguration": {
        "TargetValue": 1.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    },
}
TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
SPECIFICATION = {
    "Containers": [{"Image": IMAGE}],
    "SupportedContentTypes": ["image/png"],
    "SupportedResponseMIMETypes": ["application/json"],
}
VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": NONE,
    "InstanceType": "ml.m5.large",
    "InitialInstanceCount": 1,
}


def cluster_of_two() -> dict[str, Any]:
    return processing_request(NONE, TAKEN) | {"ProcessingResources": {"ClusterConfig": TWO}}


def schedule_request(name: str) -> dict[str, Any]:
    config = schedule_config(TAKEN, TAKEN, ScheduleExpression="cron(0 * ? * * *)")
    return {"MonitoringScheduleName": name, "MonitoringScheduleConfig": config}


INVALID, UNKNOWN, IN_USE = "ValidationException", "ResourceNotFound", "ResourceInUse"
LIMIT, CONFLICT = "ResourceLimitExceeded", "ConflictException"
SAGEMAKER: list[tuple[str, dict[str, Any], str]] = [
    ("AddTags", {"ResourceArn": f"{ARN}:model/{NONE}", "Tags": [{"Key": "a", "Value": "b"}]}, UNKNOWN),
    ("CreateEndpoint", {"EndpointName": NONE, "EndpointConfigName": NONE}, INVALID),
    ("CreateEndpointConfig", {"EndpointConfigName": NONE, "ProductionVariants": [VARIANT]}, INVALID),
    ("CreateModel", {"ModelName": TAKEN, "PrimaryContainer": {"Image": IMAGE}}, INVALID),
    ("CreateModelPackage", {"InferenceSpecification": SPECIFICATION}, INVALID),
    ("CreateModelPackageGroup", {"ModelPackageGroupName": TAKEN}, INVALID),
    ("CreateMonitoringSchedule", schedule_request(TAKEN), IN_USE),
    ("CreateProcessingJob", processing_request(TAKEN, TAKEN), IN_USE),
    ("CreateProcessingJob", cluster_of_two(), LIMIT),
    ("CreateTrainingJob", training_request(TAKEN, TAKEN), IN_USE),
    ("CreateTrainingJob", training_request(NONE, TAKEN, ResourceConfig=TWO), LIMIT),
    ("CreateTransformJob", transform_request(TAKEN, TAKEN), IN_USE),
    ("CreateTransformJob", transform_request(NONE, TAKEN), INVALID),
    ("DeleteEndpoint", {"EndpointName": NONE}, INVALID),
    ("DeleteEndpointConfig", {"EndpointConfigName": NONE}, INVALID),
    ("DeleteModel", {"ModelName": NONE}, INVALID),
    ("DeleteModelPackage", {"ModelPackageName": NONE}, INVALID),
    ("DeleteModelPackageGroup", {"ModelPackageGroupName": TAKEN}, CONFLICT),
    ("DeleteMonitoringSchedule", {"MonitoringScheduleName": NONE}, UNKNOWN),
    ("DeleteTags", {"ResourceArn": f"{ARN}:model/{NONE}", "TagKeys": ["a"]}, UNKNOWN),
    ("DescribeEndpoint", {"EndpointName": NONE}, INVALID),
    ("DescribeEndpointConfig", {"EndpointConfigName": NONE}, INVALID),
    ("DescribeModel", {"ModelName": NONE}, INVALID),
    ("DescribeModelPackage", {"ModelPackageName": NONE}, INVALID),
    ("DescribeModelPackageGroup", {"ModelPackageGroupName": NONE}, INVALID),
    ("DescribeMonitoringSchedule", {"MonitoringScheduleName": NONE}, UNKNOWN),
    ("DescribeProcessingJob", {"ProcessingJobName": NONE}, INVALID),
    ("DescribeTrainingJob", {"TrainingJobName": NONE}, INVALID),
    ("DescribeTransformJob", {"TransformJobName": NONE}, INVALID),
    ("ListEndpointConfigs", BAD_PAGE, INVALID),
    ("ListEndpoints", BAD_PAGE, INVALID),
    ("ListModelPackageGroups", BAD_PAGE, INVALID),
    ("ListModelPackages", BAD_PAGE, INVALID),
    ("ListModels", BAD_PAGE, INVALID),
    ("ListMonitoringExecutions", BAD_PAGE, INVALID),
    ("ListMonitoringSchedules", BAD_PAGE, INVALID),
    ("ListProcessingJobs", BAD_PAGE, INVALID),
    ("ListTags", {"ResourceArn": "no ARN"}, INVALID),
    ("ListTrainingJobs", BAD_PAGE, INVALID),
    ("ListTransformJobs", BAD_PAGE, INVALID),
    ("StartMonitoringSchedule", {"MonitoringScheduleName": NONE}, UNKNOWN),
    ("StopMonitoringSchedule", {"MonitoringScheduleName": NONE}, UNKNOWN),
    ("StopProcessingJob", {"ProcessingJobName": NONE}, INVALID),
    ("StopTrainingJob", {"TrainingJobName": NONE}, INVALID),
    ("StopTransformJob", {"TransformJobName": NONE}, INVALID),
    ("UpdateEndpoint", {"EndpointName": NONE, "EndpointConfigName": TAKEN}, INVALID),
    (
        "UpdateEndpointWeightsAndCapacities",
        {"EndpointName": NONE, "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic"}]},
        INVALID,
    ),
    ("UpdateModelPackage", {"ModelPackageArn": f"{ARN}:model-package/{NONE}/1"}, INVALID),
    ("UpdateMonitoringSchedule", schedule_request(NONE), UNKNOWN),
    ("CreateCluster", {"ClusterName": NONE}, INVALID),  # not here
]
SCALING: list[tuple[str, dict[str, Any], str]] = [
    ("DeleteScalingPolicy", {**TARGET, "PolicyName": NONE}, "ObjectNotFoundException"),
    ("DeregisterScalableTarget", TARGET, "ObjectNotFoundException"),
    *(
        (name, {"ServiceNamespace": "sagemaker", **BAD_PAGE}, "InvalidNextTokenException")
        for name in ("DescribeScalableTargets", "DescribeScalingActivities", "DescribeScalingPolicies")
    ),
    ("PutScalingPolicy", {**TARGET, **TRACKING}, "ObjectNotFoundException"),
    ("RegisterScalableTarget", {**TARGET, "MinCapacity": 1, "MaxCapacity": 2}, INVALID),
]
RUNTIME: list[tuple[str, dict[str, Any], str]] = [
    ("InvokeEndpoint", {"EndpointName": NONE, "Body": b"x"}, "ValidationError"),
    ("InvokeEndpoint", {"EndpointName": TAKEN, "Body": b"fail"}, "ModelError"),
    ("InvokeEndpoint", {"EndpointName": TAKEN, "Body": bytes(25 * 1024**2 + 1)}, "413"),
]
# Over the wire as boto3 never sends it: X-Amz-Target, body, code.
RAW = [
    ("SageMaker.MakeTea", b"{}", "UnknownOperationException"),
    ("SageMaker.ListModels", b"{", "SerializationException"),
    ("SageMaker.ListModels", b'{"MaxResults": "ten"}', "SerializationException"),
    ("SageMaker.ListModels", bytes(27 * 1024**2), "RequestEntityTooLargeException"),
]
# What a program without faults cannot be brought to say over the wire, and the tests that provoke it.
ELSEWHERE = {
    ("SageMaker", "InternalFailure"): "tests/unit/test_sagemaker_local_protocol.py",
    ("SageMaker Runtime", "ServiceUnavailable"): "tests/unit/endpoints/test_fleet.py",
}


@pytest.fixture(scope="module")
def taken(sagemaker: Any, s3: Any) -> None:
    """One resource of each kind."""
    s3.create_bucket(Bucket=TAKEN)
    make_config(sagemaker, TAKEN, put_model(s3, TAKEN))
    sagemaker.create_endpoint(EndpointName=TAKEN, EndpointConfigName=TAKEN)
    s3.put_object(Bucket=TAKEN, Key="in/a.txt", Body=b"x")
    sagemaker.create_training_job(**training_request(TAKEN, TAKEN))
    sagemaker.create_processing_job(**processing_request(TAKEN, TAKEN))
    sagemaker.create_transform_job(**transform_request(TAKEN, TAKEN))
    sagemaker.create_model_package_group(ModelPackageGroupName=TAKEN)
    sagemaker.create_model_package(ModelPackageGroupName=TAKEN, InferenceSpecification=SPECIFICATION)
    wait_in_service(sagemaker, TAKEN)
    sagemaker.create_monitoring_schedule(**schedule_request(TAKEN))


@pytest.mark.usefixtures("taken")
@pytest.mark.parametrize(
    ("service", "operation", "request_", "code"),
    [
        pytest.param(service, *case, id=f"{case[0]}-{case[2]}")
        for service, cases in (
            ("sagemaker", SAGEMAKER),
            ("application-autoscaling", SCALING),
            ("sagemaker-runtime", RUNTIME),
        )
        for case in cases
    ],
)
def test_an_operation_refuses_with_the_documented_code(
    cloud: LocalSageMaker, service: str, operation: str, request_: dict[str, Any], code: str
) -> None:
    call: Callable[..., Any] = getattr(cloud.client(service), xform_name(operation))
    with pytest.raises(ClientError) as caught:
        call(**request_)
    error = caught.value.response["Error"]
    assert (error["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (
        code,
        read_page()[NAMES[service], code],
    )
    assert len(error["Message"]) > 10


@pytest.mark.parametrize(("target", "body", "code"), RAW)
def test_what_is_no_request_is_refused_with_the_documented_code(
    cloud: LocalSageMaker, target: str, body: bytes, code: str
) -> None:
    credential = "Credential=000000000000/20260101/us-east-1/sagemaker/aws4_request"
    connection = http.client.HTTPConnection(cloud.url.removeprefix("http://"), timeout=30)
    try:
        headers = {"X-Amz-Target": target, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        assert json.loads(answer.read())["__type"] == code
        assert answer.status == read_page()["SageMaker", code]
    finally:
        connection.close()


NAMES = {
    "sagemaker": "SageMaker",
    "sagemaker-runtime": "SageMaker Runtime",
    "application-autoscaling": "Application Auto Scaling",
}


def read_page() -> dict[tuple[str, str], int]:
    """Service and code -> HTTP status, of the reference page's table."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Errors\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([A-Z][A-Za-z ]+) \| `(\w+)` \| (\d+) \|", section, re.MULTILINE)
    return {(service, code): int(status) for service, code, status in rows}


def test_every_code_of_the_page_and_of_the_models_is_provoked() -> None:
    provoked = {("SageMaker", code) for _, _, code in (*SAGEMAKER, *RAW)}
    provoked |= {("Application Auto Scaling", code) for _, _, code in SCALING}
    provoked |= {("SageMaker Runtime", code) for _, _, code in RUNTIME}
    assert provoked | set(ELSEWHERE) == set(read_page())
    for (_, code), path in ELSEWHERE.items():
        assert code in (PAGE.parents[2] / path).read_text(encoding="utf-8")
    model = load_model("sagemaker")
    documented = {
        shape.error_code or shape.name
        for name in OPERATIONS
        for shape in model.operation_model(name).error_shapes
    }
    assert documented <= {code for service, code in provoked if service == "SageMaker"}


def test_every_operation_refuses_something() -> None:
    assert {operation for operation, _, _ in SAGEMAKER} >= set(OPERATIONS)
    assert {operation for operation, _, _ in SCALING} == set(METHODS)
