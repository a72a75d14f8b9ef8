"""What is done again gets a successor's name, and is what the next run finds."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from scones.aws import training_jobs
from scones.aws.sessions import Cloud
from scones.aws.training_jobs import TrainingJob
from scones.data import Dataset, stage
from scones.run import steps
from scones.run.traffic import find_wave, list_photos
from synthetic import draw_photos

OUTPUTS = {"BucketName": "photos"}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with mock_aws():
        made = Cloud(boto3.Session("key", "secret", region_name="us-east-1"), "local")
        made.client("s3").create_bucket(Bucket="photos")
        yield made


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = draw_photos(tmp_path_factory.mktemp("photos"), 6, 32)
    return stage(f"folder:{folder}", folder / "staged", cache_dir=folder)


def test_check_ins_go_on_with_the_latest_wave(cloud: Cloud, dataset: Dataset) -> None:
    assert find_wave(cloud, OUTPUTS, dataset, "w") == "w"
    assert find_wave(cloud, OUTPUTS, dataset, "w", again=True) == "w-1"
    (first, _), *_ = list_photos(dataset, "w-1")
    cloud.client("s3").put_object(Bucket="photos", Key=first, Body=b"photo")
    assert find_wave(cloud, OUTPUTS, dataset, "w") == "w-1"
    assert find_wave(cloud, OUTPUTS, dataset, "w", again=True) == "w-2"


@pytest.mark.parametrize(
    ("statuses", "plain", "again"),
    [
        ([], "job", "job"),
        (["Completed"], "job", "job-1"),
        (["InProgress"], "job", "job"),
        (["Failed"], "job-1", "job-1"),
        (["Failed", "Stopped"], "job-2", "job-2"),
        (["Completed", "Completed"], "job-1", "job-2"),
        (["Failed", "InProgress"], "job-1", "job-1"),
        (["Completed", "Stopped"], "job", "job-2"),
    ],
)
def test_a_training_job_gets_a_successor_when_it_is_of_no_use(
    statuses: list[str], plain: str, again: str, monkeypatch: pytest.MonkeyPatch, cloud: Cloud
) -> None:
    names = [f"job-{number}" if number else "job" for number in range(len(statuses))]
    jobs = {
        name: TrainingJob(name, "", status, "", "", 0, "", {})
        for name, status in zip(names, statuses, strict=True)
    }
    monkeypatch.setattr(training_jobs, "read_training_job", lambda _, name: jobs.get(name))
    assert steps._find_name(cloud, "job") == plain
    assert steps._find_name(cloud, "job", again=True) == again
