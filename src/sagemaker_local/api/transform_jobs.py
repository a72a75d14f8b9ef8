"""CreateTransformJob and its kin."""

from __future__ import annotations

from typing import Any

from sagemaker_local.api.jobs import check_instances, name_is_taken, stop_job
from sagemaker_local.api.models import KIND as MODEL
from sagemaker_local.api.models import resolve_container
from sagemaker_local.api.records import Listing, could_not_find, find_record, list_records, new_record
from sagemaker_local.api.tags import keep_tags
from sagemaker_local.errors import reject
from sagemaker_local.jobs.transform import KIND, run_transform
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

_LISTING = Listing("TransformJobSummaries", "TransformJobName", "TransformJobStatus")


def create_transform_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """CreateTransformJob: check, keep, queue."""
    _check_request(request)
    model_name = request["ModelName"]
    model = find_record(plane, MODEL, model_name, could_not_find(plane, MODEL, model_name))
    name = request["TransformJobName"]
    arn = plane.arn(KIND, name)
    record = new_record(
        request,
        TransformJobArn=arn,
        TransformJobStatus="InProgress",
        Container=resolve_container(plane, model["PrimaryContainer"]),
        Isolated=model["EnableNetworkIsolation"],
    )
    if not plane.store.add(KIND, name, arn, record):
        raise name_is_taken(arn)
    keep_tags(plane, arn, request.get("Tags", ()))
    plane.run_job(KIND, name, run_transform)
    return {"TransformJobArn": arn}


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
    name = request["TransformJobName"]
    return find_record(plane, KIND, name, f"Could not find requested job with name: {name}")


def list_transform_jobs(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListTransformJobs."""
    return list_records(request, plane.store.list(KIND), _LISTING)


def stop_transform_job(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """StopTransformJob."""
    name = request["TransformJobName"]
    stop_job(plane, KIND, name, f"Could not find requested job with name: {name}")
    return {}
