"""Every documented outcome, through the front door: a photo is put into the bucket."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any
from urllib.request import urlopen

import pytest

from tests.contract.app.conftest import Application
from tests.contract.app.endpoint import PNG, draw


def check_in(application: Application, name: str, body: bytes) -> dict[str, Any]:
    key = f"incoming/driver-1/{time.time_ns()}-{name}"
    return application.await_outcome(application.put(key, body))


@pytest.mark.parametrize(("bicycle", "vehicle"), [(0.99, "bicycle"), (0.01, "motorcycle")])
def test_a_photo_becomes_a_bay_and_an_order(application: Application, bicycle: float, vehicle: str) -> None:
    # Others may have taken all that was seeded.
    distance = Decimal("1.5") if vehicle == "bicycle" else Decimal("14.5")
    application.table("Orders").put_item(
        Item={"order_id": f"own-{vehicle}", "open": "yes", "distance_km": distance, "to": "1 Mill Lane"}
    )
    record = check_in(application, f"{vehicle}.png", draw(bicycle))
    assert record["outcome"] == "ROUTED"
    decision = json.loads(record["decision"])
    assert (decision["driver_id"], decision["vehicle_class"], decision["confidence"]) == (
        "driver-1",
        vehicle,
        0.99,
    )
    order = application.table("Orders").get_item(Key={"order_id": decision["order"]["order_id"]})["Item"]
    assert order["checkin_id"] == record["checkin_id"]
    assert "open" not in order


def test_a_photo_of_nine_megabytes_travels_by_reference(application: Application) -> None:
    assert check_in(application, "large.png", draw(0.99, filler=b"x" * 9_000_000))["outcome"] == "ROUTED"


@pytest.mark.parametrize(
    ("name", "body", "outcome", "reason"),
    [
        ("unsure.png", draw(0.6), "LowConfidence", "Most likely a bicycle, but 0.600 is below 0.93."),
        ("noise.png", draw(0.99, ood=0.999), "LowConfidence", "Unlike any vehicle the model knows"),
        ("text.png", b"this is no image", "InvalidImage", "not an image that can be read"),
        ("empty.png", b"", "InvalidImage", "The photo has 0 bytes"),
        ("three.png", PNG + b"[0.5, 0.3, 0.2, 0]\n", "InternalError", "ValueError: 3 probabilities"),
    ],
)
def test_anything_else_fails_by_name_with_a_sentence(
    application: Application, name: str, body: bytes, outcome: str, reason: str
) -> None:
    record = check_in(application, name, body)
    assert record["outcome"] == outcome
    assert reason in record["reason"]
    found = application.client("stepfunctions").describe_execution(executionArn=record["execution"])
    assert (found["status"], found["error"]) == ("FAILED", outcome)
    assert reason in found["cause"]


def test_a_missing_photo_is_told_to_whoever_starts_it_by_hand(application: Application) -> None:
    done = application.scones("workflow", "run", "incoming/driver-1/missing.png", "--json", check=False)
    assert done.returncode == 1
    outcome = json.loads(done.stdout)["checkins"][0]
    assert outcome["outcome"] == "InvalidImage"
    assert "There is no photo at s3://" in outcome["reason"]


def test_a_deleted_endpoint_is_retried_then_told(application: Application) -> None:
    application.configure("classify-image", ENDPOINT_NAME="gone")
    try:
        record = check_in(application, "photo.png", draw(0.99))
    finally:
        application.configure("classify-image", ENDPOINT_NAME=application.outputs["EndpointName"])
    assert record["outcome"] == "EndpointUnavailable"
    assert "Endpoint gone not found." in record["reason"]
    history = application.client("stepfunctions").get_execution_history(
        executionArn=record["execution"], maxResults=200
    )
    failed = [event for event in history["events"] if event["type"] == "TaskFailed"]
    assert len(failed) == 4
    # The operator repairs it and starts the check-in again.
    key = record["checkin_id"].partition("/")[2].rpartition("@")[0]
    done = application.scones("workflow", "run", key, "--json")
    assert json.loads(done.stdout)["checkins"][0]["outcome"] == "ROUTED"


def test_low_confidence_waits_for_a_person_with_a_link_that_opens_the_photo(application: Application) -> None:
    photo = draw(0.55)
    record = check_in(application, "unsure.png", photo)
    review = find_message(application, "ReviewQueueUrl", record["checkin_id"])
    assert review["outcome"] == "LowConfidence"
    assert review["inferences"] == [0.55, 0.45]
    assert review["execution"] == record["execution"]
    with urlopen(review["image_url"]) as answer:
        assert answer.read() == photo


def find_message(application: Application, queue: str, checkin_id: str) -> dict[str, Any]:
    sqs = application.client("sqs")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = sqs.receive_message(
            QueueUrl=application.outputs[queue], MaxNumberOfMessages=10, VisibilityTimeout=1
        )
        for message in found.get("Messages", []):
            body = json.loads(message["Body"])
            if body["checkin_id"] == checkin_id:
                return dict(body)
    raise AssertionError(f"{checkin_id} is not in the queue")


def test_an_unreadable_photo_is_copied_to_quarantine_and_stays(application: Application) -> None:
    record = check_in(application, "ü & text+.png", b"no image")
    key = record["checkin_id"].partition("/")[2].rpartition("@")[0]
    s3, bucket = application.client("s3"), application.outputs["BucketName"]
    for place in (key, f"quarantine/{key}"):
        assert s3.get_object(Bucket=bucket, Key=place)["Body"].read() == b"no image"


def test_the_same_event_twice_starts_one_execution(application: Application) -> None:
    key = f"incoming/driver-1/{time.time_ns()}-twice.png"
    checkin_id = application.put(key, draw(0.99))
    application.await_outcome(checkin_id)
    assert application.put(key, draw(0.99)) == checkin_id  # the phone sends the same photo again
    other = check_in(application, "later.png", draw(0.99))
    assert other["outcome"] == "ROUTED"  # so the duplicate before it has been handled
    states = application.client("stepfunctions")
    pages = states.get_paginator("list_executions").paginate(
        stateMachineArn=application.outputs["RouteDeliveryArn"]
    )
    inputs = [
        states.describe_execution(executionArn=e["executionArn"])["input"]
        for page in pages
        for e in page["executions"]
    ]
    assert sum(key in text for text in inputs) == 1


def test_show_tells_the_states_by_name_or_arn(application: Application) -> None:
    record = check_in(application, "unsure.png", draw(0.6, ood=0.25))
    for given in (record["execution"], record["execution"].rpartition(":")[2]):
        found = json.loads(application.scones("workflow", "show", given, "--json").stdout)
        assert [step["state"] for step in found["steps"]][:3] == [
            "SerializeImage", "ClassifyImage", "FilterInferences",
        ]  # fmt: skip
        assert found["steps"][1]["output"]["ood"] == 0.25
        assert (found["status"], found["error"]) == ("FAILED", "LowConfidence")
    done = application.scones("workflow", "show", "no-such-execution", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_simulated_drivers_all_get_an_outcome(application: Application) -> None:
    done = application.scones(
        "workflow", "simulate", "--rate", "8", "--duration", "3", "--mix", "bicycle=3,text=1", "--json"
    )
    found = json.loads(done.stdout)
    assert found["without_outcome"] == 0
    assert found["sent"] == sum(sum(outcomes.values()) for outcomes in found["outcomes"].values()) > 5
    assert set(found["outcomes"]["bicycle"]) == {"ROUTED"}
    assert set(found["outcomes"].get("text", {"InvalidImage": 0})) == {"InvalidImage"}
    assert application.scones("workflow", "simulate", "--burst", "fast", check=False).returncode == 2
