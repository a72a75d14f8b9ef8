"""What an invocation leaves in CloudWatch Logs and CloudWatch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from .conftest import Cloud
from .test_invoke import invoke

SOURCE = """
import logging
logging.getLogger().setLevel("INFO")
def handler(event, context):
    print("printed")
    logging.info("logged")
    if event: raise ValueError("no\\nsuch bay")
"""


def messages(cloud: Cloud, group: str) -> list[str]:
    events = cloud.client("logs").filter_log_events(logGroupName=group)["events"]
    return [event["message"] for event in events]


def test_logs_have_the_form_of_lambdas(cloud: Cloud) -> None:
    cloud.create_function("logs", SOURCE)
    invoke(cloud, "logs", False)
    first = messages(cloud, "/aws/lambda/logs")
    request = r"RequestId: [0-9a-f-]{36}"
    patterns = [
        rf"START {request} Version: \$LATEST\n",
        r"printed\n",
        r"\[INFO\]\t\S+Z\t[0-9a-f-]{36}\tlogged\n",
        rf"END {request}\n",
        rf"REPORT {request}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\t"
        r"Max Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\n",
    ]
    assert len(first) == len(patterns)
    for message, pattern in zip(first, patterns, strict=True):
        assert re.fullmatch(pattern, message), message
    invoke(cloud, "logs", True)
    second = messages(cloud, "/aws/lambda/logs")[len(first) :]
    assert "Init Duration" not in second[-1]
    assert any(message.startswith("[ERROR] ValueError: no") for message in second)


def test_one_stream_per_environment(cloud: Cloud) -> None:
    source = "import os\ndef handler(event, context): return os.environ['AWS_LAMBDA_LOG_STREAM_NAME']"
    cloud.create_function("streams", source)
    named = {invoke(cloud, "streams")[0] for _ in range(3)}
    found = cloud.client("logs").describe_log_streams(logGroupName="/aws/lambda/streams")["logStreams"]
    assert {stream["logStreamName"] for stream in found} == named
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", named.pop())


def test_logs_survive_the_deletion_of_their_group(cloud: Cloud) -> None:
    cloud.create_function("again", SOURCE)
    invoke(cloud, "again", False)
    cloud.client("logs").delete_log_group(logGroupName="/aws/lambda/again")
    invoke(cloud, "again", False)
    assert "printed\n" in messages(cloud, "/aws/lambda/again")


def total(cloud: Cloud, function: str, metric: str) -> float:
    now = datetime.now(UTC)
    found = cloud.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName=metric,
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in found["Datapoints"]))


def test_invocations_are_counted_once(cloud: Cloud) -> None:
    cloud.create_function("counted", SOURCE)
    for event in (False, True, False):
        invoke(cloud, "counted", event)
    cloud.client("lambda").put_function_concurrency(FunctionName="counted", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError):
        invoke(cloud, "counted", False)
    counts = {name: total(cloud, "counted", name) for name in ("Invocations", "Errors", "Throttles")}
    assert counts == {"Invocations": 3, "Errors": 1, "Throttles": 1}
    assert total(cloud, "counted", "Duration") > 0
