"""Sends the test images through the state machine, and joins what is known of each afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime

from scones.aws.captures import Capture
from scones.aws.checkins import ARRIVALS, CheckIn, Outcome, put_photo, read_outcomes
from scones.aws.executions import Execution, find_arn, read_execution
from scones.aws.sessions import Cloud
from scones.data.dataset import Dataset, Image
from scones.errors import CloudError
from scones.report.checkins import CheckIn as Row
from scones.run.plan import Progress, ignore_progress

WORKERS = 8
PATIENCE = 300.0  # seconds without any new outcome
POLL = 0.5


def send_images(
    cloud: Cloud,
    outputs: Mapping[str, str],
    dataset: Dataset,
    wave: str,
    most: int = 0,
    progress: Progress = ignore_progress,
) -> dict[str, Image]:
    """Let a driver check in with each test image, and wait until all have an outcome; images by check-in id.

    `most` 0 means all of them. `wave` names these check-ins: an image of a wave starts one execution, however
    often it is sent. Raises CloudError when outcomes stop coming.
    """
    images = dataset.select("test")
    images = images[:: max(1, len(images) // most)][:most] if most else images
    bucket, table = outputs["BucketName"], outputs["CheckinsTableName"]

    def send(numbered: tuple[int, Image]) -> CheckIn:
        number, image = numbered
        key = f"{ARRIVALS}/driver-{number % 50:02}/{wave}/{image.file}"
        return put_photo(cloud, bucket, key, dataset.path(image).read_bytes())

    with ThreadPoolExecutor(WORKERS) as pool:
        sent = list(pool.map(send, enumerate(images)))
    by_id = {checkin.checkin_id: image for checkin, image in zip(sent, images, strict=True)}
    _await_outcomes(cloud, table, by_id, progress)
    return by_id


def _await_outcomes(cloud: Cloud, table: str, ids: Iterable[str], progress: Progress) -> dict[str, Outcome]:
    wanted, known, since = list(ids), -1, time.monotonic()
    while True:
        outcomes = read_outcomes(cloud, table, wanted)
        if len(outcomes) > known:
            known, since = len(outcomes), time.monotonic()
            progress("Check-ins with an outcome", known, len(wanted))
        if known == len(wanted):
            return outcomes
        if time.monotonic() - since > PATIENCE:
            raise CloudError(
                f"{len(wanted) - known} of {len(wanted)} check-ins have no outcome, and none came for "
                f"{PATIENCE:g} s.",
                "See the log of the function start-delivery.",
            )
        time.sleep(POLL)


def collect_rows(
    cloud: Cloud, machine: str, images: Mapping[str, Image], captures: Iterable[Capture], dataset: Dataset
) -> list[Row]:
    """One row for each check-in: its execution, joined by inference id with its capture record."""
    by_inference = {capture.inference_id: capture for capture in captures if capture.inference_id}

    def collect(checkin_id: str) -> Row:
        place, _, etag = checkin_id.rpartition("@")
        bucket, _, key = place.partition("/")
        execution = read_execution(cloud, find_arn(machine, CheckIn(bucket, key, etag).execution))
        row = describe_row(key, execution, images[checkin_id].label)
        capture = by_inference.get(name_inference(execution.arn))
        content = dataset.path(images[checkin_id]).read_bytes()
        return join_capture(replace(row, image=content), capture)

    with ThreadPoolExecutor(WORKERS) as pool:
        return sorted(pool.map(collect, images), key=lambda row: row.started)


def name_inference(execution: str) -> str:
    """The inference id that classifyImage sends for an execution: its name, or the end of it."""
    return execution.rpartition(":")[2][-64:]


def describe_row(key: str, execution: Execution, truth: int) -> Row:
    """A row without what only the capture knows."""
    routed = execution.status == "SUCCEEDED"
    return Row(
        key=key,
        execution=execution.arn,
        outcome="ROUTED" if routed else execution.error or execution.status,
        started=execution.started,
        seconds=execution.seconds,
        states={step.state: step.seconds for step in execution.steps},
        truth=truth,
    )


def join_capture(row: Row, capture: Capture | None) -> Row:
    """The row with its capture's probabilities, time, out-of-distribution score and origin."""
    if capture is None:
        return row
    return replace(
        row,
        probabilities=capture.probabilities,
        started=min(row.started, capture.time) if capture.time.microsecond else row.started,
        ood=_read_ood(capture.custom_attributes),
        capture=capture.origin,
        event_id=capture.event_id,
    )


def _read_ood(attributes: tuple[str, ...]) -> float | None:
    pairs = dict(pair.split("=", 1) for text in attributes for pair in text.split(",") if "=" in pair)
    return float(pairs["ood"]) if "ood" in pairs else None


def list_instances(rows: Iterable[Row], instances: int) -> list[tuple[datetime, int]]:
    """The endpoint's number of instances from the first check-in to the last."""
    times = [row.started for row in rows]
    return [(min(times), instances), (max(times), instances)] if times else []
