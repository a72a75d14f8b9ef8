"""Steps from histories, names that the functions make as well, and where a session may point."""

from __future__ import annotations

import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scones.aws.checkins import CheckIn
from scones.aws.executions import collect_steps, find_arn
from scones.aws.sessions import connect
from scones.errors import UsageError

ROOT = Path(__file__).parents[3]
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:scones-route-delivery"


def history(*events: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        {"type": kind, "timestamp": start + timedelta(seconds=second), **details}
        for second, (kind, details) in enumerate(events)
    ]


def test_steps_have_their_time_their_attempts_their_last_error_and_their_output() -> None:
    failed = {"taskFailedEventDetails": {"error": "EndpointUnavailable"}}
    steps = collect_steps(
        history(
            ("ExecutionStarted", {}),
            ("TaskStateEntered", {"stateEnteredEventDetails": {"name": "Classify"}}),
            ("TaskScheduled", {}), ("TaskFailed", failed), ("TaskScheduled", {}), ("TaskFailed", failed),
            ("TaskStateExited", {"stateExitedEventDetails": {"name": "Classify", "output": '{"ood": 0.25}'}}),
            ("PassStateEntered", {"stateEnteredEventDetails": {"name": "Pass"}}),
            ("PassStateExited", {"stateExitedEventDetails": {"name": "Pass", "output": "[1]"}}),
            ("ExecutionSucceeded", {}),
        )
    )  # fmt: skip
    assert [(s.state, s.seconds, s.attempts, s.error, s.output) for s in steps] == [
        ("Classify", 5.0, 2, "EndpointUnavailable", {"ood": 0.25}),
        ("Pass", 2.0, 0, "", [1]),
    ]


def test_an_execution_is_found_by_name_or_arn() -> None:
    arn = MACHINE.replace("stateMachine", "execution") + ":abc-0"
    assert find_arn(MACHINE, "abc-0") == find_arn(MACHINE, arn) == arn


def test_the_command_line_and_start_delivery_name_an_execution_alike() -> None:
    spec = importlib.util.spec_from_file_location("starter", ROOT / "functions" / "start_delivery" / "app.py")
    assert spec is not None
    assert spec.loader is not None
    starter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(starter)
    checkin = CheckIn("photos", "incoming/d/ü.png", "e1")
    detail = {"bucket": {"name": checkin.bucket}, "object": {"key": checkin.key, "etag": checkin.etag}}
    request = starter.read_event(json.dumps({"detail": detail}))
    assert (request["name"], request["input"]["checkin_id"]) == (checkin.execution, checkin.checkin_id)


def test_aws_is_never_mistaken_for_the_local_cloud() -> None:
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    with pytest.raises(UsageError, match=r"AWS_ENDPOINT_URL is http://127\.0\.0\.1:4566"):
        connect("aws", "us-east-1", environment, dict)


def test_the_local_cloud_is_asked_for_unless_the_environment_names_it() -> None:
    environment: dict[str, str] = {}
    connect("local", "us-east-1", environment, lambda: {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert environment == {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    connect("local", "us-east-1", environment, lambda: pytest.fail("not needed"))
