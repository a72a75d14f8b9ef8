"""The parts of jobs that need no cloud: names of inputs, records, metrics, environment, failures."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_local.errors import JobError
from sagemaker_local.jobs.environment import relocate, training_environment
from sagemaker_local.jobs.inputs import _inside, relative_key
from sagemaker_local.jobs.logs import MetricScanner
from sagemaker_local.jobs.processing import local_path
from sagemaker_local.jobs.records import assemble, split_records
from sagemaker_local.jobs.training import read_failure


@pytest.mark.parametrize(
    ("key", "prefix", "path"),
    [
        ("data/train/a.png", "data/train/", "a.png"),
        ("data/train/a.png", "data/train", "a.png"),
        ("data/train/deep/a.png", "data/train", "deep/a.png"),
        ("data/train.lst", "data/train.lst", "train.lst"),
        ("data/train2/a.png", "data/train", "train2/a.png"),
        ("a.png", "", "a.png"),
    ],
)
def test_where_an_object_lies_in_its_channel(key: str, prefix: str, path: str) -> None:
    assert relative_key(key, prefix) == path


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/passwd"])
def test_keys_do_not_leave_the_channel(name: str) -> None:
    with pytest.raises(JobError, match="leaves the channel"):
        _inside(Path("/channel"), Path(name))


@pytest.mark.parametrize("path", ["/etc", "/opt/mlx/a", "/opt/ml/../a", "relative"])
def test_local_paths_lie_below_opt_ml(path: str) -> None:
    with pytest.raises(JobError, match="must lie below"):
        local_path(Path("/base"), path)


@given(st.lists(st.text("ab,1", min_size=1, max_size=20), max_size=30), st.integers(1, 60))
def test_batches_hold_every_line_once_and_no_more_than_they_may(lines: list[str], most: int) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    batches = list(split_records(data, "Line", "MultiRecord", most))
    assert b"".join(batches) == data
    assert all(len(batch) <= most or batch.count(b"\n") == 1 for batch in batches)


def test_answers_are_put_together_by_line() -> None:
    assert assemble([b"1", b"2\n"], "Line") == b"1\n2\n"
    assert assemble([b"1", b"2"], "None") == b"12"


def test_metrics_are_the_last_number_each_regex_found() -> None:
    scanner = MetricScanner([{"Name": "loss", "Regex": r"loss=([0-9.e+-]+|nothing)"}])
    for line in ("loss=0.5", "other", "loss=nothing", "loss=2.5e-1"):
        scanner.scan(line)
    (final,) = scanner.final_values()
    assert (final["MetricName"], final["Value"]) == ("loss", 0.25)
    assert [entry["Value"] for entry in scanner.take_unsent()] == [0.5, 0.25]
    assert not scanner.take_unsent()


def test_hyperparameters_reach_the_environment_as_the_toolkit_names_them() -> None:
    request = {
        "TrainingJobName": "job",
        "HyperParameters": {"learning-rate": "0.1", "name": "x", "sagemaker_program": '"train.py"'},
        "InputDataConfig": [{"ChannelName": "train_lst"}],
        "ResourceConfig": {"InstanceType": "ml.m5.large"},
    }
    environment = training_environment("/opt/ml", request, "arn")
    assert environment["SM_HP_LEARNING-RATE"] == "0.1"
    assert environment["SM_HPS"] == '{"learning-rate": 0.1, "name": "x"}'
    assert environment["SM_USER_ARGS"] == '["--learning-rate", "0.1", "--name", "x"]'
    assert environment["SM_CHANNEL_TRAIN_LST"] == "/opt/ml/input/data/train_lst"
    assert '"current_instance_type": "ml.m5.large"' in environment["SM_RESOURCE_CONFIG"]


def test_without_a_mount_opt_ml_is_replaced() -> None:
    assert relocate(["run /opt/ml/input/x", "other"], Path("/job")) == ["run /job/input/x", "other"]


def test_failure_reasons_have_at_most_1024_characters(tmp_path: Path) -> None:
    path = tmp_path / "failure"
    assert read_failure(path, 2) == "AlgorithmError: , exit code: 2"
    path.write_text("é" * 5000)
    reason = read_failure(path, 137)
    assert len(reason) == 1024
    assert reason.endswith("é, exit code: 137")
