"""What is known of check-ins afterwards: outcome, execution, capture record, the endpoint's own metrics."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

from scones.aws.captures import Capture, read_captures
from scones.aws.checkins import read_outcomes
from scones.aws.executions import Execution, find_arn, read_execution
from scones.aws.metrics import Latency, read_latency
from scones.aws.sessions import Cloud
from scones.data.dataset import Dataset, Image
from scones.report.checkins import LOW_CONFIDENCE, ROUTED
from scones.report.checkins import CheckIn as Row
from scones.run.traffic import WORKERS, name_inferences, parse_checkin

POLL = 1.0  # seconds
# CloudWatch shows a value minutes after it was measured, and with the time at which it was sent.
LATE = timedelta(minutes=3)


def list_inferred(cloud: Cloud, table: str, ids: Collection[str]) -> list[str]:
    """Those of the check-ins for which the endpoint has answered: they were routed, or too uncertain."""
    outcomes = read_outcomes(cloud, table, ids)
    return [name for name in ids if name in outcomes and outcomes[name].outcome in (ROUTED, LOW_CONFIDENCE)]


def await_captures(cloud: Cloud, place: str, ids: Iterable[str], patience: float = 90) -> list[Capture]:
    """The captures in S3 of these check-ins: an endpoint delivers within a minute, AWS within a few.

    What else the endpoint captured does not count. Returns those that there are after `patience` seconds;
    the report says how many there are.
    """
    wanted = set(name_inferences(ids).values())
    found: dict[str, Capture] = {}
    known: set[str] = set()
    deadline = time.monotonic() + patience
    while True:
        for capture in read_captures(place, client=cloud.client("s3"), known=known):
            if capture.inference_id in wanted:
                found[capture.inference_id] = capture
        if len(found) == len(wanted) or time.monotonic() > deadline:
            return list(found.values())
        time.sleep(POLL)


def collect_rows(
    cloud: Cloud, machine: str, images: Mapping[str, Image], captures: Iterable[Capture], dataset: Dataset
) -> list[Row]:
    """One row for each check-in: its execution, joined by inference id with its capture record."""
    by_inference = {capture.inference_id: capture for capture in captures if capture.inference_id}
    inferences = name_inferences(images)

    def collect(checkin_id: str) -> Row:
        checkin = parse_checkin(checkin_id)
        execution = read_execution(cloud, find_arn(machine, checkin.execution))
        row = describe_row(checkin.key, execution, images[checkin_id].label)
        content = dataset.path(images[checkin_id]).read_bytes()
        return join_capture(replace(row, image=content), by_inference.get(inferences[checkin_id]))

    with ThreadPoolExecutor(WORKERS) as pool:
        return sorted(pool.map(collect, images), key=lambda row: row.started)


def await_latency(cloud: Cloud, endpoint: str, rows: Collection[Row], patience: float = 90) -> Latency | None:
    """The endpoint's latency while it answered these check-ins, once CloudWatch has it of all of them.

    What else it answered meanwhile counts, too. After `patience` seconds, of those that it has; None of none.
    """
    start, end = find_span(rows)
    wanted = sum(bool(row.probabilities) for row in rows)
    deadline = time.monotonic() + patience
    while True:
        latency = read_latency(cloud, endpoint, start, end + LATE)
        if (latency and latency.invocations >= wanted) or time.monotonic() > deadline:
            return latency
        time.sleep(POLL)


def find_span(rows: Iterable[Row]) -> tuple[datetime, datetime]:
    """When the first of these check-ins began and the last one ended. Raises ValueError for none."""
    times = [(row.started, row.started + timedelta(seconds=row.seconds)) for row in rows]
    return min(start for start, _ in times), max(end for _, end in times)


def describe_row(key: str, execution: Execution, truth: int) -> Row:
    """A row without what only the capture knows."""
    routed = execution.status == "SUCCEEDED"
    return Row(
        key=key,
        execution=execution.arn,
        outcome=ROUTED if routed else execution.error or execution.status,
        started=execution.started,
        seconds=execution.seconds,
        states={step.state: step.seconds for step in execution.steps},
        truth=truth,
        ood=_find_ood(execution),
    )


def _find_ood(execution: Execution) -> float | None:
    """The out-of-distribution score that classifyImage passed on; a capture holds no answer's attributes."""
    outputs = (step.output for step in execution.steps)
    return next((output["ood"] for output in outputs if isinstance(output, dict) and "ood" in output), None)


def join_capture(row: Row, capture: Capture | None) -> Row:
    """The row with its capture's probabilities and origin."""
    if capture is None:
        return row
    return replace(
        row,
        probabilities=capture.probabilities,
        capture=capture.origin,
        event_id=capture.event_id,
    )
