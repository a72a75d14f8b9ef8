"""What is known of check-ins afterwards: a run waits for its own captures."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scones.aws.executions import Execution, Step
from scones.aws.sessions import Cloud
from scones.report.checkins import CheckIn
from scones.run.evidence import await_captures, describe_row
from scones.run.traffic import name_inferences

PLACE = "s3://workspace/captures/scones-vehicles"


def write_captures(ids: list[str]) -> bytes:
    """A capture file with one record for each inference id."""
    given = {"observedContentType": "image/png", "mode": "INPUT", "encoding": "BASE64"}
    answer = {"observedContentType": "application/json", "mode": "OUTPUT", "encoding": "JSON"}
    records = [
        {
            "captureData": {
                "endpointInput": {**given, "data": base64.b64encode(b"png").decode()},
                "endpointOutput": {**answer, "data": "[0.9, 0.1]"},
            },
            "eventMetadata": {
                "eventId": f"event-{name}",
                "inferenceId": name,
                "inferenceTime": "2026-03-01T12:00:00Z",
            },
            "eventVersion": "0",
        }
        for name in ids
    ]
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def put(s3: Any, number: int, ids: list[str]) -> None:
    key = f"captures/scones-vehicles/AllTraffic/2026/03/01/12/{number:02}.jsonl"
    s3.put_object(Bucket="workspace", Key=key, Body=write_captures(ids))


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        session = boto3.Session("key", "secret", region_name="us-east-1")
        made = Cloud(session, "local")
        made.client("s3").create_bucket(Bucket="workspace")
        yield made


def name_checkins(wave: str, count: int) -> list[str]:
    return [f"bucket/incoming/driver-{number}/{wave}/a.png@etag{number}" for number in range(count)]


def test_a_run_waits_for_its_own_captures_not_for_as_many(cloud: Cloud) -> None:
    before, now = (list(name_inferences(name_checkins(wave, 3)).values()) for wave in ("first", "second"))
    s3 = cloud.client("s3")
    put(s3, 0, [*before, now[0]])
    timer = threading.Timer(0.5, put, (s3, 1, now[1:]))
    timer.start()
    found = await_captures(cloud, PLACE, name_checkins("second", 3), patience=20)
    timer.join()
    assert {capture.inference_id for capture in found} == set(now)


def describe(*outputs: Any) -> CheckIn:
    """The row of an execution whose states gave these outputs."""
    began = datetime(2026, 3, 1, tzinfo=UTC)
    steps = tuple(Step(f"State{n}", began, 0.1, 1, "", output) for n, output in enumerate(outputs))
    return describe_row("a.png", Execution("arn", "SUCCEEDED", began, 0.2, {}, {}, "", "", steps), truth=0)


def test_a_row_has_the_score_that_the_endpoint_gave_beside_its_probabilities() -> None:
    assert describe({"s3_key": "a.png"}, {"inferences": [0.9, 0.1], "ood": 0.25}, None).ood == 0.25
    assert describe({"s3_key": "a.png"}, "text", None).ood is None


def test_what_never_comes_is_not_awaited_for_ever(cloud: Cloud) -> None:
    mine = name_checkins("second", 2)
    put(cloud.client("s3"), 0, [name_inferences(mine)[mine[0]]])
    assert len(await_captures(cloud, PLACE, mine, patience=0)) == 1
