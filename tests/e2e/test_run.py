"""The main job end to end in real processes: data, training job, endpoint, application, captures, report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scones.data.drawing import draw_image

REAL = Path(__file__).parents[3] / "shared" / "data" / "cifar-100-python-two-wheelers.tar.gz"
PATIENCE = 900  # seconds, for a slow machine


def run_scones(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scones", *arguments, "--state-dir", str(state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of drawn pictures: 30 of each class."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("bicycle", "motorcycle"):
        (folder / name).mkdir()
        for seed in range(30):
            draw_image(name, seed, 64).save(folder / name / f"{name}_{seed:02}.png")
    return folder


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("state") / ".scones"
    yield folder
    run_scones(folder, "down")


@pytest.fixture(scope="module")
def options(photos: Path) -> list[str]:
    return ["--source", f"folder:{photos}", "--epochs", "1", "--least-accuracy", "0", "--json"]


@pytest.fixture(scope="module")
def summary(state: Path, options: list[str]) -> dict[str, Any]:
    """One whole run, killed hard while it trains and once more while it deploys, then finished."""
    for stage in ("Training", "Deploying the application"):
        _kill_during(stage, state, options)
    done = run_scones(state, "run", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _kill_during(stage: str, state: Path, options: list[str]) -> None:
    """Start a run and kill it a moment after the step before `stage` was reported as done."""
    before = {"Training": "Staging the data", "Deploying the application": "Deploying the endpoint"}[stage]
    command = [sys.executable, "-m", "scones", "run", *options, "--state-dir", str(state)]
    number = signal.SIGKILL if stage == "Training" else signal.SIGINT
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr
        for line in process.stderr:
            if re.search(f"✓ {before}", line):
                time.sleep(1)
                process.send_signal(number)
                break
        process.stderr.read()
    assert process.returncode in (-number, 130)


def test_every_checkin_has_an_outcome_and_a_capture(summary: dict[str, Any]) -> None:
    workflow = summary["workflow"]
    assert workflow["executions"] == summary["data"]["test"] > 0
    assert workflow["routed"] + workflow["low_confidence"] == workflow["executions"]
    assert workflow["failed"] == workflow["invalid"] == 0
    assert summary["captured_records"] == workflow["executions"]


def test_the_outcomes_are_those_of_the_model(summary: dict[str, Any], state: Path) -> None:
    for line in (state / "run" / "checkins.jsonl").read_text().splitlines():
        row = json.loads(line)
        sure = max(row["probabilities"]) >= summary["model"]["threshold"] and (row["ood"] or 0) <= 0.5
        assert row["outcome"] == ("ROUTED" if sure else "LowConfidence"), row["key"]


def test_the_report_says_the_same_numbers(summary: dict[str, Any], state: Path, tmp_path: Path) -> None:
    page = Path(summary["report"]).read_text()
    island = re.search(r'<script type="application/json" id="summary">(.*?)</script>', page, re.S)
    assert island
    assert json.loads(island[1]) == summary
    command = [sys.executable, "-m", "scones", "report", "build", "--run", str(state / "run"), "--json"]
    command += ["--out", str(tmp_path / "again.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == summary


def test_a_second_run_changes_nothing(summary: dict[str, Any], state: Path, options: list[str]) -> None:
    again = json.loads(run_scones(state, "run", *options).stdout)
    assert again["model"] == summary["model"]
    assert again["workflow"] == summary["workflow"]


def test_a_model_below_the_gate_is_not_deployed(
    summary: dict[str, Any], state: Path, options: list[str]
) -> None:
    done = run_scones(state, "run", *options[:-1], "--least-accuracy", "1.01", "--seed", "0")
    assert done.returncode == 1
    assert "below its gate and was not deployed" in done.stderr.replace("\n", " ")


@pytest.mark.skipif(not REAL.is_file(), reason="the real two-wheelers archive is not here")
@pytest.mark.skipif("SKIP_REAL_ARCHIVE" in os.environ, reason="SKIP_REAL_ARCHIVE is set")
def test_the_real_archive(tmp_path: Path) -> None:
    state = tmp_path / ".scones"
    done = run_scones(state, "run", "--source", str(REAL), "--json", "--down")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    workflow = summary["workflow"]
    assert workflow["executions"] == 200
    assert workflow["routed"] + workflow["low_confidence"] >= 190
    assert workflow["failed"] == 0
    assert summary["captured_records"] == 200
    assert summary["model"]["test_accuracy"] >= 0.94
