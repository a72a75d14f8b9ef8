"""Training jobs: start one, follow it to its end, say where the model is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scones.aws.sessions import Cloud, translate_errors
from scones.errors import CloudError, ModelError

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDED = ("Completed", "Failed", "Stopped")
POLL = 0.5  # seconds


@dataclass(frozen=True)
class TrainingSpec:
    """What CreateTrainingJob is asked for; `channels` maps a channel's name to its s3:// prefix."""

    name: str
    image: str
    role: str
    channels: Mapping[str, str]
    output: str
    hyperparameters: Mapping[str, str]
    metrics: Sequence[tuple[str, str]] = ()
    instance_type: str = "ml.m5.xlarge"
    most_seconds: int = 3600


@dataclass(frozen=True)
class TrainingJob:
    """A training job as DescribeTrainingJob tells it; `seconds` is the time it trained (billed on AWS)."""

    name: str
    arn: str
    status: str
    stage: str
    artifact: str
    seconds: float
    reason: str
    metrics: Mapping[str, float]


def start_training_job(cloud: Cloud, spec: TrainingSpec) -> None:
    """Create the job unless one of that name is there: a name stands for one and the same training.

    Raises CloudError.
    """
    sagemaker = cloud.client("sagemaker")
    with translate_errors(f"start the training job {spec.name}"):
        try:
            sagemaker.create_training_job(**describe_request(spec))
        except sagemaker.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUse":
                raise


def describe_request(spec: TrainingSpec) -> dict[str, Any]:
    """The request of CreateTrainingJob for `spec`."""
    return {
        "TrainingJobName": spec.name,
        "RoleArn": spec.role,
        "AlgorithmSpecification": {
            "TrainingImage": spec.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in spec.metrics],
        },
        "InputDataConfig": [
            {
                "ChannelName": channel,
                "ContentType": "application/x-image",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": prefix,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel, prefix in spec.channels.items()
        ],
        "OutputDataConfig": {"S3OutputPath": spec.output},
        "ResourceConfig": {"InstanceType": spec.instance_type, "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": spec.most_seconds},
        "HyperParameters": dict(spec.hyperparameters),
    }


def read_training_job(cloud: Cloud, name: str) -> TrainingJob | None:
    """The job as it stands, or None if there is none of that name. Raises CloudError."""
    sagemaker = cloud.client("sagemaker")
    with translate_errors(f"read the training job {name}"):
        try:
            found = sagemaker.describe_training_job(TrainingJobName=name)
        except sagemaker.exceptions.ClientError as error:
            if "not found" in str(error).lower():
                return None
            raise
    return TrainingJob(
        name=name,
        arn=found["TrainingJobArn"],
        status=found["TrainingJobStatus"],
        stage=found["SecondaryStatus"],
        artifact=found.get("ModelArtifacts", {}).get("S3ModelArtifacts", ""),
        seconds=float(found.get("TrainingTimeInSeconds", 0)),
        reason=found.get("FailureReason", ""),
        metrics={metric["MetricName"]: metric["Value"] for metric in found.get("FinalMetricDataList", [])},
    )


def follow_training_job(cloud: Cloud, name: str) -> Iterator[TrainingJob | str]:
    """Yield log lines (str) as they come, the job whenever its stage changes, and last the ended job.

    Raises ModelError when it fails, CloudError.
    """
    stage, token = "", ""
    while True:
        job = read_training_job(cloud, name)
        if job is None:
            raise CloudError(f"There is no training job {name}.")
        lines, token = _read_log(cloud, name, token)
        yield from lines
        if job.status == "Failed":
            raise ModelError(f"The training job {name} failed: {job.reason}")
        if job.stage != stage or job.status in ENDED:
            stage = job.stage
            yield job
        if job.status in ENDED:
            return
        time.sleep(POLL)


def _read_log(cloud: Cloud, name: str, token: str) -> tuple[list[str], str]:
    """The lines that the job has logged since `token` ("": all), and the token to go on with.

    None while it has no log. At the end of a log GetLogEvents answers with the token that it was given.
    """
    logs, lines, more = cloud.client("logs"), list[str](), True
    try:
        streams = logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")
        stream = {"logGroupName": LOG_GROUP, "logStreamName": streams["logStreams"][0]["logStreamName"]}
        while more:
            since = {"nextToken": token} if token else {}
            found = logs.get_log_events(**stream, **since, startFromHead=True)
            lines += [event["message"] for event in found["events"]]
            more, token = found["nextForwardToken"] != token, found["nextForwardToken"]
    except (logs.exceptions.ClientError, IndexError):
        pass
    return lines, token
