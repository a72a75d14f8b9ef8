"""Training jobs, as boto3 sees them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import training_request, wait_for


def run(sagemaker: Any, request: dict[str, Any]) -> dict[str, Any]:
    sagemaker.create_training_job(**request)
    return wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName=request["TrainingJobName"]),
        lambda job: job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
    )


def read_archive(s3: Any, uri: str) -> dict[str, bytes]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    data = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def channel(uri: str, name: str = "train", **changes: Any) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": {**source, **changes}}}


def test_a_job_reads_its_channels_and_leaves_its_archives(
    sagemaker: Any, s3: Any, bucket: str, name: str
) -> None:
    for key in ("data/a.txt", "data/deep/b.txt"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    request = training_request(
        name,
        bucket,
        HyperParameters={"epochs": "2", "learning-rate": "0.1"},
        Environment={"MY_SETTING": "yes"},
        InputDataConfig=[channel(f"s3://{bucket}/data")],
        Tags=[{"Key": "team", "Value": "routing"}],
    )
    job = run(sagemaker, request)
    assert job["TrainingJobStatus"] == "Completed", job
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://{bucket}/out/{name}/output/model.tar.gz"
    steps = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    assert steps == ["Pending", "Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert all(step["EndTime"] >= step["StartTime"] for step in job["SecondaryStatusTransitions"])
    model = json.loads(read_archive(s3, job["ModelArtifacts"]["S3ModelArtifacts"])["model.json"])
    assert model["files"] == {"train": ["a.txt", "deep", "deep/b.txt"]}
    output = read_archive(s3, f"s3://{bucket}/out/{name}/output/output.tar.gz")
    environment = json.loads(output["environment.json"])
    assert environment["SM_CHANNELS"] == '["train"]'
    assert environment["SM_HP_LEARNING-RATE"] == "0.1"
    assert environment["MY_SETTING"] == "yes"
    assert environment["TRAINING_JOB_ARN"] == job["TrainingJobArn"]
    assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == request["Tags"]


def test_unknown_jobs_and_taken_names_are_refused_in_awss_words(
    sagemaker: Any, bucket: str, name: str
) -> None:
    with pytest.raises(ClientError, match="Requested resource not found") as caught:
        sagemaker.describe_training_job(TrainingJobName=name)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    run(sagemaker, training_request(name, bucket))
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="must be unique"):
        sagemaker.create_training_job(**training_request(name, bucket))


def test_metrics_and_logs_appear_while_the_job_runs(
    sagemaker: Any, cloud: Any, bucket: str, name: str
) -> None:
    logs, cloudwatch = cloud.client("logs"), cloud.client("cloudwatch")
    request = training_request(name, bucket, HyperParameters={"epochs": "4", "seconds": "0.6"})
    pattern = r"Validation-accuracy=([0-9.]+)"
    request["AlgorithmSpecification"]["MetricDefinitions"] = [
        {"Name": "validation:accuracy", "Regex": pattern}
    ]
    sagemaker.create_training_job(**request)
    group = "/aws/sagemaker/TrainingJobs"

    def read_streams() -> list[dict[str, Any]]:
        try:
            return logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return []

    (stream,) = wait_for(read_streams, bool)
    assert sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"
    job = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda job: job["TrainingJobStatus"] != "InProgress",
    )
    (metric,) = job["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("validation:accuracy", pytest.approx(0.8))
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )
    lines = [event["message"] for event in events["events"]]
    assert lines[0].startswith("files")
    assert lines[-1] == "done"
    found = cloudwatch.list_metrics(Namespace=group, Dimensions=[{"Name": "TrainingJobName", "Value": name}])[
        "Metrics"
    ]
    assert [metric["MetricName"] for metric in found] == ["validation:accuracy"]


def test_a_failed_job_says_what_its_container_wrote(sagemaker: Any, bucket: str, name: str) -> None:
    parameters = {"failure": "no images in channel train", "code": "7"}
    job = run(sagemaker, training_request(name, bucket, HyperParameters=parameters))
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == "AlgorithmError: no images in channel train, exit code: 7"


def test_a_long_failure_text_is_cut_at_1024_characters(sagemaker: Any, bucket: str, name: str) -> None:
    job = run(sagemaker, training_request(name, bucket, HyperParameters={"failure": "é" * 250, "code": "1"}))
    assert len(job["FailureReason"]) <= 1024


@pytest.mark.parametrize("manner", ["obey", "ignore"])
def test_stop_asks_first_and_kills_later(
    sagemaker: Any, s3: Any, bucket: str, name: str, manner: str
) -> None:
    sagemaker.create_training_job(
        **training_request(name, bucket, HyperParameters={"epochs": "100", "seconds": "1", "on_stop": manner})
    )
    wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"],
        lambda status: status == "Training",
    )
    sagemaker.stop_training_job(TrainingJobName=name)
    job = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName=name),
        lambda job: job["TrainingJobStatus"] == "Stopped",
    )
    assert job["SecondaryStatusTransitions"][-2]["Status"] == "Stopping"
    model = read_archive(s3, job["ModelArtifacts"]["S3ModelArtifacts"])
    assert manner == "ignore" or not model or model == {"stopped": b"yes"}
    with pytest.raises(ClientError, match="in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)


def test_a_job_that_runs_too_long_is_stopped(sagemaker: Any, bucket: str, name: str) -> None:
    request = training_request(name, bucket, HyperParameters={"epochs": "100", "seconds": "1"})
    job = run(sagemaker, {**request, "StoppingCondition": {"MaxRuntimeInSeconds": 1}})
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_jobs_beyond_the_cores_wait_and_can_be_stopped_waiting(
    sagemaker: Any, bucket: str, name: str
) -> None:
    parameters = {"epochs": "100", "seconds": "1"}
    names = [f"{name}-{number}" for number in range(3)]
    for each in names:
        sagemaker.create_training_job(**training_request(each, bucket, HyperParameters=parameters))

    def read() -> list[str]:
        return [sagemaker.describe_training_job(TrainingJobName=each)["SecondaryStatus"] for each in names]

    wait_for(read, lambda statuses: statuses == ["Training", "Training", "Pending"])
    for each in reversed(names):
        sagemaker.stop_training_job(TrainingJobName=each)
    wait_for(read, lambda statuses: statuses == ["Stopped"] * 3)


def test_manifests_name_the_objects(sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    for key in ("data/a.txt", "data/deep/b.txt", "data/c.txt"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    manifest = [{"prefix": f"s3://{bucket}/data/"}, "a.txt", "deep/b.txt"]
    s3.put_object(Bucket=bucket, Key="plain.manifest", Body=json.dumps(manifest))
    lines = [
        {"source-ref": f"s3://{bucket}/data/{key}", "label": 1, "note": "x"} for key in ("a.txt", "c.txt")
    ]
    s3.put_object(Bucket=bucket, Key="augmented.manifest", Body="\n".join(map(json.dumps, lines)))
    request = training_request(
        name,
        bucket,
        InputDataConfig=[
            channel(f"s3://{bucket}/plain.manifest", "plain", S3DataType="ManifestFile"),
            channel(
                f"s3://{bucket}/augmented.manifest",
                "augmented",
                S3DataType="AugmentedManifestFile",
                AttributeNames=["source-ref", "label"],
            ),
        ],
    )
    job = run(sagemaker, request)
    assert job["TrainingJobStatus"] == "Completed", job
    files = json.loads(read_archive(s3, job["ModelArtifacts"]["S3ModelArtifacts"])["model.json"])["files"]
    assert files["plain"] == ["a.txt", "deep", "deep/b.txt"]
    assert f"{bucket}/data/c.txt" in files["augmented"]
    assert "augmented.manifest" in files["augmented"]


def test_missing_input_fails_the_job_with_the_uri(sagemaker: Any, bucket: str, name: str) -> None:
    job = run(sagemaker, training_request(name, bucket, InputDataConfig=[channel(f"s3://{bucket}/nothing/")]))
    assert job["TrainingJobStatus"] == "Failed"
    assert f"s3://{bucket}/nothing/" in job["FailureReason"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"AlgorithmSpecification": {"TrainingImage": "x/other:1", "TrainingInputMode": "File"}},
            "No command",
        ),
        ({"RoleArn": "no-role"}, "'roleArn' failed to satisfy constraint: Member must satisfy regular"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "greater than or equal to 1"),
        ({"HyperParameters": {"k": "v" * 2501}}, "length less than or equal to 2500"),
        ({"InputDataConfig": [{**channel("s3://b/k"), "InputMode": "Pipe"}]}, "Pipe is not available here"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/k", "LocalPath": "/mnt"}}, "must be /opt/ml/checkpoints"),
    ],
)
def test_bad_requests_are_refused_before_anything_runs(
    cloud: Any, sagemaker: Any, bucket: str, name: str, changes: dict[str, Any], message: str
) -> None:
    unchecked = cloud.client("sagemaker", parameter_validation=False)
    with pytest.raises(ClientError, match=message) as caught:
        unchecked.create_training_job(**training_request(name, bucket, **changes))
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    with pytest.raises(ClientError, match="not found"):
        sagemaker.describe_training_job(TrainingJobName=name)


def test_checkpoints_come_back_to_the_next_job(sagemaker: Any, s3: Any, bucket: str, name: str) -> None:
    changes: dict[str, Any] = {
        "HyperParameters": {"checkpoint": "yes"},
        "CheckpointConfig": {"S3Uri": f"s3://{bucket}/checkpoints"},
    }
    for turn in ("1", "2"):
        job = run(sagemaker, training_request(f"{name}-{turn}", bucket, **changes))
        assert job["TrainingJobStatus"] == "Completed", job
        kept = s3.get_object(Bucket=bucket, Key="checkpoints/epoch")["Body"].read()
        assert kept.decode() == turn


def test_jobs_are_listed_by_filters_and_pages(sagemaker: Any, bucket: str, name: str) -> None:
    for number in range(3):
        run(sagemaker, training_request(f"{name}-{number}", bucket))
    pages = sagemaker.get_paginator("list_training_jobs").paginate(
        NameContains=name.upper(), StatusEquals="Completed", SortBy="Name", MaxResults=2
    )
    names = [[job["TrainingJobName"] for job in page["TrainingJobSummaries"]] for page in pages]
    assert names == [[f"{name}-0", f"{name}-1"], [f"{name}-2"]]
    with pytest.raises(ClientError, match="NextToken"):
        sagemaker.list_training_jobs(NextToken="nonsense")


def test_more_than_one_instance_is_more_than_there_is(sagemaker: Any, bucket: str, name: str) -> None:
    request = training_request(name, bucket)
    request["ResourceConfig"] = {**request["ResourceConfig"], "InstanceCount": 2}
    with pytest.raises(sagemaker.exceptions.ResourceLimitExceeded, match="set InstanceCount to 1"):
        sagemaker.create_training_job(**request)
