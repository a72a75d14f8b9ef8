"""State machines on the running service that the Lambda tests use."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest

from ..lambdas.conftest import Cloud, cloud, serve, start

__all__ = ["cloud", "serve", "start"]

ROLE = "arn:aws:iam::000000000000:role/machine"


class Machines:
    """State machines and executions, through boto3."""

    def __init__(self, cloud: Cloud) -> None:
        self.client = cloud.client("stepfunctions")

    def create(self, definition: dict[str, Any]) -> str:
        """The ARN of a new state machine."""
        name = f"machine-{uuid.uuid4().hex}"
        created = self.client.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE)
        return str(created["stateMachineArn"])

    def run(self, definition: dict[str, Any], value: Any = None) -> dict[str, Any]:
        """Run a new state machine to its end; DescribeExecution's answer."""
        started = self.client.start_execution(
            stateMachineArn=self.create(definition), input=json.dumps({} if value is None else value)
        )
        return self.await_end(started["executionArn"])

    def await_end(self, arn: str) -> dict[str, Any]:
        """DescribeExecution's answer when the execution is no longer running."""
        deadline = time.monotonic() + 30
        while True:
            found: dict[str, Any] = self.client.describe_execution(executionArn=arn)
            if found["status"] != "RUNNING":
                return found
            assert time.monotonic() < deadline, "the execution has not ended in time"
            time.sleep(0.02)


@pytest.fixture
def machines(cloud: Cloud) -> Machines:
    """State machines on `cloud`."""
    return Machines(cloud)
