"""The whole application on a local cloud with IAM enforcement on; the endpoint is the stand-in."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_cloud import lifecycle
from tests.contract.app.endpoint import serve_endpoint

ROOT = Path(__file__).parents[3]
STACK = "scones"


@dataclass(frozen=True)
class Application:
    """A deployed stack, and what a test does with it."""

    session: boto3.Session
    variables: dict[str, str]
    outputs: dict[str, str]
    server_pid: int
    directory: Path

    def client(self, service: str, **credentials: str) -> Any:
        return self.session.client(service, endpoint_url=self.variables["AWS_ENDPOINT_URL"], **credentials)

    def table(self, name: str) -> Any:
        address = self.variables["AWS_ENDPOINT_URL"]
        return self.session.resource("dynamodb", endpoint_url=address).Table(self.outputs[f"{name}TableName"])

    def scones(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `scones ARGUMENTS` as a user does."""
        own = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), **self.variables}
        line = [sys.executable, "-m", "scones", *arguments]
        return subprocess.run(line, env=own, cwd=ROOT, capture_output=True, text=True, check=check)

    def put(self, key: str, body: bytes) -> str:
        """Put a photo; the check-in's id."""
        bucket = self.outputs["BucketName"]
        etag = self.client("s3").put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')
        return f"{bucket}/{key}@{etag}"

    def await_outcome(self, checkin_id: str, patience: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            record = self.table("Checkins").get_item(Key={"checkin_id": checkin_id}).get("Item", {})
            if "outcome" in record:
                return dict(record)
            time.sleep(0.05)
        raise AssertionError(f"{checkin_id} has no outcome after {patience} s: {record}")

    def configure(self, function: str, **variables: str) -> None:
        """Change environment variables of a function of the stack."""
        client, name = self.client("lambda"), f"{STACK}-{function}"
        before = client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        client.update_function_configuration(
            FunctionName=name, Environment={"Variables": {**before, **variables}}
        )

    def sweep(self) -> dict[str, int]:
        answer = self.client("lambda").invoke(FunctionName=f"{STACK}-sweep-checkins", Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()
        return dict(json.loads(answer["Payload"].read()))

    def find_workers(self) -> list[int]:
        """Processes in which functions run."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"awslambdaric" in command and str(self.directory).encode() in command:
                    found.append(int(entry.name))
        return found

    def kill_a_worker(self, chance: random.Random) -> bool:
        if workers := self.find_workers():
            try:
                os.kill(chance.choice(workers), 9)
            except ProcessLookupError:
                return False
        return bool(workers)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    with serve_endpoint() as address:
        yield address


@pytest.fixture(scope="session")
def application(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    directory = tmp_path_factory.mktemp("cloud")
    running, keeper = lifecycle.start(directory, lifecycle.Start(port=0))
    try:
        variables = lifecycle.environment(directory)
        session = boto3.Session(
            variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1"
        )
        bare = Application(session, variables, {}, running.server_pid, directory)
        outputs = json.loads(bare.scones("app", "deploy", "--yes", "--json").stdout)
        made = Application(session, variables, outputs, running.server_pid, directory)
        made.scones("app", "seed", "--orders", "40")
        made.configure("classify-image", AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME=endpoint)
        yield made
    finally:
        lifecycle.stop(directory)
        keeper.wait(timeout=30)
