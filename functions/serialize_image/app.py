"""serializeImageData: put a check-in photo, or a reference to it, on the event.

A state holds at most 256 KiB and base64 adds a third, so a photo over 128 KiB stays in S3 and travels by its
bucket and key (claim check). What the picture shows, and whether it is one, is for the endpoint to say.
"""

from __future__ import annotations

import base64
import json
import os
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

INLINE_LIMIT = 128 * 1024  # bytes
MISSING = {"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404"}


class InvalidImage(Exception):
    """There is no photo to classify."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    request = {**event, **event.get("input", {})}
    photo = open_photo(request)
    checked_in = describe_checkin(request, photo["ETag"].strip('"'))
    check_size(photo["ContentLength"], int(os.environ.get("MAX_IMAGE_BYTES", "25000000")))
    data = photo["Body"].read() if photo["ContentLength"] <= INLINE_LIMIT else b""
    print(json.dumps({**checked_in, "function": "serialize_image", "bytes": photo["ContentLength"]}))
    return {**checked_in, "image_data": base64.b64encode(data).decode(), "inferences": []}


def describe_checkin(request: dict[str, Any], etag: str) -> dict[str, Any]:
    """Who checked in with which photo. The same bytes under the same key are the same check-in."""
    bucket, key = request["s3_bucket"], request["s3_key"]
    folder, _, rest = key.partition("/")
    driver = rest.partition("/")[0] if folder == "incoming" and "/" in rest else "unknown"
    return {
        "s3_bucket": bucket,
        "s3_key": key,
        "version_id": request.get("version_id", ""),
        "driver_id": request.get("driver_id") or driver,
        "checkin_id": request.get("checkin_id") or f"{bucket}/{key}@{etag}",
        "execution": request.get("execution", ""),
    }


def check_size(size: int, limit: int) -> None:
    if not 0 < size <= limit:
        raise InvalidImage(f"The photo has {size} bytes; it must have between 1 and {limit}.")


def open_photo(request: dict[str, Any]) -> dict[str, Any]:
    place = {"Bucket": request["s3_bucket"], "Key": request["s3_key"]}
    version = {"VersionId": request["version_id"]} if request.get("version_id") else {}
    try:
        return dict(client().get_object(**place, **version))
    except ClientError as error:
        if error.response["Error"]["Code"] in MISSING:
            raise InvalidImage(f"There is no photo at s3://{place['Bucket']}/{place['Key']}.") from error
        raise


@cache
def client() -> Any:
    return boto3.client("s3")
