"""The main job end to end in real processes: data, training job, endpoint, application, captures, report."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.e2e.conftest import Ground

from local_cloud import lifecycle
from scones.aws.metrics import read_instances, read_latency
from scones.aws.sessions import Cloud
from scones.run.application import MAX_OOD

REAL = Path(__file__).parents[3] / "shared" / "data" / "cifar-100-python-two-wheelers.tar.gz"


@pytest.fixture(scope="module")
def cloud(summary: dict[str, Any], ground: Ground) -> Iterator[Cloud]:
    """The cloud on which the run has worked."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in lifecycle.environment(ground.state).items():
            patch.setenv(name, value)
        yield Cloud(boto3.Session(), "local")


def test_every_checkin_has_an_outcome_and_a_capture(summary: dict[str, Any]) -> None:
    workflow = summary["workflow"]
    assert workflow["executions"] == summary["data"]["test"] > 0
    assert workflow["routed"] + workflow["low_confidence"] == workflow["executions"]
    assert workflow["failed"] == workflow["invalid"] == 0
    assert summary["captured_records"] == workflow["executions"]


def test_what_was_interrupted_was_done_once(summary: dict[str, Any], cloud: Cloud) -> None:
    sagemaker = cloud.client("sagemaker")
    [job] = sagemaker.list_training_jobs()["TrainingJobSummaries"]
    assert job["TrainingJobStatus"] == "Completed"
    assert (
        len(sagemaker.list_model_packages(ModelPackageGroupName="scones-vehicles")["ModelPackageSummaryList"])
        == 1
    )
    [endpoint] = sagemaker.list_endpoints()["Endpoints"]
    assert endpoint["EndpointStatus"] == "InService"
    [stack] = cloud.client("cloudformation").describe_stacks()["Stacks"]
    outputs = {entry["OutputKey"]: entry["OutputValue"] for entry in stack["Outputs"]}
    pages = cloud.client("stepfunctions").get_paginator("list_executions")
    executions = [
        entry
        for page in pages.paginate(stateMachineArn=outputs["RouteDeliveryArn"])
        for entry in page["executions"]
    ]
    assert len(executions) >= summary["workflow"]["executions"]
    assert {entry["name"][-2:] for entry in executions} == {"-0"}  # nobody had to start one a second time
    records = cloud.table(outputs["CheckinsTableName"]).scan()["Items"]
    orders = [record["order_id"] for record in records if record.get("order_id")]
    assert len(orders) == len(set(orders)) >= summary["workflow"]["routed"]


def test_the_outcomes_are_those_of_the_model(summary: dict[str, Any], ground: Ground) -> None:
    for line in (ground.state / "run" / "checkins.jsonl").read_text().splitlines():
        row = json.loads(line)
        sure = max(row["probabilities"]) >= summary["model"]["threshold"] and row["ood"] <= float(MAX_OOD)
        assert row["outcome"] == ("ROUTED" if sure else "LowConfidence"), row["key"]


def test_the_report_says_the_same_numbers(summary: dict[str, Any], ground: Ground, tmp_path: Path) -> None:
    page = Path(summary["report"]).read_text()
    island = re.search(r'<script type="application/json" id="summary">(.*?)</script>', page, re.S)
    assert island
    assert json.loads(island[1]) == summary
    done = ground.scones("report", "build", "--json", "--out", str(tmp_path / "again.html"))
    assert json.loads(done.stdout) == summary


def test_a_bad_model_that_got_through_a_lowered_gate_is_shown_as_bad(summary: dict[str, Any]) -> None:
    page = Path(summary["report"]).read_text()
    bad = summary["model"]["test_accuracy"] < 0.9
    assert ("The model is bad: the gate was lowered to 0%." in page) == bad
    assert ('class="verdict bad"' in page) == bad


def test_the_endpoints_latency_is_its_own(summary: dict[str, Any], cloud: Cloud) -> None:
    told = summary["endpoint"]
    assert 0 < told["p50_ms"] <= told["p95_ms"] < summary["workflow"]["p95_ms"]
    now = datetime.now(UTC)
    found = read_latency(cloud, told["name"], now - timedelta(hours=2), now)
    assert found
    assert found.invocations >= summary["workflow"]["executions"]


