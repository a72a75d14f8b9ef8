"""Reads what an endpoint captured: SageMaker's data capture files, on S3 or on disk.

A capture file is JSON Lines under `{prefix}/{endpoint}/{variant}/yyyy/mm/dd/hh/`, the hour (UTC) being that
of its first record: https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html.
Files are read one line at a time, so memory does not grow with what was captured.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scones.aws.sessions import translate_errors
from scones.errors import DataError
from scones.files import split_address

HOUR = re.compile(r"/(\d{4})/(\d{2})/(\d{2})/(\d{2})/[^/]+$")
# A file is rolled within 60 s, so the last records of an hour's last file may belong to the next hour.
ROLL = timedelta(seconds=60)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Capture:
    """One captured inference. `origin` is FILE:LINE; `image` and `output` are None where not captured."""

    event_id: str
    inference_id: str | None
    time: datetime
    content_type: str | None
    image: bytes | None
    output: bytes | None
    custom_attributes: tuple[str, ...]
    origin: str

    @property
    def probabilities(self) -> tuple[float, ...]:
        """The endpoint's answer, one number for each class in label order; DataError if it is none."""
        try:
            values = json.loads(self.output or b"")
            return tuple(float(value) for value in values)
        except (ValueError, TypeError):
            raise DataError(f"{self.origin}: the captured output is no list of probabilities.") from None


def read_captures(
    location: str | Path,
    start: datetime | None = None,
    end: datetime | None = None,
    client: Any = None,
    known: set[str] | None = None,
) -> Iterator[Capture]:
    """Yield the captures under `location` with start <= inference time < end, file by file in order of name.

    `location` is `s3://bucket/prefix` (then `client` is a boto3 S3 client) or a folder or file on disk;
    `start` and `end` are aware datetimes. Files named in `known` are left out, and those that were read are
    added to it: an object in S3 is written once, so whoever waits for more need not read it twice.

    Raises CloudError when S3 refuses, DataError where nothing lies on disk, and for a line that is no capture
    record, unless it is a file's last line and incomplete: that is still being written, and is left out with
    a warning.
    """
    source = (
        _list_s3(str(location), client) if str(location).startswith("s3://") else _list_disk(Path(location))
    )
    for name, lines in source:
        if _may_hold(name, start, end) and name not in (known or ()):
            for capture in read_lines(lines, name):
                if (start is None or start <= capture.time) and (end is None or capture.time < end):
                    yield capture
            if known is not None:
                known.add(name)


def read_lines(lines: Iterable[bytes], origin: str) -> Iterator[Capture]:
    """Yield the captures of one file's lines; raises DataError as `read_captures` does."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield parse_record(line, f"{origin}:{number}")
        except DataError:
            if line.endswith(b"\n"):
                raise
            log.warning("%s:%d is incomplete, still being written; left out", origin, number)


def parse_record(line: bytes, origin: str) -> Capture:
    """Turn one line into a Capture; raises DataError if it is no record of SageMaker's data capture."""
    try:
        record = json.loads(line)
        data, event = record["captureData"], record["eventMetadata"]
        given, answer = data.get("endpointInput"), data.get("endpointOutput")
        return Capture(
            event_id=event["eventId"],
            inference_id=event.get("inferenceId"),
            time=_parse_time(event["inferenceTime"]),
            content_type=given["observedContentType"] if given else None,
            image=_decode(given),
            output=_decode(answer),
            custom_attributes=_list_attributes(event.get("customAttributes")),
            origin=origin,
        )
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise DataError(f"{origin} is no data capture record: {type(error).__name__}: {error}.") from None


def _decode(part: dict[str, str] | None) -> bytes | None:
    if part is None:
        return None
    data = part["data"]
    return base64.b64decode(data, validate=True) if part["encoding"] == "BASE64" else data.encode()


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _list_attributes(value: Any) -> tuple[str, ...]:
    # The documentation names the key but not its type: a string and a list of strings are both accepted.
    return (value,) if isinstance(value, str) else tuple(value or ())


def _may_hold(name: str, start: datetime | None, end: datetime | None) -> bool:
    """Whether a file of this name may hold records of the time range; names without an hour always may."""
    found = HOUR.search(name)
    if not found:
        return True
    try:
        hour = datetime(*(int(part) for part in found.groups()), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return True
    after = hour + timedelta(hours=1) + ROLL
    return (start is None or after > start) and (end is None or hour < end)


def _list_disk(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    files = [path] if path.is_file() else sorted(path.rglob("*.jsonl"))
    if not path.exists():
        raise DataError(f"There is no {path} to read captures from.")
    for file in files:
        yield str(file), _read_disk(file)


def _read_disk(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _list_s3(location: str, client: Any) -> Iterator[tuple[str, Iterator[bytes]]]:
    bucket, prefix = split_address(location)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    with translate_errors(f"read the captures under {location}"):
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            if entry["Key"].endswith(".jsonl"):
                yield f"s3://{bucket}/{entry['Key']}", _read_s3(client, bucket, entry["Key"])


def _read_s3(client: Any, bucket: str, key: str) -> Iterator[bytes]:
    with translate_errors(f"read s3://{bucket}/{key}"):
        yield from client.get_object(Bucket=bucket, Key=key)["Body"].iter_lines(keepends=True)
