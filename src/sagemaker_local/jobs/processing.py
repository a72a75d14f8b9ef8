"""A processing job from its queue to its uploaded outputs (build-your-own-processing-container.md)."""

from __future__ import annotations

import gzip
import json
import logging
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sagemaker_local.clients import split_uri
from sagemaker_local.errors import JobError
from sagemaker_local.images import find_image
from sagemaker_local.jobs.archive import upload_tree
from sagemaker_local.jobs.container import Container, run_container
from sagemaker_local.jobs.environment import BASE, write_processing_config
from sagemaker_local.jobs.inputs import download_data, relative_key
from sagemaker_local.jobs.process import Limits, Outcome
from sagemaker_local.store import Record

if TYPE_CHECKING:
    from sagemaker_local.jobs.queue import Stop
    from sagemaker_local.plane import Plane

KIND = "processing-job"
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
DEFAULT_RUNTIME_SECONDS = 86_400
_MESSAGE_LENGTH = 1024
logger = logging.getLogger(__name__)


def run_processing(plane: Plane, record: Record, folder: Path, stop: Stop) -> None:
    """Run the job of `record` to its end. Raises JobError when it fails."""
    base = folder / "ml"
    for name in ("processing", "config", "output/metrics"):
        (base / name).mkdir(parents=True)
    write_processing_config(base, record)
    _download_inputs(plane, record, base, stop)
    outcome = None
    if not stop.is_set():
        _change(plane, record, ProcessingStartTime=time.time())
        outcome = _run_and_upload(plane, record, base, stop)
    _finish(plane, record, base, outcome, stop)


def _change(plane: Plane, record: Record, **changes: Any) -> None:
    plane.store.change(KIND, record["ProcessingJobName"], lambda kept: kept.update(changes))


def _download_inputs(plane: Plane, record: Record, base: Path, stop: Stop) -> None:
    if "Captured" in record:
        _download_captures(plane, record, base, stop)
    for entry in record.get("ProcessingInputs", ()):
        source = entry["S3Input"]
        folder = local_path(base, source["LocalPath"])
        download_data(plane.clients, source, folder, plane.config.free_bytes, stop)
        if source.get("S3CompressionType") == "Gzip":
            _unpack_files(folder)


def _download_captures(plane: Plane, record: Record, base: Path, stop: Stop) -> None:
    """What an endpoint captured in the hours of a monitoring execution, whatever its variants are called."""
    count = 0
    for part in record["Captured"]:
        bucket, prefix = split_uri(part["S3Uri"])
        for key, _ in plane.clients.list_objects(part["S3Uri"]):
            if part["Hour"] in key and not stop.is_set():
                path = local_path(base, part["LocalPath"]) / relative_key(key, prefix)
                plane.clients.download(f"s3://{bucket}/{key}", path)
                count += 1
    if not count:
        raise JobError(
            "ClientError: Job inputs had no data: nothing was captured in the window of the execution."
        )


def _publish_metrics(plane: Plane, record: Record, base: Path) -> None:
    """Lines that a monitoring container left in /opt/ml/output/metrics/cloudwatch."""
    folder = base / "output/metrics/cloudwatch"
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    lines = [line for path in paths if path.is_file() for line in path.read_text().splitlines()]
    data = [json.loads(line) for line in lines if line.strip()]
    for start in range(0, len(data), 500):
        plane.clients.publish_metric(record["MetricsNamespace"], data[start : start + 500])


def _unpack_files(folder: Path) -> None:
    for path in list(folder.rglob("*.gz")):
        with gzip.open(path) as packed, path.with_suffix("").open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        path.unlink()


def local_path(base: Path, path: str) -> Path:
    """Where a container's path below /opt/ml lies on this machine. Raises JobError for others."""
    relative = Path(path).relative_to(BASE) if path.startswith(f"{BASE}/") else None
    if relative is None or ".." in relative.parts:
        raise JobError(f"ClientError: LocalPath {path} must lie below {BASE}.")
    return base / relative


