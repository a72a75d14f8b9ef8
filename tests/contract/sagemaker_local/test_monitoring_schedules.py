"""Monitoring schedules, as boto3 sees them; and when they are due."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_local.errors import ApiError
from sagemaker_local.schedules import next_time, previous_time, read_duration, read_hours

from .conftest import IMAGE, ROLE, wait_for
from .test_endpoints import deploy, put_model

MONITOR = Path(__file__).parent / "containers/monitor.py"


def schedule_config(endpoint: str, bucket: str, **schedule: Any) -> dict[str, Any]:
    output = {"S3Uri": f"s3://{bucket}/reports", "LocalPath": "/opt/ml/processing/resultdata"}
    definition = {
        "MonitoringInputs": [
            {"EndpointInput": {"EndpointName": endpoint, "LocalPath": "/opt/ml/processing/endpointdata"}}
        ],
        "MonitoringOutputConfig": {"MonitoringOutputs": [{"S3Output": output}]},
        "MonitoringResources": {
            "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
        },
        "MonitoringAppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", str(MONITOR)],
        },
        "BaselineConfig": {"ConstraintsResource": {"S3Uri": f"s3://{bucket}/baseline/constraints.json"}},
        "RoleArn": ROLE,
    }
    return {
        "ScheduleConfig": {"ScheduleExpression": "NOW", **schedule},
        "MonitoringJobDefinition": definition,
        "MonitoringType": "DataQuality",
    }


@pytest.fixture
def endpoint(cloud: Any, sagemaker: Any, s3: Any, bucket: str, name: str) -> Any:
    """An endpoint whose captures of this hour are already in S3."""
    capture = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{bucket}/captured",
        "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
    }
    endpoint = deploy(sagemaker, name, put_model(s3, bucket), DataCaptureConfig=capture)
    assert endpoint["EndpointStatus"] == "InService"
    hour = f"{datetime.now(UTC):%Y/%m/%d/%H}"
    for path in (f"AllTraffic/{hour}/a.jsonl", "AllTraffic/2020/01/01/00/old.jsonl"):
        s3.put_object(Bucket=bucket, Key=f"captured/{name}/{path}", Body=b"{}\n{}\n")
    s3.put_object(Bucket=bucket, Key="baseline/constraints.json", Body=b'{"version": 0}')
    yield name
    sagemaker.delete_endpoint(EndpointName=name)


def test_now_looks_at_what_was_captured_and_reports(
    cloud: Any, sagemaker: Any, s3: Any, bucket: str, endpoint: str
) -> None:
    window = {"DataAnalysisStartTime": "-PT1H", "DataAnalysisEndTime": "-PT0H"}
    config = schedule_config(endpoint, bucket, **window)
    sagemaker.create_monitoring_schedule(MonitoringScheduleName=endpoint, MonitoringScheduleConfig=config)

    def read() -> dict[str, Any]:
        found = sagemaker.list_monitoring_executions(MonitoringScheduleName=endpoint)
        return found["MonitoringExecutionSummaries"][0]

    execution = wait_for(
        read, lambda each: each["MonitoringExecutionStatus"] not in ("Pending", "InProgress")
    )
    assert execution["MonitoringExecutionStatus"] == "CompletedWithViolations", execution
    assert sagemaker.describe_monitoring_schedule(MonitoringScheduleName=endpoint)[
        "LastMonitoringExecutionSummary"
    ]["ProcessingJobArn"].startswith("arn:aws:sagemaker:")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="reports/")["Contents"]]
    assert keys[0].startswith(f"reports/{endpoint}/{endpoint}/20")
    (key,) = [key for key in keys if key.endswith("statistics.json")]
    assert json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())["dataset"]["item_count"] == 2
    metrics = cloud.client("cloudwatch").list_metrics(Namespace="aws/sagemaker/Endpoints/data-metrics")
    assert endpoint in json.dumps(metrics["Metrics"])
    sagemaker.delete_monitoring_schedule(MonitoringScheduleName=endpoint)
    with pytest.raises(sagemaker.exceptions.ResourceNotFound):
        sagemaker.describe_monitoring_schedule(MonitoringScheduleName=endpoint)


def test_a_schedule_stops_and_starts(sagemaker: Any, bucket: str, endpoint: str) -> None:
    config = schedule_config(endpoint, bucket, ScheduleExpression="cron(0 * ? * * *)")
    sagemaker.create_monitoring_schedule(MonitoringScheduleName=endpoint, MonitoringScheduleConfig=config)
    sagemaker.stop_monitoring_schedule(MonitoringScheduleName=endpoint)
    listed = sagemaker.list_monitoring_schedules(EndpointName=endpoint)["MonitoringScheduleSummaries"]
    assert [schedule["MonitoringScheduleStatus"] for schedule in listed] == ["Stopped"]
    sagemaker.start_monitoring_schedule(MonitoringScheduleName=endpoint)
    described = sagemaker.describe_monitoring_schedule(MonitoringScheduleName=endpoint)
    assert described["MonitoringScheduleStatus"] == "Scheduled"
    with pytest.raises(ClientError, match="ScheduleExpression"):
        sagemaker.update_monitoring_schedule(
            MonitoringScheduleName=endpoint,
            MonitoringScheduleConfig=schedule_config(endpoint, bucket, ScheduleExpression="rate(5 minutes)"),
        )


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("cron(0 * ? * * *)", "2026-01-01T10:00", "2026-01-01T11:00"),
        ("cron(0 17 ? * * *)", "2026-01-01T17:30", "2026-01-02T17:00"),
        ("cron(0 17/6 ? * * *)", "2026-01-01T18:00", "2026-01-01T23:00"),
        ("cron(0 17/6 ? * * *)", "2026-01-01T23:59", "2026-01-02T05:00"),
    ],
)
def test_schedules_are_due_at_full_hours(expression: str, after: str, expected: str) -> None:
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_time(read_hours(expression), moment).isoformat()[:16] == expected


def test_a_window_reaches_back_to_the_time_before() -> None:
    due = datetime(2026, 1, 2, 5, tzinfo=UTC)
    assert previous_time(read_hours("cron(0 17/6 ? * * *)"), due).isoformat()[:16] == "2026-01-01T23:00"


@pytest.mark.parametrize("text", ["1H", "-PT", "PT1S", ""])
def test_durations_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ApiError):
        read_duration(text)
