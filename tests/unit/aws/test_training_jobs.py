"""A training job's log is told line by line, however long it gets."""

from __future__ import annotations

import time

import boto3
import pytest
from moto import mock_aws

from scones.aws import training_jobs
from scones.aws.sessions import Cloud
from scones.aws.training_jobs import LOG_GROUP, TrainingJob, follow_training_job

PAGE = 10_000  # lines: what GetLogEvents answers at most


def test_every_line_of_a_long_log_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = iter(["InProgress", "InProgress", "Completed"])
    monkeypatch.setattr(
        training_jobs,
        "read_training_job",
        lambda _, name: TrainingJob(name, "", next(statuses), "Training", "", 0, "", {}),
    )
    lines = [f"line {number}" for number in range(PAGE + 1)]
    with mock_aws():
        cloud = Cloud(boto3.Session("key", "secret", region_name="us-east-1"), "local")
        logs = cloud.client("logs")
        logs.create_log_group(logGroupName=LOG_GROUP)
        logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName="job/algo-1")
        now = int(time.time() * 1000)
        for part in (lines[:PAGE], lines[PAGE:]):
            logs.put_log_events(
                logGroupName=LOG_GROUP,
                logStreamName="job/algo-1",
                logEvents=[{"timestamp": now, "message": line} for line in part],
            )
        told = [found for found in follow_training_job(cloud, "job") if isinstance(found, str)]
    assert told == lines
