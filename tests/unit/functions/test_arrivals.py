"""startDelivery and sweepCheckins: every photo gets its execution, and none gets two."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest

Load = Callable[[str], ModuleType]
KEY = "incoming/driver-7/one.png"
MACHINE = '{"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": true}}}'


@pytest.fixture
def machine(cloud: None, load: object, monkeypatch: pytest.MonkeyPatch) -> Any:
    states = boto3.client("stepfunctions")
    role = "arn:aws:iam::123456789012:role/machine"
    arn = states.create_state_machine(name=f"m{time.time_ns()}", definition=MACHINE, roleArn=role)[
        "stateMachineArn"
    ]
    monkeypatch.setenv("STATE_MACHINE_ARN", arn)
    return lambda: states.list_executions(stateMachineArn=arn)["executions"]


def deliver(*bodies: dict[str, Any] | str) -> dict[str, Any]:
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return {"Records": [{"messageId": f"m{n}", "body": text} for n, text in enumerate(texts)]}


def arrive(etag: str = "e1", **more: Any) -> dict[str, Any]:
    return {"detail": {"bucket": {"name": "photos"}, "object": {"key": KEY, "etag": etag}, **more}}


def test_an_arrival_starts_one_execution_however_often_it_is_delivered(
    load: Load, tables: dict[str, Any], machine: Any
) -> None:
    handler = load("start_delivery").handler
    assert handler(deliver(arrive(), arrive()), None) == {"batchItemFailures": []}
    assert handler(deliver(arrive()), None) == {"batchItemFailures": []}
    assert len(machine()) == 1
    handler(deliver(arrive("e2")), None)
    assert len(machine()) == 2
    record = tables["checkins"].get_item(Key={"checkin_id": f"photos/{KEY}@e1"})["Item"]
    assert record["attempt"] == 0


def test_the_execution_knows_its_checkin(load: Load) -> None:
    request = load("start_delivery").read_event(json.dumps(arrive()))
    assert request["input"] == {
        "s3_bucket": "photos", "s3_key": KEY, "version_id": "", "checkin_id": f"photos/{KEY}@e1",
    }  # fmt: skip
    assert len(request["name"]) <= 80


def test_a_start_that_fails_is_delivered_again_and_then_succeeds(
    load: Load, tables: dict[str, Any], machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = load("start_delivery").handler
    with monkeypatch.context() as wrong:
        wrong.setenv("STATE_MACHINE_ARN", "arn:aws:states:us-east-1:123456789012:stateMachine:gone")
        assert handler(deliver(arrive()), None) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert handler(deliver(arrive()), None) == {"batchItemFailures": []}
    assert len(machine()) == 1


@pytest.mark.parametrize("body", ["not json", "[]", "{}", '{"detail": {"bucket": {}, "object": {}}}'])
def test_one_bad_message_holds_up_no_other(
    load: Load, tables: dict[str, Any], machine: Any, body: str
) -> None:
    answer = load("start_delivery").handler(deliver(body, arrive()), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m0"}]}
    assert len(machine()) == 1


@pytest.fixture
def sweep(
    load: Load, bucket: Any, tables: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, int]]:
    """Sweeps a bucket in which every photo is old enough."""
    monkeypatch.setenv("BUCKET", bucket.name)
    monkeypatch.setenv("PATIENCE_MINUTES", "-1")
    queue = boto3.client("sqs").create_queue(QueueName=f"checkins-{bucket.name}")["QueueUrl"]
    monkeypatch.setenv("QUEUE_URL", queue)
    monkeypatch.setenv("TOPIC_ARN", boto3.client("sns").create_topic(Name="alerts")["TopicArn"])
    return lambda: load("sweep_checkins").handler({}, None)


def test_a_lost_event_a_lost_execution_and_a_finished_checkin(
    load: Load, bucket: Any, tables: dict[str, Any], sweep: Callable[[], dict[str, int]], machine: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The first photo's event never came; the second's execution died; the third is routed."""
    for name in ("one", "two", "three"):
        bucket.put_object(Key=f"incoming/d/{name}.png", Body=name.encode())
    etags = {entry.key: entry.e_tag.strip('"') for entry in bucket.objects.all()}
    ids = {key: f"{bucket.name}/{key}@{etag}" for key, etag in etags.items()}
    tables["checkins"].put_item(Item={"checkin_id": ids["incoming/d/two.png"], "attempt": 0, "started_at": 1})
    tables["checkins"].put_item(
        Item={"checkin_id": ids["incoming/d/three.png"], "attempt": 0, "outcome": "ROUTED"}
    )
    assert sweep() == {"again": 2, "abandoned": 0}

    messages = boto3.client("sqs").receive_message(
        QueueUrl=load("sweep_checkins").os.environ["QUEUE_URL"], MaxNumberOfMessages=10
    )["Messages"]
    assert load("start_delivery").handler(deliver(*[m["Body"] for m in messages]), None) == {
        "batchItemFailures": []
    }
    started = {
        json.loads(boto3.client("stepfunctions").describe_execution(executionArn=e["executionArn"])["input"])[
            "s3_key"
        ]: e["name"][-2:]
        for e in machine()
    }
    assert started == {"incoming/d/one.png": "-0", "incoming/d/two.png": "-1"}
    # What has just been started is left alone until it has had its time.
    monkeypatch.setenv("PATIENCE_MINUTES", "10")
    assert sweep() == {"again": 0, "abandoned": 0}


def test_a_checkin_that_never_ends_is_abandoned_loudly_and_once(
    bucket: Any, tables: dict[str, Any], sweep: Callable[[], dict[str, int]]
) -> None:
    etag = bucket.put_object(Key=KEY, Body=b"photo").e_tag.strip('"')
    key = {"checkin_id": f"{bucket.name}/{KEY}@{etag}"}
    tables["checkins"].put_item(Item={**key, "attempt": 3, "started_at": 1})
    assert sweep() == {"again": 0, "abandoned": 1}
    assert tables["checkins"].get_item(Key=key)["Item"]["outcome"] == "Abandoned"
    assert sweep() == {"again": 0, "abandoned": 0}


def test_more_photos_than_one_read_holds(
    load: Load, bucket: Any, sweep: Callable[[], dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load("sweep_checkins"), "BATCH", 2)
    for number in range(5):
        bucket.put_object(Key=f"incoming/d/{number}.png", Body=b"photo")
    assert sweep() == {"again": 5, "abandoned": 0}
