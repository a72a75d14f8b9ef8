"""What the operations share: finding records, and listing them with AWS's filters, order and pages."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sagemaker_local.api.tags import forget_tags
from sagemaker_local.errors import ApiError, reject
from sagemaker_local.plane import Plane
from sagemaker_local.store import Record

_PAGE = 10


@dataclass(frozen=True)
class Listing:
    """How a kind is listed: the output's list, the members that hold name and status, the default order."""

    summaries: str
    name: str
    status: str = ""
    order: str = "Descending"


def new_record(request: Mapping[str, Any], **members: Any) -> Record:
    """The request without its tags, `members`, and the two times."""
    now = time.time()
    kept = {key: value for key, value in request.items() if key != "Tags"}
    return {**kept, **members, "CreationTime": now, "LastModifiedTime": now}


def find_record(plane: Plane, kind: str, name: str) -> Record:
    """The record of a model, an endpoint or an endpoint configuration; ApiError when there is none."""
    record = plane.store.find(kind, name)
    if record is None:
        raise _could_not_find(plane, kind, name)
    return record


def remove_record(plane: Plane, kind: str, name: str) -> None:
    """Remove a model's or an endpoint configuration's record and tags; ApiError when there is none."""
    if not plane.store.remove(kind, name):
        raise _could_not_find(plane, kind, name)
    forget_tags(plane, plane.arn(kind, name))


def _could_not_find(plane: Plane, kind: str, name: str) -> ApiError:
    return reject(f'Could not find {_spell(kind)} "{plane.arn(kind, name)}".')


def already_exists(plane: Plane, kind: str, name: str) -> str:
    """SageMaker's words for a taken name."""
    return f'Cannot create already existing {_spell(kind)} "{plane.arn(kind, name)}".'


def _spell(kind: str) -> str:
    return {"endpoint-config": "endpoint configuration"}.get(kind, kind.replace("-", " "))


def list_records(request: Mapping[str, Any], records: Iterable[Record], listing: Listing) -> dict[str, Any]:
    """One page of a List operation."""
    found = [record for record in records if _matches(record, request, listing)]
    key = _sort_key(request.get("SortBy", "CreationTime"), listing)
    found.sort(
        key=lambda record: (record.get(key, 0), record[listing.name]),
        reverse=request.get("SortOrder", listing.order) == "Descending",
    )
    start = _read_token(request.get("NextToken"))
    end = start + request.get("MaxResults", _PAGE)
    page = {listing.summaries: found[start:end]}
    return page | ({"NextToken": _write_token(end)} if end < len(found) else {})


def _sort_key(sort_by: str, listing: Listing) -> str:
    return {"Name": listing.name, "Status": listing.status}.get(sort_by, sort_by)


def _matches(record: Record, request: Mapping[str, Any], listing: Listing) -> bool:
    name_part, status = request.get("NameContains", ""), request.get("StatusEquals")
    if name_part.lower() not in record[listing.name].lower():
        return False
    if status and record.get(listing.status) != status:
        return False
    return all(
        _in_range(record.get(member), request.get(f"{member}After"), request.get(f"{member}Before"))
        for member in ("CreationTime", "LastModifiedTime", "ScheduledTime")
    )


def _in_range(value: Any, after: Any, before: Any) -> bool:
    if value is None:
        return after is None and before is None
    return (after is None or value >= after) and (before is None or value <= before)


def _write_token(offset: int) -> str:
    return base64.urlsafe_b64encode(f"offset:{offset}".encode()).decode()


def _read_token(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, _, offset = base64.urlsafe_b64decode(token).decode().partition(":")
        if word == "offset":
            return int(offset)
    except (ValueError, binascii.Error):
        pass
    raise reject("The NextToken is invalid; use the one that the last page answered.")
