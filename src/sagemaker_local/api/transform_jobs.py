"""CreateTransformJob and its kin."""

from __future__ import annotations

from typing import Any

from sagemaker_local.api.jobs import check_instances, find_job, start_job, stop_job
from sagemaker_local.api.models import KIND as MODEL
from sagemaker_local.api.models import resolve_container
from sagemaker_local.api.records import Listing, find_record, list_records
from sagemaker_local.errors import reject
from sagemaker_local.jobs.transform import KIND, run_transform
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

_LISTING = Listing("TransformJobSummaries", "TransformJobName", "TransformJobStatus")


def create_transform_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTransformJob: check, keep, queue."""
    _check_request(request)
    model = find_record(plane, MODEL, request["ModelName"])
    container = resolve_container(plane, model["PrimaryContainer"])
    # Not of the API: what the job runs, whatever becomes of the model.
    own = {"Container": container, "Isolated": model["EnableNetworkIsolation"]}
    return start_job(plane, KIND, {**request, **own}, run_transform)


def _check_request(request: dict[str, Any]) -> None:
    if request.get("DataCaptureConfig"):
        raise reject("DataCaptureConfig is not available here for batch transform.")
    if set(request.get("DataProcessing", {}).values()) - {"$", "None"}:
        raise reject("DataProcessing: InputFilter, OutputFilter and JoinSource are not available here.")
    if request["TransformInput"].get("SplitType", "None") not in ("None", "Line"):
        raise reject("TransformInput: SplitType must be None or Line here.")
    if "S3DataSource" not in request["TransformInput"]["DataSource"]:
        raise reject("TransformInput: only S3DataSource is available here.")
    check_instances(request["TransformResources"], "TransformResources")


def describe_transform_job(plane: Plane, request: dict[str, Any]) -> Record:
    """DescribeTransformJob."""
    return find_job(plane, KIND, request["TransformJobName"])


def list_transform_jobs(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListTransformJobs."""
    return list_records(request, plane.store.list(KIND), _LISTING)


def stop_transform_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """StopTransformJob."""
    return stop_job(plane, KIND, request["TransformJobName"])
