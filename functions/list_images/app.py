"""listImages: write down which photos a batch consists of, as the Distributed Map's items.

A prefix or a JSON list of keys becomes one manifest in S3: what a state can hold does not bound a batch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

READERS = 16


class InvalidBatch(Exception):
    """The request names no photos."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    bucket, name = os.environ["BUCKET"], event["execution"].rpartition(":")[2]
    request = event["input"]
    by_prefix = request.get("prefix")
    photos = list(list_prefix(bucket, by_prefix)) if by_prefix else list_keys(bucket, request)
    if not photos:
        raise InvalidBatch("No photos: give `prefix`, `keys` or `keys_object` (a JSON list of keys).")
    manifest = f"batches/{name}/photos.json"
    body = json.dumps(photos).encode()
    client().put_object(Bucket=bucket, Key=manifest, Body=body, ContentType="application/json")
    return {
        "bucket": bucket,
        "manifest": manifest,
        "total": len(photos),
        "concurrency": int(request.get("concurrency", 40)),
        "tolerated_failure_percentage": float(request.get("tolerated_failure_percentage", 5)),
    }


def list_prefix(bucket: str, prefix: str) -> Iterator[dict[str, str]]:
    for page in client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith("/"):
                yield describe_photo(bucket, entry["Key"], entry["ETag"])


def list_keys(bucket: str, request: dict[str, Any]) -> list[dict[str, str]]:
    keys = request.get("keys", [])
    if request.get("keys_object"):
        keys = json.loads(client().get_object(Bucket=bucket, Key=request["keys_object"])["Body"].read())
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InvalidBatch("The keys must be a JSON list of strings.")
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(partial(find_photo, bucket), dict.fromkeys(keys)))


def find_photo(bucket: str, key: str) -> dict[str, str]:
    """A photo that is missing or may not be read stays in the batch: it fails there like any other.

    A failure of S3's is raised: without its ETag a photo would be another check-in, and get a second order.
    """
    try:
        return describe_photo(bucket, key, client().head_object(Bucket=bucket, Key=key)["ETag"])
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise
        return describe_photo(bucket, key, "")


def describe_photo(bucket: str, key: str, etag: str) -> dict[str, str]:
    return {"s3_bucket": bucket, "s3_key": key, "checkin_id": f"{bucket}/{key}@{etag.strip(chr(34))}"}


@cache
def client() -> Any:
    return boto3.client("s3")
