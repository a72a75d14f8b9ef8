"""A training job from its queue to its archives (your-algorithms-training-algo-running-container.md)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_local.errors import JobError
from sagemaker_local.images import find_image
from sagemaker_local.jobs.archive import upload_archive, upload_tree
from sagemaker_local.jobs.container import Container, run_container
from sagemaker_local.jobs.environment import make_training_tree, training_environment
from sagemaker_local.jobs.inputs import download_data
from sagemaker_local.jobs.process import Limits, Outcome
from sagemaker_local.jobs.script_mode import prepare_script_mode
from sagemaker_local.store import Record

if TYPE_CHECKING:
    from sagemaker_local.jobs.queue import Stop
    from sagemaker_local.plane import Plane

KIND = "training-job"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
_REASON_LENGTH = 1024

MESSAGES = {
    "Pending": "Waiting for a core",
    "Starting": "Preparing the instances for training",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


def move_to(record: Record, secondary: str, message: str = "") -> None:
    """Close the last secondary status of the record and begin the next."""
    now = time.time()
    transitions = record.setdefault("SecondaryStatusTransitions", [])
    if transitions:
        transitions[-1].setdefault("EndTime", now)
    text = message or MESSAGES[secondary]
    transitions.append({"Status": secondary, "StartTime": now, "StatusMessage": text})
    record["SecondaryStatus"] = secondary


def run_training(plane: Plane, record: Record, folder: Path, stop: Stop) -> None:
    """Run the job of `record`, from Starting to its end. Raises JobError when it fails."""
    base = folder / "ml"
    _enter(plane, record, "Starting")
    make_training_tree(base, record)
    _enter(plane, record, "Downloading")
    _download_inputs(plane, record, base, stop)
    outcome = None
    if not stop.is_set():
        _enter(plane, record, "Training", TrainingStartTime=time.time())
        outcome, metrics = run_container(plane, _describe_container(plane, record, base), stop)
        _enter(plane, record, "Uploading", FinalMetricDataList=metrics)
        _upload_results(plane, record, base, outcome)
    _finish(plane, record, base, outcome, stop)


def _enter(plane: Plane, record: Record, secondary: str, **changes: Any) -> None:
    def edit(kept: Record) -> None:
        kept.update(changes)
        if kept["TrainingJobStatus"] != "Stopping":
            move_to(kept, secondary)

    plane.store.change(KIND, record["TrainingJobName"], edit)


def _download_inputs(plane: Plane, record: Record, base: Path, stop: Stop) -> None:
    for channel in record.get("InputDataConfig", ()):
        source = channel["DataSource"]["S3DataSource"]
        folder = base / "input/data" / channel["ChannelName"]
        download_data(plane.clients, source, folder, plane.config.free_bytes, stop)
    checkpoints = record.get("CheckpointConfig")
    if checkpoints and any(plane.clients.list_objects(checkpoints["S3Uri"])):
        source = {"S3Uri": checkpoints["S3Uri"], "S3DataType": "S3Prefix"}
        download_data(plane.clients, source, base / "checkpoints", plane.config.free_bytes, stop)


def _describe_container(plane: Plane, record: Record, base: Path) -> Container:
    algorithm = record["AlgorithmSpecification"]
    image = find_image(plane.config.images, algorithm["TrainingImage"])
    own = (*algorithm.get("ContainerEntrypoint", ()), *algorithm.get("ContainerArguments", ()))
    if not own and image.train is None:
        image = prepare_script_mode(plane, image)
    name = record["TrainingJobName"]
    return Container(
        image=image,
        argv=tuple(own) or image.train or (),
        base=base,
        environment={
            **training_environment("/opt/ml", record, record["TrainingJobArn"]),
            **record.get("Environment", {}),
        },
        isolated=record.get("EnableNetworkIsolation", False),
        log_group=LOG_GROUP,
        log_stream=f"{name}/algo-1-{int(time.time())}",
        limits=Limits(record["StoppingCondition"]["MaxRuntimeInSeconds"], plane.config.stop_seconds),
        metrics=tuple(algorithm.get("MetricDefinitions", ())),
        dimensions=({"Name": "TrainingJobName", "Value": name},),
    )


def _upload_results(plane: Plane, record: Record, base: Path, outcome: Outcome) -> None:
    prefix = output_prefix(record)
    if any((base / "output/data").iterdir()):
        upload_archive(plane.clients, base / "output/data", f"{prefix}/output.tar.gz")
    if checkpoints := record.get("CheckpointConfig"):
        upload_tree(plane.clients, base / "checkpoints", checkpoints["S3Uri"])
    if outcome.ending == "exited" and outcome.exit_code != 0:
        return
    if record["OutputDataConfig"].get("CompressionType") == "NONE":
        upload_tree(plane.clients, base / "model", f"{prefix}/model")
    else:
        upload_archive(plane.clients, base / "model", f"{prefix}/model.tar.gz")


def output_prefix(record: Mapping[str, Any]) -> str:
    """Where a training job's archives go: {S3OutputPath}/{job}/output."""
    return f"{record['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{record['TrainingJobName']}/output"


def model_uri(record: Mapping[str, Any]) -> str:
    """ModelArtifacts.S3ModelArtifacts of a training job."""
    plain = record["OutputDataConfig"].get("CompressionType") == "NONE"
    return f"{output_prefix(record)}/{'model/' if plain else 'model.tar.gz'}"


def _finish(plane: Plane, record: Record, base: Path, outcome: Outcome | None, stop: Stop) -> None:
    name = record["TrainingJobName"]
    if stop.shutdown:
        raise JobError("InternalServerError: SageMaker was shut down while the job ran.")
    if outcome is None or outcome.ending == "stopped":
        end_training(plane, name, "Stopped", "Stopped", artifacts=outcome is not None)
    elif outcome.ending == "timeout":
        end_training(plane, name, "Stopped", "MaxRuntimeExceeded", artifacts=True)
    elif outcome.exit_code != 0:
        raise JobError(read_failure(base / "output/failure", outcome.exit_code))
    else:
        end_training(plane, name, "Completed", "Completed", artifacts=True)


def read_failure(path: Path, exit_code: int) -> str:
    """FailureReason from what the container left in its failure file, at most 1,024 characters."""
    text = path.read_text(errors="replace").strip() if path.is_file() else ""
    ending = f", exit code: {exit_code}"
    return f"AlgorithmError: {text}"[: _REASON_LENGTH - len(ending)] + ending


def end_training(
    plane: Plane, name: str, status: str, secondary: str, reason: str = "", *, artifacts: bool = False
) -> None:
    """The last change of a training job; `artifacts`: its model was uploaded."""

    def edit(record: Record) -> None:
        move_to(record, secondary, f"{MESSAGES[secondary]}: {reason}" if reason else "")
        now = record["SecondaryStatusTransitions"][-1]["StartTime"]
        record["SecondaryStatusTransitions"][-1]["EndTime"] = now
        record.update(TrainingJobStatus=status, TrainingEndTime=now)
        if "TrainingStartTime" in record:
            seconds = max(1, round(now - record["TrainingStartTime"]))
            record.update(TrainingTimeInSeconds=seconds, BillableTimeInSeconds=seconds)
        if reason:
            record["FailureReason"] = reason[:_REASON_LENGTH]
        if artifacts:
            record["ModelArtifacts"] = {"S3ModelArtifacts": model_uri(record)}

    plane.store.change(KIND, name, edit)
