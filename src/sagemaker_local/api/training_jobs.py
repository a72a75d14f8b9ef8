"""CreateTrainingJob and its kin."""

from __future__ import annotations

import re
from typing import Any

from sagemaker_local.api.jobs import check_instances, find_job, start_job, stop_job
from sagemaker_local.api.records import Listing, list_records
from sagemaker_local.errors import reject
from sagemaker_local.images import find_image
from sagemaker_local.jobs.environment import BASE
from sagemaker_local.jobs.training import KIND, move_to, run_training
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

_LISTING = Listing("TrainingJobSummaries", "TrainingJobName", "TrainingJobStatus", "Ascending")
_DAY = 86_400
_SWITCHES = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
CHECKPOINTS = f"{BASE}/checkpoints"


def create_training_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTrainingJob: check, keep, queue."""
    _check_request(plane, request)
    condition = {"MaxRuntimeInSeconds": _DAY, **request.get("StoppingCondition", {})}
    complete = {**dict.fromkeys(_SWITCHES, False), **request, "StoppingCondition": condition}
    return start_job(plane, KIND, complete, run_training, lambda record: move_to(record, "Pending"))


def _check_request(plane: Plane, request: dict[str, Any]) -> None:
    algorithm, resources = request.get("AlgorithmSpecification", {}), request.get("ResourceConfig", {})
    if "TrainingImage" not in algorithm:
        raise reject(
            "AlgorithmSpecification needs a TrainingImage; algorithms by name are not available here."
        )
    image = find_image(plane.config.images, algorithm["TrainingImage"])
    if image.train is None and not image.script_mode and not algorithm.get("ContainerEntrypoint"):
        raise reject(f"The image {algorithm['TrainingImage']} cannot train.")
    check_instances(resources, "ResourceConfig")
    for definition in algorithm.get("MetricDefinitions", ()):
        _check_regex(definition)
    local = request.get("CheckpointConfig", {}).get("LocalPath", CHECKPOINTS)
    if local.rstrip("/") != CHECKPOINTS:
        raise reject(f"CheckpointConfig: LocalPath {local} must be {CHECKPOINTS} here.")
    _check_inputs(request, algorithm.get("TrainingInputMode", "File"))


def _check_regex(definition: dict[str, str]) -> None:
    try:
        re.compile(definition["Regex"])
    except re.error as error:
        raise reject(f"MetricDefinition {definition['Name']}: the Regex cannot be read: {error}.") from None


def _check_inputs(request: dict[str, Any], mode: str) -> None:
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    if len(set(names)) != len(names):
        raise reject("ChannelName values must be unique within InputDataConfig.")
    for channel in request.get("InputDataConfig", ()):
        name = channel["ChannelName"]
        if channel.get("InputMode", mode) == "Pipe":
            raise reject(f"Channel {name}: input mode Pipe is not available here; use File or FastFile.")
        if "S3DataSource" not in channel["DataSource"]:
            raise reject(f"Channel {name}: only S3DataSource is available here.")
        if channel["DataSource"]["S3DataSource"]["S3DataType"] == "Converse":
            raise reject(f"Channel {name}: S3DataType Converse is not available here.")
        if (
            channel.get("CompressionType", "None") != "None"
            or channel.get("RecordWrapperType", "None") != "None"
        ):
            raise reject(f"Channel {name}: CompressionType and RecordWrapperType must be None in File mode.")


def describe_training_job(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeTrainingJob."""
    return find_job(plane, KIND, request["TrainingJobName"])


def list_training_jobs(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListTrainingJobs."""
    return list_records(request, plane.store.list(KIND), _LISTING)


def stop_training_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """StopTrainingJob: SIGTERM, 120 s later SIGKILL."""
    return stop_job(plane, KIND, request["TrainingJobName"], lambda record: move_to(record, "Stopping"))
