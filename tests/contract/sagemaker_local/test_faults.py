"""What is left when the whole program is killed."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from .conftest import LocalSageMaker, training_request, wait_for
from .test_endpoints import deploy, put_model, wait_in_service


def read_child(cloud: LocalSageMaker, name: str) -> int:
    """The process id that the training container's own child has."""
    logs, group = cloud.client("logs"), "/aws/sagemaker/TrainingJobs"

    def find() -> list[str]:
        try:
            events = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=name)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return re.findall(r"child (\d+)", "\n".join(event["message"] for event in events))

    return int(wait_for(find, bool)[0])


def runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_end_with_the_program_and_endpoints_come_back(tmp_path: Path, number: int) -> None:
    first = LocalSageMaker(tmp_path)
    sagemaker, s3 = first.client("sagemaker"), first.client("s3")
    s3.create_bucket(Bucket="models")
    deploy(sagemaker, "kept", put_model(s3, "models"))
    sagemaker.create_training_job(**training_request("running", "models", HyperParameters={"child": "yes"}))
    child = read_child(first, "running")
    assert runs(child)
    first.stop(number)
    wait_for(lambda: runs(child), lambda alive: not alive, 10)

    second = LocalSageMaker(tmp_path)
    try:
        sagemaker = second.client("sagemaker")
        job = sagemaker.describe_training_job(TrainingJobName="running")
        assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
        assert "InternalServerError" in job["FailureReason"]
        assert not list((tmp_path / "jobs").glob("*"))
        endpoint = wait_in_service(sagemaker, "kept")
        assert endpoint["EndpointStatus"] == "InService", endpoint.get("FailureReason")
        runtime = second.client("sagemaker-runtime")
        assert (
            runtime.invoke_endpoint(EndpointName="kept", Body=b"x")["InvokedProductionVariant"]
            == "AllTraffic"
        )
    finally:
        second.stop()


def test_a_job_whose_container_is_killed_fails(
    cloud: LocalSageMaker, sagemaker: Any, bucket: str, name: str
) -> None:
    sagemaker.create_training_job(**training_request(name, bucket, HyperParameters={"child": "yes"}))
    child = read_child(cloud, name)
    parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    job = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda job: job["TrainingJobStatus"] != "InProgress",
    )
    assert job["FailureReason"].endswith("exit code: 137")
    assert not runs(child)


def test_damaged_state_stops_the_start_and_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "sagemaker.sqlite"
    path.write_bytes(b"not a database, but something somebody may want back" * 100)
    before = path.read_bytes()
    with pytest.raises(pytest.fail.Exception, match="did not start"):
        LocalSageMaker(tmp_path)
    assert path.read_bytes() == before
