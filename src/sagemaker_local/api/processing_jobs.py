"""CreateProcessingJob and its kin."""

from __future__ import annotations

from typing import Any

from sagemaker_local.api.jobs import check_instances, find_job, start_job, stop_job
from sagemaker_local.api.records import Listing, list_records
from sagemaker_local.errors import reject
from sagemaker_local.images import find_image
from sagemaker_local.jobs.environment import BASE
from sagemaker_local.jobs.processing import KIND, run_processing
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

_LISTING = Listing("ProcessingJobSummaries", "ProcessingJobName", "ProcessingJobStatus", "Ascending")


def create_processing_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateProcessingJob: check, keep, queue."""
    _check_request(plane, request)
    return start_job(plane, KIND, request, run_processing)


def _check_request(plane: Plane, request: dict[str, Any]) -> None:
    image = find_image(plane.config.images, request["AppSpecification"]["ImageUri"])
    if image.process is None and not request["AppSpecification"].get("ContainerEntrypoint"):
        raise reject(f"The image {request['AppSpecification']['ImageUri']} needs a ContainerEntrypoint.")
    check_instances(request["ProcessingResources"].get("ClusterConfig", {}), "ClusterConfig")
    for entry in request.get("ProcessingInputs", ()):
        source = entry.get("S3Input")
        if source is None:
            raise reject(f"ProcessingInput {entry['InputName']}: only S3Input is available here.")
        if source.get("S3InputMode", "File") == "Pipe":
            raise reject(
                f"ProcessingInput {entry['InputName']}: S3InputMode Pipe is not available here; use File."
            )
        _check_path(f"ProcessingInput {entry['InputName']}", source)
    for output in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        if "S3Output" not in output:
            raise reject(f"ProcessingOutput {output['OutputName']}: only S3Output is available here.")
        _check_path(f"ProcessingOutput {output['OutputName']}", output["S3Output"])


def _check_path(place: str, holder: dict[str, Any]) -> None:
    path = holder.get("LocalPath", "")
    if not path.startswith(f"{BASE}/processing/") or ".." in path.split("/"):
        raise reject(f"{place}: LocalPath must begin with {BASE}/processing/.")


def describe_processing_job(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeProcessingJob."""
    return find_job(plane, KIND, request["ProcessingJobName"])


def list_processing_jobs(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListProcessingJobs."""
    return list_records(request, plane.store.list(KIND), _LISTING)


def stop_processing_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """StopProcessingJob."""
    return stop_job(plane, KIND, request["ProcessingJobName"])
