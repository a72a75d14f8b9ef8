"""Puts together what a run has made and what is known of its check-ins: what a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scones import __version__
from scones.aws.endpoints import Endpoint
from scones.aws.metrics import read_instances
from scones.aws.sessions import Cloud
from scones.aws.training_jobs import TrainingJob
from scones.data.dataset import Image
from scones.report.checkins import CheckIn
from scones.report.page import Run
from scones.run.evidence import LATE, await_captures, await_latency, collect_rows, find_span, list_inferred
from scones.run.steps import Staged
from scones.run.summary import summarize


@dataclass(frozen=True)
class Made:
    """What the steps before the check-ins have made."""

    staged: Staged
    job: TrainingJob
    measures: Mapping[str, Any]
    gate: Mapping[str, Any]
    package: str
    endpoint: Endpoint
    outputs: Mapping[str, str]


def collect_run(cloud: Cloud, made: Made, captures: str, images: Mapping[str, Image], report: Path) -> Run:
    """Everything that is known of these check-ins, and the summary; waits for captures and metrics.

    `captures` is the s3:// prefix of the endpoint's data capture, `report` where the page will be. Raises
    CloudError, DataError.
    """
    inferred = list_inferred(cloud, made.outputs["CheckinsTableName"], images)
    found = await_captures(cloud, captures, inferred)
    rows = collect_rows(cloud, made.outputs["RouteDeliveryArn"], images, found, made.staged.local)
    latency = await_latency(cloud, made.endpoint.name, rows)
    summary = summarize(
        made.staged.local, made.measures, made.gate, made.endpoint.name, latency, rows, str(report)
    )
    return Run(summary, _list_facts(made), made.staged.local.classes, rows, _count(cloud, made, rows))


def _count(cloud: Cloud, made: Made, rows: Sequence[CheckIn]) -> list[tuple[datetime, int]]:
    start, end = find_span(rows)
    seen = read_instances(cloud, made.endpoint.name, start, end + LATE)
    return [*seen, (max([end, *(at for at, _ in seen)]), made.endpoint.instances)]


def _list_facts(made: Made) -> list[tuple[str, str]]:
    dataset = made.staged.local
    return [
        ("When", datetime.now(UTC).isoformat(timespec="seconds")),
        ("Code", f"scones {__version__}"),
        ("Data source", ", ".join(f"{name} {value}" for name, value in dataset.source.items() if value)),
        ("Dataset", f"{made.staged.remote} ({dataset.digest})"),
        ("Training job", made.job.arn),
        ("Model artifact", made.job.artifact),
        ("Model package", made.package),
        ("Endpoint", made.endpoint.arn),
        ("State machine", made.outputs["RouteDeliveryArn"]),
        ("Classes", ", ".join(dataset.classes)),
    ]
