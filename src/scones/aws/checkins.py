"""A check-in from the outside: a photo put into the bucket, and the outcome read from the table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scones.aws.sessions import Cloud, translate_errors
from scones.errors import DataError

ARRIVALS = "incoming"
BATCH = 100  # keys in one BatchGetItem


@dataclass(frozen=True)
class CheckIn:
    """A photo in the bucket; its id is made of the photo's bytes, so it names the same check-in for ever."""

    bucket: str
    key: str
    etag: str

    @property
    def checkin_id(self) -> str:
        return f"{self.bucket}/{self.key}@{self.etag}"

    @property
    def execution(self) -> str:
        """Name of the execution that its arrival starts; startDelivery makes the same."""
        return f"{hashlib.sha256(self.checkin_id.encode()).hexdigest()[:40]}-0"


@dataclass(frozen=True)
class Outcome:
    """How a check-in ended. `decision` is assignOrder's result, empty unless the outcome is ROUTED."""

    checkin_id: str
    outcome: str
    reason: str = ""
    decided_at: str = ""
    decision: dict[str, Any] = field(default_factory=dict)


def put_photo(cloud: Cloud, bucket: str, key: str, body: bytes) -> CheckIn:
    """Upload one photo. Under incoming/ that alone starts its execution. Raises CloudError."""
    with translate_errors(f"upload to s3://{bucket}/{key}"):
        answer = cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=body)
    return CheckIn(bucket, key, answer["ETag"].strip('"'))


def find_photo(cloud: Cloud, bucket: str, key: str) -> CheckIn:
    """A photo that lies in the bucket already; one that does not has no etag. Raises CloudError."""
    s3 = cloud.client("s3")
    with translate_errors(f"look for s3://{bucket}/{key}"):
        try:
            return CheckIn(bucket, key, s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"'))
        except s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            return CheckIn(bucket, key, "")


def read_photo(path: Path) -> bytes:
    """The file's bytes. Raises DataError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def read_outcomes(cloud: Cloud, table: str, ids: Iterable[str]) -> dict[str, Outcome]:
    """Outcomes by check-in id; a check-in that has none yet is missing. Raises CloudError."""
    wanted, found = list(dict.fromkeys(ids)), {}
    with translate_errors("read the outcomes"):
        for start in range(0, len(wanted), BATCH):
            for record in _read_records(cloud, table, wanted[start : start + BATCH]):
                if "outcome" in record:
                    found[record["checkin_id"]] = _parse(record)
    return found


def _read_records(cloud: Cloud, table: str, ids: list[str]) -> list[dict[str, Any]]:
    resource, records = cloud.table(table).meta.client, []
    left = {table: {"Keys": [{"checkin_id": one} for one in ids], "ConsistentRead": True}}
    while left:
        answer = resource.batch_get_item(RequestItems=left)
        records += answer["Responses"].get(table, [])
        left = answer.get("UnprocessedKeys", {})
    return records


def _parse(record: dict[str, Any]) -> Outcome:
    return Outcome(
        checkin_id=record["checkin_id"],
        outcome=record["outcome"],
        reason=record.get("reason", ""),
        decided_at=record.get("decided_at", ""),
        decision=json.loads(record.get("decision", "{}")) if record["outcome"] == "ROUTED" else {},
    )
