"""summarizeBatch: count the outcomes of a batch from the check-ins table and write them down."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import cache
from typing import Any

import boto3

BATCH = 100  # keys in one BatchGetItem
EXAMPLES = 20


class TooManyFailures(Exception):
    """More photos failed than the caller tolerates."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    bucket, manifest = event["bucket"], event["manifest"]
    photos = json.loads(client("s3").get_object(Bucket=bucket, Key=manifest)["Body"].read())
    summary = summarize(photos, read_checkins([photo["checkin_id"] for photo in photos]))
    key = manifest.replace("photos.json", "summary.json")
    body = json.dumps(summary, indent=2).encode()
    client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")
    print(json.dumps({"function": "summarize_batch", "summary": key, **summary["outcomes"]}))
    if summary["failed_percentage"] > event["tolerated_failure_percentage"]:
        raise TooManyFailures(
            f"{summary['failed']} of {summary['total']} photos failed ({summary['failed_percentage']:.1f}%, "
            f"tolerated are {event['tolerated_failure_percentage']:g}%): see s3://{bucket}/{key}."
        )
    return {**summary, "summary": f"s3://{bucket}/{key}"}


def summarize(photos: list[dict[str, str]], records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Counts of each outcome, and the first photos that were not routed with the reason of each."""
    missing = {"outcome": "NoOutcome", "reason": "The execution ended without an outcome."}
    ended = [(photo["s3_key"], records.get(photo["checkin_id"], {})) for photo in photos]
    ended = [(key, record if "outcome" in record else missing) for key, record in ended]
    failed = [(key, record) for key, record in ended if record["outcome"] != "ROUTED"]
    return {
        "total": len(photos),
        "failed": len(failed),
        "failed_percentage": 100 * len(failed) / len(photos),
        "outcomes": dict(Counter(str(record["outcome"]) for _, record in ended)),
        "examples": [
            {"s3_key": key, "outcome": record["outcome"], "reason": record.get("reason", "")}
            for key, record in failed[:EXAMPLES]
        ],
    }


def read_checkins(ids: list[str]) -> dict[str, dict[str, Any]]:
    """Records by check-in; one that is missing has no record."""
    table, found = os.environ["CHECKINS_TABLE"], []
    for start in range(0, len(ids), BATCH):
        keys = [{"checkin_id": one} for one in ids[start : start + BATCH]]
        wanted: dict[str, Any] = {table: {"Keys": keys, "ConsistentRead": True}}
        while wanted:
            answer = client("dynamodb").batch_get_item(RequestItems=wanted)
            found += answer["Responses"].get(table, [])
            wanted = answer.get("UnprocessedKeys", {})
    return {record["checkin_id"]: record for record in found}


@cache
def client(service: str) -> Any:
    return boto3.resource(service) if service == "dynamodb" else boto3.client(service)
