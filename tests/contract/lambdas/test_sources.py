"""What else invokes functions: queues, topics, rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROLE, Cloud
from .test_invoke import wait_until

RECORD = """
import json, uuid
def handler(event, context):
    open(f"{DIRECTORY}/{uuid.uuid4()}", "w").write(json.dumps(event))
"""


@pytest.fixture
def recorder(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Callable[[], list[str]]]:
    """A function that keeps its events, and what reads them."""
    directory: Path = tmp_path_factory.mktemp("events")
    cloud.create_function("recorder", f"DIRECTORY = {str(directory)!r}\n{RECORD}")
    found = cloud.client("lambda").get_function(FunctionName="recorder")
    return found["Configuration"]["FunctionArn"], lambda: [path.read_text() for path in directory.iterdir()]


def test_a_queue_invokes_and_keeps_what_has_failed(cloud: Cloud) -> None:
    source = """
def handler(event, context):
    failed = [r["messageId"] for r in event["Records"] if r["body"] == "bad"]
    return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}
"""
    cloud.create_function("worker", source)
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    for body in ("good", "bad"):
        sqs.send_message(QueueUrl=url, MessageBody=body)
    mapping = cloud.client("lambda").create_event_source_mapping(
        EventSourceArn=arn, FunctionName="worker", FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    name = "ApproximateNumberOfMessages"
    count = lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]  # noqa: E731
    wait_until(lambda: count()[name] == "1", 20)
    cloud.client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])
    sqs.delete_queue(QueueUrl=url)


def test_a_topic_and_a_rule_invoke(cloud: Cloud, recorder: tuple[str, Callable[[], list[str]]]) -> None:
    arn, events = recorder
    topic = cloud.client("sns").create_topic(Name="alerts")["TopicArn"]
    cloud.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    cloud.client("sns").publish(TopicArn=topic, Message="from the topic")
    rules = cloud.client("events")
    rules.put_rule(Name="checkin", EventPattern=json.dumps({"source": ["scones"]}), RoleArn=ROLE)
    rules.put_targets(Rule="checkin", Targets=[{"Id": "1", "Arn": arn}])
    rules.put_events(Entries=[{"Source": "scones", "DetailType": "t", "Detail": '{"from": "the rule"}'}])
    # Until both are there and written: a file exists before its content does.
    for said in ("from the topic", "the rule"):
        wait_until(lambda said=said: any(said in event for event in events()), 20)
    assert len(events()) == 2
    cloud.client("sns").delete_topic(TopicArn=topic)
    rules.remove_targets(Rule="checkin", Ids=["1"])
    rules.delete_rule(Name="checkin")