def test_percentiles_and_instances_as_cloudwatch_tells_them(cloud: Cloud) -> None:
    now = datetime.now(UTC)
    noon = (now - timedelta(hours=2)).replace(minute=7, second=0, microsecond=0)
    dimensions = [{"Name": "EndpointName", "Value": "told"}, {"Name": "VariantName", "Value": "AllTraffic"}]

    def put(name: str, at: datetime, values: list[float], counts: list[float]) -> None:
        datum = {
            "MetricName": name,
            "Dimensions": dimensions,
            "Timestamp": at,
            "Values": values,
            "Counts": counts,
        }
        cloud.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=[datum])

    put("ModelLatency", noon, [float(1000 * n) for n in range(1, 102)], [1.0] * 101)
    put("OverheadLatency", noon, [500.0], [101.0])
    put("ModelLatency", noon - timedelta(minutes=5), [9e9], [50.0])
    put("InvocationsPerInstance", noon, [1.0, 0.5], [3.0, 3.0])
    put("InvocationsPerInstance", noon + timedelta(minutes=1), [0.25], [3.0])
    latency = read_latency(cloud, "told", noon + timedelta(seconds=30), noon + timedelta(minutes=3))
    assert latency
    assert (latency.invocations, latency.model_p50, latency.model_p95) == (101, 51.0, 96.0)
    assert latency.overhead_p95 == 0.5
    assert read_latency(cloud, "other", noon, now) is None
    assert read_instances(cloud, "told", noon, now) == [(noon, 2), (noon + timedelta(minutes=1), 4)]


def test_the_endpoint_is_described_and_asked(summary: dict[str, Any], ground: Ground, photos: Path) -> None:
    described = json.loads(ground.scones("endpoint", "describe", "--json").stdout)
    assert (described["name"], described["status"]) == (summary["endpoint"]["name"], "InService")
    photo = str(next(photos.rglob("*.png")))
    answer = json.loads(ground.scones("endpoint", "invoke", photo, "--json").stdout)
    assert answer["probabilities"].keys() == {"bicycle", "motorcycle"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert answer["attributes"].startswith("ood=")


def test_a_missing_endpoint_says_what_to_do(summary: dict[str, Any], ground: Ground) -> None:
    done = ground.scones("endpoint", "describe", "nowhere")
    assert done.returncode == 1
    assert "There is no endpoint nowhere.\nDeploy one: scones run." in done.stderr


def test_a_second_run_changes_nothing(summary: dict[str, Any], ground: Ground) -> None:
    done = ground.run("--json")
    assert json.loads(done.stdout) == summary
    assert done.stderr.count(" unchanged\n") == 8


def test_one_step_alone(summary: dict[str, Any], ground: Ground) -> None:
    done = ground.run("--only", "register", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["step"] == "register"
    assert json.loads(done.stdout)["made"][0].endswith("model-package/scones-vehicles/1")
    assert [line for line in done.stderr.splitlines() if line.startswith("✓")] == [
        "✓ Registering the model unchanged"
    ]


def test_one_step_again(summary: dict[str, Any], ground: Ground) -> None:
    [measures] = (ground.state / "run" / "models").rglob("evaluation-*.json")
    before = measures.stat().st_mtime_ns
    done = ground.run("--only", "evaluate", "--again", "evaluate")
    assert done.returncode == 0, done.stderr
    assert measures.stat().st_mtime_ns > before
    again = ground.run("--only", "captures", "--again", "captures")
    assert again.returncode == 0, again.stderr
    assert f"{summary['captured_records']} records" in again.stderr


def test_a_step_without_its_inputs_says_what_is_missing(summary: dict[str, Any], ground: Ground) -> None:
    done = ground.run("--only", "endpoint", "--seed", "5")
    assert done.returncode == 2
    assert "The step endpoint needs what the step data makes, and that is not there" in done.stderr
    assert "scones run --only data" in done.stderr
    assert ground.run("--only", "bake").returncode == 2


def test_a_model_below_the_gate_is_not_deployed(summary: dict[str, Any], ground: Ground) -> None:
    done = ground.run("--least-accuracy", "1.01")
    assert done.returncode == 1
    assert "below its gate and was not deployed" in done.stderr.replace("\n", " ")


@pytest.mark.skipif(not REAL.is_file(), reason="the real two-wheelers archive is not here")
@pytest.mark.skipif("SKIP_REAL_ARCHIVE" in os.environ, reason="SKIP_REAL_ARCHIVE is set")
def test_the_real_archive(ground: Ground, tmp_path: Path) -> None:
    state = str(tmp_path / ".scones")
    done = ground.scones("run", "--source", str(REAL), "--state-dir", state, "--json", "--down")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    workflow = summary["workflow"]
    assert workflow["executions"] == 200
    assert workflow["routed"] + workflow["low_confidence"] >= 190
    assert workflow["failed"] == 0
    assert summary["captured_records"] == 200
    assert summary["model"]["test_accuracy"] >= 0.94
