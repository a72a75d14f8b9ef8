"""What the three kinds of jobs share: their start, their description and their stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.api.records import new_record
from sagemaker_local.api.tags import keep_tags
from sagemaker_local.errors import ApiError, conflict, limit, reject
from sagemaker_local.jobs.training import KIND as TRAINING
from sagemaker_local.plane import ENDED, NOUNS, Plane, Run
from sagemaker_local.store import Record

Edit = Callable[[Record], None]


def start_job(
    plane: Plane, kind: str, request: Mapping[str, Any], run: Run, also: Edit | None = None
) -> dict[str, Any]:
    """Keep a job that was checked, and queue it; `also` completes its record first.

    Answers with its ARN. Raises ApiError when its name is taken.
    """
    noun = NOUNS[kind]
    name = request[f"{noun}Name"]
    arn = plane.arn(kind, name)
    record = new_record(request, **{f"{noun}Arn": arn, f"{noun}Status": "InProgress"})
    if also:
        also(record)
    if not plane.store.add(kind, name, arn, record):
        raise conflict(
            "Job name must be unique within an AWS account and region, and a job with this name already "
            f"exists ({arn})"
        )
    keep_tags(plane, arn, request.get("Tags", ()))
    plane.run_job(kind, name, run)
    return {f"{noun}Arn": arn}


def find_job(plane: Plane, kind: str, name: str) -> Record:
    """The job's record. Raises ApiError when there is no such job."""
    record = plane.store.find(kind, name)
    if record is None:
        raise _could_not_find(kind, name)
    return record


def _could_not_find(kind: str, name: str) -> ApiError:
    if kind == TRAINING:
        return reject("Requested resource not found.")
    return reject(f"Could not find requested job with name: {name}")


def check_instances(resources: Mapping[str, Any], place: str) -> None:
    """This machine is one instance. Raises ApiError ResourceLimitExceeded for more."""
    if resources.get("InstanceCount", 1) != 1 or resources.get("InstanceGroups"):
        raise limit(f"{place}: the limit of instances is 1, this machine; set InstanceCount to 1.")


def stop_job(plane: Plane, kind: str, name: str, also: Edit | None = None) -> dict[str, Any]:
    """Stopping, in the record and then in the queue; `also` changes the record when that is new.

    Answers with nothing. Raises ApiError when there is no such job, and when it has ended.
    """
    member = f"{NOUNS[kind]}Status"

    def edit(record: Record) -> None:
        status = record[member]
        if status in ENDED:
            what = kind.replace("-", " ")
            raise reject(f"The request was rejected because the {what} is in status {status}.")
        record[member] = "Stopping"
        if also and status != "Stopping":
            also(record)

    if plane.store.change(kind, name, edit) is None:
        raise _could_not_find(kind, name)
    plane.jobs.stop((kind, name))
    return {}
