"""serializeImageData against an S3 that answers like AWS."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import boto3
import pytest

Load = Callable[[str], ModuleType]
KEY = "incoming/driver-7/one.png"


def call(load: Load, bucket: Any, key: str = KEY, **more: Any) -> dict[str, Any]:
    event = {"input": {"s3_bucket": bucket.name, "s3_key": key, **more}, "execution": "arn:…:execution:m:1"}
    result = load("serialize_image").handler(event, None)
    assert isinstance(result, dict)
    return result


def test_a_small_photo_travels_on_the_event(load: Load, bucket: Any) -> None:
    bucket.put_object(Key=KEY, Body=b"\x89PNG small")
    event = call(load, bucket)
    assert base64.b64decode(event["image_data"]) == b"\x89PNG small"
    assert event["inferences"] == []
    assert event["driver_id"] == "driver-7"
    assert event["execution"] == "arn:…:execution:m:1"
    assert event["checkin_id"].startswith(f"{bucket.name}/{KEY}@")


def test_the_course_s_event_works_as_it_is(load: Load, bucket: Any) -> None:
    bucket.put_object(Key="test/bike.png", Body=b"png")
    event = {"image_data": "", "s3_bucket": bucket.name, "s3_key": "test/bike.png", "inferences": []}
    result = load("serialize_image").handler(event, None)
    assert base64.b64decode(result["image_data"]) == b"png"
    assert result["driver_id"] == "unknown"


@pytest.mark.parametrize(
    ("size", "inline"), [(128 * 1024, True), (128 * 1024 + 1, False), (9_000_000, False)]
)
def test_a_large_photo_travels_by_reference_and_every_event_fits_a_state(
    load: Load, bucket: Any, size: int, inline: bool
) -> None:
    bucket.put_object(Key=KEY, Body=b"x" * size)
    event = call(load, bucket)
    assert bool(event["image_data"]) is inline
    assert len(json.dumps(event)) < 262_144 * 3 / 4


def test_the_version_that_was_checked_in_is_read(load: Load, bucket: Any) -> None:
    bucket.Versioning().enable()
    first = boto3.client("s3").put_object(Bucket=bucket.name, Key=KEY, Body=b"first")
    bucket.put_object(Key=KEY, Body=b"second")
    event = call(load, bucket, version_id=first["VersionId"])
    assert base64.b64decode(event["image_data"]) == b"first"


def test_the_same_bytes_under_the_same_key_are_the_same_checkin(load: Load, bucket: Any) -> None:
    bucket.put_object(Key=KEY, Body=b"photo")
    first = call(load, bucket)["checkin_id"]
    bucket.put_object(Key=KEY, Body=b"photo")
    assert call(load, bucket)["checkin_id"] == first
    bucket.put_object(Key=KEY, Body=b"another")
    assert call(load, bucket)["checkin_id"] != first


@pytest.mark.parametrize("key", ["incoming/driver-7/ ü+&=%20.png", "incoming//x.png", "incoming/x.png"])
def test_awkward_keys_are_read(load: Load, bucket: Any, key: str) -> None:
    bucket.put_object(Key=key, Body=b"photo")
    assert base64.b64decode(call(load, bucket, key)["image_data"]) == b"photo"


def test_no_photo_is_an_invalid_image(load: Load, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = load("serialize_image")
    for key, body, message in [
        ("incoming/d/missing.png", None, r"There is no photo at s3://photos-\w+/incoming/d/missing\.png\."),
        ("incoming/d/empty.png", b"", "0 bytes"),
        ("incoming/d/huge.png", b"x" * 11, "11 bytes; it must have between 1 and 10"),
    ]:
        monkeypatch.setenv("MAX_IMAGE_BYTES", "10")
        if body is not None:
            bucket.put_object(Key=key, Body=body)
        with pytest.raises(handler.InvalidImage, match=message):
            handler.handler({"s3_bucket": bucket.name, "s3_key": key}, None)


def test_one_json_log_line_names_the_execution(
    load: Load, bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.put_object(Key=KEY, Body=b"photo")
    call(load, bucket)
    line = json.loads(capsys.readouterr().out)
    assert line["execution"] == "arn:…:execution:m:1"
    assert "image_data" not in line