def _run_and_upload(plane: Plane, record: Record, base: Path, stop: Stop) -> Outcome:
    outputs = record.get("ProcessingOutputConfig", {}).get("Outputs", ())
    pairs = [(local_path(base, o["S3Output"]["LocalPath"]), o["S3Output"]) for o in outputs]
    for folder, _ in pairs:
        folder.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()
    continuous = [pair for pair in pairs if pair[1].get("S3UploadMode") == "Continuous"]
    watcher = threading.Thread(target=_upload_changes, args=(plane, continuous, ended))
    watcher.start()
    try:
        outcome, _ = run_container(plane, _describe_container(plane, record, base), stop)
    finally:
        ended.set()
        watcher.join()
    for folder, output in pairs:
        upload_tree(plane.clients, folder, output["S3Uri"])
    if "MetricsNamespace" in record:
        _publish_metrics(plane, record, base)
    return outcome


def _upload_changes(
    plane: Plane, outputs: list[tuple[Path, Mapping[str, Any]]], ended: threading.Event
) -> None:
    """S3UploadMode Continuous: files that changed since the last look, each second."""
    seen: dict[Path, int] = {}
    while outputs and not ended.wait(1.0):
        for folder, output in outputs:
            try:
                _upload_changed(plane, folder, output["S3Uri"].rstrip("/"), seen)
            except (JobError, OSError) as error:  # a file that vanished, S3 that refuses: at the next look
                logger.warning("%s could not be uploaded yet: %s", folder, error)


def _upload_changed(plane: Plane, folder: Path, uri: str, seen: dict[Path, int]) -> None:
    for path in (found for found in folder.rglob("*") if found.is_file()):
        changed = path.stat().st_mtime_ns
        if seen.get(path) != changed:
            plane.clients.upload(path, f"{uri}/{path.relative_to(folder).as_posix()}")
            seen[path] = changed


def _describe_container(plane: Plane, record: Record, base: Path) -> Container:
    application = record["AppSpecification"]
    image = find_image(plane.config.images, application["ImageUri"])
    start = tuple(application.get("ContainerEntrypoint", ())) or image.process
    if not start:
        raise JobError(f"ClientError: The image {application['ImageUri']} needs a ContainerEntrypoint.")
    runtime = record.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_SECONDS)
    name = record["ProcessingJobName"]
    return Container(
        image=image,
        argv=(*start, *application.get("ContainerArguments", ())),
        base=base,
        environment={
            "PROCESSING_JOB_NAME": name,
            "PROCESSING_JOB_ARN": record["ProcessingJobArn"],
            **record.get("Environment", {}),
        },
        isolated=record.get("NetworkConfig", {}).get("EnableNetworkIsolation", False),
        log_group=LOG_GROUP,
        log_stream=f"{name}/algo-1-{int(time.time())}",
        limits=Limits(runtime, plane.config.stop_seconds),
    )


def _finish(plane: Plane, record: Record, base: Path, outcome: Outcome | None, stop: Stop) -> None:
    if stop.shutdown:
        raise JobError("InternalServerError: SageMaker was shut down while the job ran.")
    message = _read_message(base / "output/message")
    if message:
        _change(plane, record, ExitMessage=message)
    name = record["ProcessingJobName"]
    if outcome is None or outcome.ending == "stopped":
        end_processing(plane, name, "Stopped")
    elif outcome.ending == "timeout":
        end_processing(
            plane, name, "Stopped", "MaxRuntimeExceeded: the job ran longer than MaxRuntimeInSeconds."
        )
    elif outcome.exit_code != 0:
        raise JobError(f"AlgorithmError: See job logs for more information, exit code: {outcome.exit_code}")
    else:
        end_processing(plane, name, "Completed")


def _read_message(path: Path) -> str:
    """ExitMessage: what the container wrote to /opt/ml/output/message."""
    return path.read_text(errors="replace")[:_MESSAGE_LENGTH] if path.is_file() else ""


def end_processing(plane: Plane, name: str, status: str, reason: str = "") -> None:
    """The last change of a processing job."""

    def edit(record: Record) -> None:
        record.update(ProcessingJobStatus=status, ProcessingEndTime=time.time())
        if reason:
            record["FailureReason"] = reason[:_MESSAGE_LENGTH]

    plane.store.change(KIND, name, edit)
