"""Reading SageMaker's data capture: real files, time ranges, half-written lines, S3."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from PIL import Image

from scones.aws.captures import Capture, parse_record, read_captures, read_lines
from scones.errors import CloudError, DataError

REAL = Path(__file__).parents[4] / "shared" / "data" / "sagemaker-data-capture"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def write_record(time: datetime, event: str = "e", **metadata: object) -> str:
    given = {"observedContentType": "image/png", "mode": "INPUT", "data": base64.b64encode(b"png").decode()}
    answer = {"observedContentType": "application/json", "mode": "OUTPUT", "data": "[0.9, 0.1]"}
    record = {
        "captureData": {
            "endpointInput": {**given, "encoding": "BASE64"},
            "endpointOutput": {**answer, "encoding": "JSON"},
        },
        "eventMetadata": {"eventId": event, "inferenceTime": time.strftime("%Y-%m-%dT%H:%M:%SZ"), **metadata},
        "eventVersion": "0",
    }
    return json.dumps(record) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three hours of captures, one file an hour, two records each; the last of an hour one second late."""
    for hour in (11, 12, 13):
        time = NOON.replace(hour=hour, minute=59, second=30)
        late = time + timedelta(seconds=31)
        file = tmp_path / "endpoint" / "AllTraffic" / time.strftime("%Y/%m/%d/%H") / "59-30-000-x.jsonl"
        file.parent.mkdir(parents=True)
        file.write_text(
            write_record(time, f"{hour}a") + write_record(late, f"{hour}b", inferenceId=f"i{hour}")
        )
    return tmp_path


def list_ids(captures: Iterator[Capture]) -> list[str]:
    return [capture.event_id for capture in captures]


@pytest.mark.skipif(not REAL.is_dir(), reason="real capture files are not here")
def test_files_that_sagemaker_wrote_are_read() -> None:
    captures = list(read_captures(REAL))
    assert len(captures) == 6
    for capture in captures:
        assert Image.open(io.BytesIO(capture.image or b"")).size == (32, 32)
        assert sum(capture.probabilities) == pytest.approx(1, abs=1e-6)
        assert capture.content_type == "image/png"
        assert capture.inference_id is None
        assert capture.time.year == 2024


def test_all_is_read_without_a_range(folder: Path) -> None:
    captures = list(read_captures(folder))
    assert [capture.event_id for capture in captures] == ["11a", "11b", "12a", "12b", "13a", "13b"]
    assert captures[0].image == b"png"
    assert captures[0].probabilities == (0.9, 0.1)
    assert captures[1].inference_id == "i11"


def test_a_range_is_half_open_and_crosses_the_hour(folder: Path) -> None:
    one_second_past_noon = NOON + timedelta(seconds=1)
    assert list_ids(read_captures(folder, start=one_second_past_noon, end=NOON.replace(hour=13))) == [
        "11b",
        "12a",
    ]
    assert list_ids(read_captures(folder, end=one_second_past_noon)) == ["11a"]


def test_files_outside_the_range_are_not_opened(folder: Path) -> None:
    next(folder.rglob("*/13/*.jsonl")).write_text("not json\n")
    assert list_ids(read_captures(folder, end=NOON.replace(hour=13))) == ["11a", "11b", "12a"]


def test_a_half_written_last_line_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    lines = [write_record(NOON, "whole").encode(), write_record(NOON).encode()[:80]]
    assert list_ids(read_lines(lines, "f.jsonl")) == ["whole"]
    assert "f.jsonl:2 is incomplete" in caplog.text


def test_a_damaged_line_in_the_middle_is_an_error() -> None:
    lines = [b'{"captureData":\n', write_record(NOON).encode()]
    with pytest.raises(DataError, match=r"f\.jsonl:1 is no data capture record"):
        list(read_lines(lines, "f.jsonl"))


@pytest.mark.parametrize("attributes", ["ood=0.1,model=ab", ["ood=0.1,model=ab"]])
def test_custom_attributes_may_be_text_or_a_list(attributes: object) -> None:
    capture = parse_record(write_record(NOON, customAttributes=attributes).encode(), "f:1")
    assert capture.custom_attributes == ("ood=0.1,model=ab",)


@pytest.mark.parametrize(
    "line", [b"[]", b"{}", b'{"captureData":{},"eventMetadata":{"eventId":"e"}}', b"null"]
)
def test_what_is_no_record_is_refused(line: bytes) -> None:
    with pytest.raises(DataError, match="f:1"):
        parse_record(line, "f:1")


def test_an_output_that_is_no_list_is_refused() -> None:
    capture = parse_record(write_record(NOON).replace("[0.9, 0.1]", "nonsense").encode(), "f:1")
    with pytest.raises(DataError, match="no list of probabilities"):
        _ = capture.probabilities


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no"):
        list(read_captures(tmp_path / "nowhere"))


def test_captures_on_s3_are_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        for file in folder.rglob("*.jsonl"):
            client.upload_file(str(file), "bucket", f"capture/{file.relative_to(folder)}")
        found = read_captures("s3://bucket/capture", start=NOON, end=NOON + timedelta(hours=1), client=client)
        assert list_ids(found) == ["11b", "12a"]


def test_a_bucket_that_cannot_be_read_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        with pytest.raises(CloudError, match="Cannot read the captures under s3://nowhere/capture"):
            list(read_captures("s3://nowhere/capture", client=client))
