"""listImages and summarizeBatch: from a request to a manifest, from outcomes to a summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

Load = Callable[[str], ModuleType]
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:batch:run-1"


@pytest.fixture
def listing(load: Load, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setenv("BUCKET", bucket.name)
    for number in range(3):
        bucket.put_object(Key=f"backlog/{number}.png", Body=f"photo {number}".encode())
    bucket.put_object(Key="backlog/", Body=b"")
    return lambda **request: load("list_images").handler({"input": request, "execution": EXECUTION}, None)


def read(bucket: Any, key: str) -> Any:
    return json.loads(bucket.Object(key).get()["Body"].read())


def test_a_prefix_becomes_a_manifest(bucket: Any, listing: Callable[..., dict[str, Any]]) -> None:
    batch = listing(prefix="backlog/", concurrency=7, tolerated_failure_percentage=10)
    assert batch == {
        "bucket": bucket.name, "manifest": "batches/run-1/photos.json", "total": 3, "concurrency": 7,
        "tolerated_failure_percentage": 10.0,
    }  # fmt: skip
    photos = read(bucket, batch["manifest"])
    assert [photo["s3_key"] for photo in photos] == ["backlog/0.png", "backlog/1.png", "backlog/2.png"]
    etag = bucket.Object("backlog/0.png").e_tag.strip('"')
    assert photos[0]["checkin_id"] == f"{bucket.name}/backlog/0.png@{etag}"


def test_keys_may_be_given_or_lie_in_the_bucket_and_a_missing_one_stays(
    bucket: Any, listing: Callable[..., dict[str, Any]]
) -> None:
    keys = ["backlog/0.png", "backlog/gone.png", "backlog/0.png"]
    bucket.put_object(Key="batches/keys.json", Body=json.dumps(keys).encode())
    given = read(bucket, listing(keys=keys)["manifest"])
    assert [photo["s3_key"] for photo in given] == ["backlog/0.png", "backlog/gone.png"]
    assert given[1]["checkin_id"].endswith("gone.png@")
    assert read(bucket, listing(keys_object="batches/keys.json")["manifest"]) == given


def test_a_photo_that_s3_does_not_show_is_not_taken_for_a_missing_one(
    load: Load, bucket: Any, listing: Callable[..., dict[str, Any]]
) -> None:
    with Stubber(load("list_images").client()) as stub:
        stub.add_client_error("head_object", "SlowDown", http_status_code=503)
        with pytest.raises(ClientError, match="SlowDown"):
            listing(keys=["backlog/0.png"])


@pytest.mark.parametrize("request_", [{}, {"prefix": "nothing/"}, {"keys": []}, {"keys": [1]}, {"keys": "a"}])
def test_a_batch_of_nothing_is_refused(
    load: Load, listing: Callable[..., dict[str, Any]], request_: dict[str, Any]
) -> None:
    with pytest.raises(load("list_images").InvalidBatch):
        listing(**request_)


def test_the_summary_counts_every_photo_once(
    load: Load, bucket: Any, tables: dict[str, Any], listing: Callable[..., dict[str, Any]]
) -> None:
    batch = listing(prefix="backlog/", tolerated_failure_percentage=70)
    ids = [photo["checkin_id"] for photo in read(bucket, batch["manifest"])]
    tables["checkins"].put_item(Item={"checkin_id": ids[0], "outcome": "ROUTED"})
    tables["checkins"].put_item(
        Item={"checkin_id": ids[1], "outcome": "InvalidImage", "reason": "not a photo"}
    )
    summary = load("summarize_batch").handler(batch, None)
    assert summary["outcomes"] == {"ROUTED": 1, "InvalidImage": 1, "NoOutcome": 1}
    assert (summary["total"], summary["failed"]) == (3, 2)
    assert summary["examples"][0] == {
        "s3_key": "backlog/1.png", "outcome": "InvalidImage", "reason": "not a photo",
    }  # fmt: skip
    written = read(bucket, "batches/run-1/summary.json")
    assert summary == {**written, "summary": f"s3://{bucket.name}/batches/run-1/summary.json"}


def test_more_failures_than_tolerated_fail_the_batch_and_leave_the_summary(
    load: Load, bucket: Any, tables: dict[str, Any], listing: Callable[..., dict[str, Any]]
) -> None:
    module = load("summarize_batch")
    with pytest.raises(module.TooManyFailures, match=r"3 of 3 photos failed \(100.0%, tolerated are 5%\)"):
        module.handler(listing(prefix="backlog/"), None)
    assert read(bucket, "batches/run-1/summary.json")["failed"] == 3
