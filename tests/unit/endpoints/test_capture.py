"""Captured data: the bytes that SageMaker wrote, the places, the times, and what survives a kill."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sagemaker_local.endpoints import CaptureSpec, EndpointError, EndpointFleet, capture
from sagemaker_local.endpoints.capture import CaptureDelivery, CaptureWriter, locate_spool
from sagemaker_local.endpoints.capture_record import Invocation, format_record

from .conftest import Place, specify

REAL = Path(__file__).parents[3] / ".." / "shared" / "data" / "sagemaker-data-capture"
JSON_OUT = CaptureSpec(
    "s3://data/capture",
    100,
    csv_content_types=frozenset({"text/csv"}),
    json_content_types=frozenset({"application/json"}),
)
KEY = re.compile(
    r"data/capture/bikes/AllTraffic/\d{4}/\d\d/\d\d/\d\d/"
    r"\d\d-\d\d-\d{3}-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.jsonl"
)


def invoke(number: int, moment: float | None = None, **changes: object) -> Invocation:
    values = (
        "AllTraffic",
        moment or time.time(),
        b"image %d" % number,
        "image/png",
        b"[0.5, 0.5]",
        "application/json",
    )
    return replace(Invocation(*values), **changes)  # type: ignore[arg-type]


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/sagemaker-data-capture")
def test_records_equal_those_of_sagemaker_to_the_byte() -> None:
    lines = [line for path in REAL.glob("*.jsonl") for line in path.read_bytes().splitlines(keepends=True)]
    assert lines
    for line in lines:
        record = json.loads(line)
        sent, answered = record["captureData"]["endpointInput"], record["captureData"]["endpointOutput"]
        event = record["eventMetadata"]
        again = Invocation(
            variant="AllTraffic",
            time=datetime.fromisoformat(event["inferenceTime"]).timestamp() + 0.9,
            request=base64.b64decode(sent["data"]),
            request_type=sent["observedContentType"],
            response=answered["data"].encode(),
            response_type=answered["observedContentType"],
            event_id=event["eventId"],
        )
        assert format_record(again, JSON_OUT) == line


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/sagemaker-data-capture")
def test_file_names_tell_the_first_records_time_as_sagemakers_do(tmp_path: Path) -> None:
    for number, path in enumerate(sorted(REAL.glob("*.jsonl"))):
        first = json.loads(path.read_bytes().splitlines()[0])
        moment = datetime.fromisoformat(first["eventMetadata"]["inferenceTime"]).timestamp()
        moment += int(path.name[6:9]) / 1000 + 0.0004
        writer = CaptureWriter(JSON_OUT, f"bikes{number}", tmp_path, 60)
        writer.offer(invoke(0, moment))
        writer.close()
        [written] = (tmp_path / f"data/capture/bikes{number}").rglob("*.jsonl")
        assert written.name[:10] == path.name[:10]
        assert written.relative_to(tmp_path).parts[4:-1] == tuple(
            f"{datetime.fromtimestamp(moment, UTC):%Y/%m/%d/%H}".split("/")
        )


def test_without_content_types_everything_is_base64() -> None:
    record = json.loads(format_record(invoke(1), CaptureSpec("s3://data/capture")))
    data = record["captureData"]
    assert (data["endpointOutput"]["encoding"], data["endpointOutput"]["data"]) == (
        "BASE64",
        "WzAuNSwgMC41XQ==",
    )


def test_options_choose_encoding_sides_and_identity() -> None:
    both = invoke(
        1, request=b"1,2", request_type="text/csv; charset=utf-8", response=b"\xff", inference_id="order-7",
        custom_attributes="bay=3",
    )  # fmt: skip
    record = json.loads(format_record(both, replace(JSON_OUT, modes=frozenset({"Input", "Output"}))))
    assert record["captureData"]["endpointInput"] == {
        "observedContentType": "text/csv; charset=utf-8", "mode": "INPUT", "data": "1,2", "encoding": "CSV",
    }  # fmt: skip
    assert record["captureData"]["endpointOutput"]["encoding"] == "BASE64"  # it is no text
    assert list(record["eventMetadata"]) == ["eventId", "inferenceId", "customAttributes", "inferenceTime"]
    assert record["eventMetadata"]["inferenceId"] == "order-7"
    assert record["eventMetadata"]["customAttributes"] == ["bay=3"]
    only_input = json.loads(format_record(both, replace(JSON_OUT, modes=frozenset({"Input"}))))
    assert list(only_input["captureData"]) == ["endpointInput"]


@pytest.mark.parametrize("uri", ["http://data/x", "s3://", "s3://data/../x", "s3://data//x", "data"])
def test_a_destination_that_is_no_s3_uri_is_refused(uri: str) -> None:
    with pytest.raises(EndpointError, match="is not an S3 URI"):
        locate_spool(Path("/spool"), uri)


def read_captured(place: Place) -> list[dict[str, object]]:
    files = sorted((place.folder / "s3" / "data").rglob("*.jsonl"))
    assert all(KEY.fullmatch(str(path.relative_to(place.folder / "s3"))) for path in files)
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_invocations_are_captured_within_the_roll_time_and_on_a_clean_stop(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(replace(specify(), capture=JSON_OUT))
        headers = {"content-type": "image/png", "x-amzn-sagemaker-inference-id": "order-7"}
        for number in range(5):
            await fleet.invoke("bikes", b"image %d" % number, headers)
        deadline = time.monotonic() + 10
        while len(read_captured(place)) < 5 and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        assert len(read_captured(place)) == 5
        for number in range(5, 8):
            await fleet.invoke("bikes", b"image %d" % number, headers)

    place.run(test)
    records = read_captured(place)
    inputs = [base64.b64decode(record["captureData"]["endpointInput"]["data"]) for record in records]  # type: ignore[index]
    assert sorted(inputs) == [b"image %d" % number for number in range(8)]
    assert {record["eventMetadata"]["inferenceId"] for record in records} == {"order-7"}  # type: ignore[index]
    assert not list((place.folder / "state" / "capture").rglob("*.jsonl*"))


def test_sampling_takes_its_share_and_errors_are_not_captured(place: Place) -> None:
    async def test(fleet: EndpointFleet) -> None:
        await fleet.start(replace(specify(), capture=replace(JSON_OUT, sampling_percentage=30)))
        for _ in range(300):
            await fleet.invoke("bikes", b"", {})
        await fleet.update(replace(specify(), capture=replace(JSON_OUT, sampling_percentage=0)))
        await fleet.invoke("bikes", b"", {})

    place.run(test)
    assert 50 <= len(read_captured(place)) <= 130  # 90 expected, sd 8


def test_a_file_is_finished_when_nothing_more_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "QUIET_SECONDS", 1.0)
    writer = CaptureWriter(JSON_OUT, "bikes", tmp_path, roll_seconds=60)
    writer.offer(invoke(1, time.time()))
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("*.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(list(tmp_path.rglob("*.jsonl"))) == 1
    writer.close()


def test_batches_are_split_by_hour_and_rolled_by_time(tmp_path: Path) -> None:
    writer = CaptureWriter(JSON_OUT, "bikes", tmp_path, roll_seconds=2)
    before, after = (
        datetime(2026, 3, 1, hour, minute, tzinfo=UTC).timestamp() for hour, minute in ((8, 59), (9, 0))
    )
    writer.offer(invoke(1, before))
    writer.offer(invoke(2, after))
    deadline = time.monotonic() + 10
    while len(files := sorted(tmp_path.rglob("*.jsonl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [path.parent.name for path in files] == ["08", "09"]
    writer.close()


def test_the_folders_of_past_hours_go_at_the_start(tmp_path: Path) -> None:
    past, waiting = (tmp_path / "data" / "bikes" / "AllTraffic" / hour for hour in ("01", "02"))
    for folder in (past, waiting):
        folder.mkdir(parents=True)
    (waiting / "a.jsonl").write_text("{}\n")
    uploaded: list[str] = []
    delivery = CaptureDelivery(tmp_path, lambda path, uri: uploaded.append(uri))
    delivery.open()
    delivery.close()
    assert not past.exists()
    assert uploaded == ["s3://data/bikes/AllTraffic/02/a.jsonl"]


def test_what_cannot_be_uploaded_is_kept_and_tried_again(tmp_path: Path) -> None:
    failing, uploaded = [True], []

    def upload(path: Path, uri: str) -> None:
        if failing[0]:
            raise ConnectionError("no S3")
        uploaded.append((uri, path.read_bytes()))

    delivery = CaptureDelivery(tmp_path, upload)
    delivery.open()
    writer = CaptureWriter(JSON_OUT, "bikes", tmp_path, 60)
    writer.offer(invoke(1))
    writer.close()
    assert not delivery.deliver()
    failing[0] = False
    delivery.close()
    [(uri, content)] = uploaded
    assert KEY.fullmatch(uri.removeprefix("s3://"))
    assert content.count(b"\n") == 1
    assert not list(tmp_path.rglob("*.jsonl*"))


KILLED = """
import sys, time
from pathlib import Path
from sagemaker_local.endpoints.capture import CaptureWriter
from sagemaker_local.endpoints.capture_record import Invocation
from sagemaker_local.endpoints.spec import CaptureSpec

writer = CaptureWriter(CaptureSpec("s3://data/capture"), "bikes", Path(sys.argv[1]), 60)
for number in range(10**9):
    image = b"image %d" % number
    writer.offer(Invocation("AllTraffic", time.time(), image, "image/png", b"[]", "application/json"))
    print(number, time.time(), flush=True)
    time.sleep(0.01)
"""


def test_kill_9_loses_no_more_than_the_last_second(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    time.sleep(2.6)
    killed = time.time()
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    offered = [line.split() for line in output.splitlines()]
    [left] = tmp_path.rglob("*.jsonl.open")
    left.write_bytes(left.read_bytes() + b'{"captureData":{"endpointIn')  # what a crash may cut off
    lines: list[bytes] = []
    delivery = CaptureDelivery(tmp_path, lambda path, _: lines.extend(path.read_bytes().splitlines()))
    delivery.open()
    delivery.close()
    numbers = {
        int(base64.b64decode(json.loads(line)["captureData"]["endpointInput"]["data"]).split()[1])
        for line in lines
    }
    old_enough = {int(number) for number, moment in offered if float(moment) < killed - 1.5}
    assert old_enough
    assert old_enough <= numbers
