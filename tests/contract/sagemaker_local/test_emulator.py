"""Step Functions and CloudFormation reach SageMaker through ministack's private tables; this guards them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import IMAGE, ROLE, training_request, wait_for
from .test_endpoints import deploy, put_model
from .test_monitoring_schedules import schedule_config
from .test_processing_and_transform_jobs import processing_request, transform_request


def run_task(cloud: Any, name: str, resource: str, parameters: dict[str, Any]) -> dict[str, Any]:
    states = cloud.client("stepfunctions")
    task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
    machine = states.create_state_machine(
        name=name, definition=json.dumps({"StartAt": "Run", "States": {"Run": task}}), roleArn=ROLE
    )
    execution = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    return wait_for(
        lambda: states.describe_execution(executionArn=execution), lambda found: found["status"] != "RUNNING"
    )


def test_sync_waits_for_the_job_and_answers_with_its_description(cloud: Any, bucket: str, name: str) -> None:
    request = training_request(name, bucket, HyperParameters={"epochs": "1", "seconds": "0.3"})
    ended = run_task(cloud, name, "arn:aws:states:::sagemaker:createTrainingJob.sync", request)
    assert ended["status"] == "SUCCEEDED", ended
    job = json.loads(ended["output"])
    assert job["TrainingJobStatus"] == "Completed"
    assert job["TrainingEndTime"] > 1e12  # milliseconds


def test_sync_fails_with_the_description_of_a_failed_job(cloud: Any, bucket: str, name: str) -> None:
    request = training_request(name, bucket, HyperParameters={"failure": "no images", "code": "1"})
    ended = run_task(cloud, name, "arn:aws:states:::sagemaker:createTrainingJob.sync", request)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert "no images" in json.loads(ended["cause"])["FailureReason"]


def test_sync_waits_for_processing_and_transform_jobs_too(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="in/a.txt", Body=b"photo")
    container = {"Image": IMAGE, "ModelDataUrl": put_model(s3, bucket)}
    sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=ROLE)
    for noun, request, key in (
        ("Processing", processing_request(name, bucket), "out/a.txt"),
        ("Transform", transform_request(name, bucket), "out/a.txt.out"),
    ):
        resource = f"arn:aws:states:::sagemaker:create{noun}Job.sync"
        ended = run_task(cloud, f"{name}-{noun}", resource, request)
        assert ended["status"] == "SUCCEEDED", ended
        assert json.loads(ended["output"])[f"{noun}JobStatus"] == "Completed"
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] > 0
    fails = processing_request(f"{name}-fails", bucket, ContainerArguments=["fail"])
    ended = run_task(cloud, f"{name}-fails", "arn:aws:states:::sagemaker:createProcessingJob.sync", fails)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert "exit code: 3" in json.loads(ended["cause"])["FailureReason"]


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        ("sagemaker:createTrainingJob", "SageMaker.ResourceInUseException"),
        ("sagemaker:createEndpoint", "SageMaker.AmazonSageMakerException"),
        ("aws-sdk:sagemaker:describeEndpoint", "SageMaker.SageMakerException"),
    ],
)
def test_refusals_are_named_as_step_functions_names_them(
    cloud: Any, sagemaker: Any, bucket: str, name: str, resource: str, error: str
) -> None:
    sagemaker.create_training_job(**training_request(name, bucket))
    everything = {
        "sagemaker:createTrainingJob": training_request(name, bucket),
        "sagemaker:createEndpoint": {"EndpointName": name, "EndpointConfigName": name},
        "aws-sdk:sagemaker:describeEndpoint": {"EndpointName": name},
    }
    ended = run_task(cloud, name, f"arn:aws:states:::{resource}", everything[resource])
    assert (ended["status"], ended["error"]) == ("FAILED", error)


def test_the_runtime_answers_and_fails_like_the_sdk_integration(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    deploy(sagemaker, name, put_model(s3, bucket))
    resource = "arn:aws:states:::aws-sdk:sagemakerruntime:invokeEndpoint"
    call = {"EndpointName": name, "Body": "hello", "ContentType": "text/plain"}
    ended = run_task(cloud, name, resource, call)
    assert ended["status"] == "SUCCEEDED", ended
    assert json.loads(json.loads(ended["output"])["Body"])["body"] == "hello"
    ended = run_task(cloud, f"{name}-2", resource, {**call, "Body": "fail"})
    assert ended["error"] == "SageMakerRuntime.ModelErrorException"
    sagemaker.delete_endpoint(EndpointName=name)


def make_template(uri: str, count: int, name: str | None = None) -> str:
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": str(count),
        "InitialVariantWeight": 1,
    }
    config = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
    types = {
        "Model": {
            "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": uri},
            **({"ModelName": name} if name else {}),
        },
        "EndpointConfig": {"ProductionVariants": [variant]},
        "Endpoint": {"EndpointConfigName": config},
    }
    logical = {"EndpointConfig": "Config"}
    resources = {
        logical.get(kind, kind): {"Type": f"AWS::SageMaker::{kind}", "Properties": properties}
        for kind, properties in types.items()
    }
    outputs = {
        "Name": {"Value": {"Fn::GetAtt": ["Endpoint", "EndpointName"]}},
        "Arn": {"Value": {"Ref": "Endpoint"}},
    }
    return json.dumps({"Resources": resources, "Outputs": outputs})


def settle(cloudformation: Any, name: str) -> dict[str, Any]:
    return wait_for(
        lambda: cloudformation.describe_stacks(StackName=name)["Stacks"][0],
        lambda stack: not stack["StackStatus"].endswith("_IN_PROGRESS"),
    )


def test_a_stack_makes_updates_and_deletes_an_endpoint(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    cloudformation = cloud.client("cloudformation")
    uri = put_model(s3, bucket)
    cloudformation.create_stack(StackName=name, TemplateBody=make_template(uri, 1))
    stack = settle(cloudformation, name)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
    endpoint = sagemaker.describe_endpoint(EndpointName=outputs["Name"])
    assert (endpoint["EndpointStatus"], endpoint["EndpointArn"]) == ("InService", outputs["Arn"])
    cloudformation.update_stack(StackName=name, TemplateBody=make_template(uri, 2))
    assert settle(cloudformation, name)["StackStatus"] == "UPDATE_COMPLETE"
    (variant,) = sagemaker.describe_endpoint(EndpointName=outputs["Name"])["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 2
    cloudformation.delete_stack(StackName=name)
    wait_for(
        lambda: sagemaker.list_endpoints(NameContains=outputs["Name"])["Endpoints"], lambda found: not found
    )


def make_operations_template(endpoint: str, bucket: str, most: int, hour: int) -> str:
    """What stands around an endpoint: scaling, a package group, a monitoring schedule; no names given."""
    tracking = {
        "TargetValue": "50",
        "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
    }
    config = schedule_config(endpoint, bucket, ScheduleExpression=f"cron(0 {hour} ? * * *)")
    types = {
        "Target": (
            "ApplicationAutoScaling::ScalableTarget",
            {
                "ServiceNamespace": "sagemaker",
                "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
                "ResourceId": f"endpoint/{endpoint}/variant/AllTraffic",
                "MinCapacity": "1",
                "MaxCapacity": str(most),
            },
        ),
        "Policy": (
            "ApplicationAutoScaling::ScalingPolicy",
            {
                "PolicyName": endpoint,
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": {"Ref": "Target"},
                "TargetTrackingScalingPolicyConfiguration": tracking,
            },
        ),
        "Group": ("SageMaker::ModelPackageGroup", {"ModelPackageGroupName": endpoint}),
        "Schedule": (
            "SageMaker::MonitoringSchedule",
            {"MonitoringScheduleName": endpoint, "MonitoringScheduleConfig": config},
        ),
    }
    resources = {
        name: {"Type": f"AWS::{kind}", "Properties": properties} for name, (kind, properties) in types.items()
    }
    outputs = {name: {"Value": {"Ref": name}} for name in types}
    return json.dumps({"Resources": resources, "Outputs": outputs})


def test_a_stack_makes_updates_and_deletes_what_stands_around_an_endpoint(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    deploy(sagemaker, name, put_model(s3, bucket))
    scaling, cloudformation = cloud.client("application-autoscaling"), cloud.client("cloudformation")

    def read() -> tuple[int, str]:
        resource = f"endpoint/{name}/variant/AllTraffic"
        (target,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[resource])[
            "ScalableTargets"
        ]
        schedule = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=name)
        expression = schedule["MonitoringScheduleConfig"]["ScheduleConfig"]["ScheduleExpression"]
        return target["MaxCapacity"], expression

    cloudformation.create_stack(StackName=name, TemplateBody=make_operations_template(name, bucket, 3, 17))
    stack = settle(cloudformation, name)
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack
    made = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
    place = f"endpoint/{name}/variant/AllTraffic"
    assert made["Target"] == f"{place}|sagemaker:variant:DesiredInstanceCount|sagemaker"
    group = sagemaker.describe_model_package_group(ModelPackageGroupName=name)
    assert made["Group"] == group["ModelPackageGroupArn"]
    policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=place)
    assert [policy["PolicyARN"] for policy in policies["ScalingPolicies"]] == [made["Policy"]]
    assert read() == (3, "cron(0 17 ? * * *)")
    cloudformation.update_stack(StackName=name, TemplateBody=make_operations_template(name, bucket, 4, 18))
    assert settle(cloudformation, name)["StackStatus"] == "UPDATE_COMPLETE"
    assert read() == (4, "cron(0 18 ? * * *)")
    cloudformation.delete_stack(StackName=name)
    wait_for(
        lambda: (
            sagemaker.list_model_package_groups(NameContains=name)["ModelPackageGroupSummaryList"]
            + sagemaker.list_monitoring_schedules(NameContains=name)["MonitoringScheduleSummaries"]
            + scaling.describe_scalable_targets(ServiceNamespace="sagemaker", ResourceIds=[place])[
                "ScalableTargets"
            ]
        ),
        lambda found: not found,
    )
    sagemaker.delete_endpoint(EndpointName=name)


def test_a_stack_whose_endpoint_cannot_start_fails_with_the_reason(
    cloud: Any, s3: Any, bucket: str, name: str
) -> None:
    cloudformation = cloud.client("cloudformation")
    uri = put_model(s3, bucket, "bad.tar.gz", "exit")
    cloudformation.create_stack(StackName=name, TemplateBody=make_template(uri, 1))
    assert settle(cloudformation, name)["StackStatus"] == "ROLLBACK_COMPLETE"
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    (failed,) = [event for event in events if event["ResourceStatus"] == "CREATE_FAILED"]
    assert failed["LogicalResourceId"] == "Endpoint"
    assert "cannot be served" in failed["ResourceStatusReason"] or "exited" in failed["ResourceStatusReason"]


def test_uploads_with_kms_but_no_key_take_the_accounts_own(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=b"x", ServerSideEncryption="aws:kms")
    assert s3.head_object(Bucket=bucket, Key="x")["SSEKMSKeyId"].endswith("alias/aws/s3")
