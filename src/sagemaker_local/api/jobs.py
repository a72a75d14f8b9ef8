"""What the three kinds of jobs share: their names, and their stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sagemaker_local.errors import ApiError, conflict, limit, reject
from sagemaker_local.plane import ENDED, Plane
from sagemaker_local.store import Record


def name_is_taken(arn: str) -> ApiError:
    """SageMaker's answer to a second job of one name."""
    return conflict(
        "Job name must be unique within an AWS account and region, and a job with this name already exists "
        f"({arn})"
    )


def check_instances(resources: Mapping[str, Any], place: str) -> None:
    """This machine is one instance. Raises ApiError ResourceLimitExceeded for more."""
    if resources.get("InstanceCount", 1) != 1 or resources.get("InstanceGroups"):
        raise limit(f"{place}: the limit of instances is 1, this machine; set InstanceCount to 1.")


def stop_job(
    plane: Plane, kind: str, name: str, unknown: str, also: Callable[[Record], None] | None = None
) -> None:
    """Stopping, in the record and then in the queue; `also` changes the record when that is new.

    Raises ApiError with `unknown` when there is no such job, and when it has ended.
    """
    noun = kind.replace("-job", "").title() + "Job"

    def edit(record: Record) -> None:
        status = record[f"{noun}Status"]
        if status in ENDED:
            what = kind.replace("-", " ")
            raise reject(f"The request was rejected because the {what} is in status {status}.")
        record[f"{noun}Status"] = "Stopping"
        if also and status != "Stopping":
            also(record)

    if plane.store.change(kind, name, edit) is None:
        raise reject(unknown)
    plane.jobs.stop((kind, name))
