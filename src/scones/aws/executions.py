"""Executions of the state machines: start, follow state by state, and say how they ended."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from scones.aws.sessions import Cloud, translate_errors
from scones.errors import CloudError

POLL = 0.25  # seconds
RUNNING = ("RUNNING", "PENDING_REDRIVE")


@dataclass(frozen=True)
class Step:
    """One state that an execution went through; `attempts` counts the calls of a task.

    `output` is the JSON that it passed on, None while it runs and where it failed.
    """

    state: str
    started: datetime
    seconds: float
    attempts: int
    error: str
    output: Any = None


@dataclass(frozen=True)
class Execution:
    """An execution as Step Functions describes it; input and output are parsed JSON."""

    arn: str
    status: str
    started: datetime
    seconds: float
    input: Any
    output: Any
    error: str
    cause: str
    steps: tuple[Step, ...]


def start_execution(cloud: Cloud, machine: str, event: dict[str, Any], name: str = "") -> str:
    """The new execution's ARN. Raises CloudError."""
    with translate_errors("start the execution"):
        answer = cloud.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=name or uuid.uuid4().hex, input=json.dumps(event)
        )
    return str(answer["executionArn"])


def find_arn(machine: str, execution: str) -> str:
    """ARN of an execution that is given by ARN or by name."""
    return (
        execution
        if execution.startswith("arn:")
        else f"{machine.replace(':stateMachine:', ':execution:')}:{execution}"
    )


def read_execution(cloud: Cloud, arn: str) -> Execution:
    """The execution and its steps so far. Raises CloudError when Step Functions does not know it."""
    states = cloud.client("stepfunctions")
    with translate_errors(f"read the execution {arn}"):
        found = states.describe_execution(executionArn=arn)
        pages = states.get_paginator("get_execution_history").paginate(executionArn=arn)
        steps = collect_steps([event for page in pages for event in page["events"]])
    stopped = found.get("stopDate") or datetime.now(found["startDate"].tzinfo)
    return Execution(
        arn=arn,
        status=found["status"],
        started=found["startDate"],
        seconds=(stopped - found["startDate"]).total_seconds(),
        input=json.loads(found.get("input") or "null"),
        output=json.loads(found["output"]) if found["status"] == "SUCCEEDED" else None,
        error=found.get("error", ""),
        cause=found.get("cause", ""),
        steps=tuple(steps),
    )


def collect_steps(events: list[dict[str, Any]]) -> list[Step]:
    """Steps from an execution's history; the last one may still run, or be where it failed."""
    steps: list[Step] = []
    for event in events:
        kind, now = event["type"], event["timestamp"]
        if kind.endswith("StateEntered"):
            steps.append(Step(event["stateEnteredEventDetails"]["name"], now, 0.0, 0, ""))
        elif steps:
            last = steps[-1]
            seconds = (now - last.started).total_seconds()
            attempts = last.attempts + (kind == "TaskScheduled")
            details = event.get("taskFailedEventDetails") or event.get("taskTimedOutEventDetails") or {}
            exited = event.get("stateExitedEventDetails", {})
            steps[-1] = replace(
                last,
                seconds=seconds,
                attempts=attempts,
                error=details.get("error", last.error),
                output=json.loads(exited["output"]) if "output" in exited else last.output,
            )
    return steps


def follow_execution(cloud: Cloud, arn: str, patience: float = 600) -> Iterator[Execution]:
    """Yield the execution whenever it has got further, and finally when it has ended.

    Raises CloudError when it does not end within `patience` seconds, or never appears.
    """
    deadline, known = time.monotonic() + patience, -1
    while True:
        execution = read_execution(cloud, arn)
        ended = execution.status not in RUNNING
        if ended or len(execution.steps) > known:
            known = len(execution.steps)
            yield execution
        if ended:
            return
        if time.monotonic() > deadline:
            raise CloudError(
                f"{arn} has not ended within {patience:g} s; it goes on.", f"scones workflow show {arn}"
            )
        time.sleep(POLL)


def await_start(cloud: Cloud, arn: str, patience: float = 30) -> None:
    """Wait until an arrival has started its execution. Raises CloudError after `patience` seconds."""
    states, deadline = cloud.client("stepfunctions"), time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            states.describe_execution(executionArn=arn)
        except states.exceptions.ExecutionDoesNotExist:
            time.sleep(POLL)
        else:
            return
    raise CloudError(
        f"The photo has arrived, but no execution has started within {patience:g} s.",
        "See the log of the function start-delivery; the sweeper starts it after a few minutes.",
    )


def read_map_counts(cloud: Cloud, arn: str) -> dict[str, int]:
    """Item counts of a batch's Map Run, empty until it has begun. Raises CloudError."""
    states = cloud.client("stepfunctions")
    with translate_errors("read the batch's progress"):
        runs = states.list_map_runs(executionArn=arn)["mapRuns"]
        if not runs:
            return {}
        return dict(states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"])
