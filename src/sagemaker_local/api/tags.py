"""Tags, kept by the ARN of what they are on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sagemaker_local.errors import missing, reject
from sagemaker_local.plane import Plane

KIND = "tags"
_MOST = 50


def keep_tags(plane: Plane, arn: str, tags: Iterable[Mapping[str, str]]) -> None:
    """Add tags; a key that exists gets the new value. Raises ApiError beyond 50."""
    with plane.store.transaction():
        kept = {**_read(plane, arn), **{tag["Key"]: tag["Value"] for tag in tags}}
        if len(kept) > _MOST:
            raise reject(f"A resource can have at most {_MOST} tags.")
        _write(plane, arn, kept)


def add_tags(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """AddTags."""
    _check_resource(plane, request["ResourceArn"])
    keep_tags(plane, request["ResourceArn"], request["Tags"])
    return list_tags(plane, request)


def list_tags(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """ListTags."""
    tags = _read(plane, request["ResourceArn"])
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def delete_tags(plane: Plane, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteTags."""
    _check_resource(plane, request["ResourceArn"])
    with plane.store.transaction():
        kept = _read(plane, request["ResourceArn"])
        _write(plane, request["ResourceArn"], {k: v for k, v in kept.items() if k not in request["TagKeys"]})
    return {}


def forget_tags(plane: Plane, arn: str) -> None:
    """When the resource is deleted."""
    plane.store.remove(KIND, arn)


def _check_resource(plane: Plane, arn: str) -> None:
    if plane.store.find_arn(arn) is None:
        raise missing(f"The resource {arn} does not exist.")


def _read(plane: Plane, arn: str) -> dict[str, str]:
    record = plane.store.find(KIND, arn)
    return record["tags"] if record else {}


def _write(plane: Plane, arn: str, tags: dict[str, str]) -> None:
    if not plane.store.add(KIND, arn, "", {"tags": tags}):
        plane.store.change(KIND, arn, lambda record: record.update(tags=tags))
