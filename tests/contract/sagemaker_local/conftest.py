"""One SageMaker for all tests of this folder; tests make their own buckets and names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.validate import ParamValidator

PROGRAM = Path(__file__).with_name("program.py")
ROLE = "arn:aws:iam::000000000000:role/sagemaker"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/toy:1"
RESOURCES = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}


def check_response(http_response: Any, parsed: Any, model: Any, **_: Any) -> None:
    """Every answer in these tests fits botocore's model: required members, types, nothing unknown."""
    if http_response.status_code < 300 and model.output_shape is not None:
        told = {key: value for key, value in parsed.items() if key != "ResponseMetadata"}
        if model.name == "DescribeTrainingJob" and told.get("TrainingJobStatus") != "Completed":
            told.setdefault("ModelArtifacts", {"S3ModelArtifacts": "not yet, whatever the model says"})
        report = ParamValidator().validate(told, model.output_shape)
        assert not report.has_errors(), f"{model.name}: {report.generate_report()}"


class LocalSageMaker:
    """The program and boto3's clients to it."""

    def __init__(self, state_dir: Path, cores: int = 2) -> None:
        self.state_dir = state_dir
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(state_dir), str(cores)],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.stop()
            pytest.fail("the program did not start")
        self.url = f"http://127.0.0.1:{json.loads(line)['port']}"

    def client(self, service: str, **options: Any) -> Any:
        settings = Config(
            retries={"max_attempts": 1}, read_timeout=120, s3={"addressing_style": "path"}, **options
        )
        made = boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="000000000000",
            aws_secret_access_key="test",
            config=settings,
        )
        if service in ("sagemaker", "application-autoscaling"):
            made.meta.events.register("after-call", check_response)
        return made

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSageMaker]:
    running = LocalSageMaker(tmp_path_factory.mktemp("sagemaker"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def sagemaker(cloud: LocalSageMaker) -> Any:
    return cloud.client("sagemaker")


@pytest.fixture(scope="session")
def s3(cloud: LocalSageMaker) -> Any:
    return cloud.client("s3")


@pytest.fixture
def name() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bucket(s3: Any, name: str) -> str:
    s3.create_bucket(Bucket=name)
    return name


def training_request(name: str, bucket: str, **changes: Any) -> dict[str, Any]:
    """A CreateTrainingJob request that works as it stands."""
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
        "ResourceConfig": RESOURCES,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **changes,
    }


def wait_for(read: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 60) -> Any:
    """The first value of `read()` that is `wanted`."""
    deadline = time.monotonic() + seconds
    while not wanted(value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.05)
    return value
