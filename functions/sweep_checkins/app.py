"""sweepCheckins: find photos without an outcome and send them round again, so that none is silently dropped.

The photos in the bucket are the truth: whatever was lost on the way (an event, a message, an execution), a
photo older than PATIENCE_MINUTES and without an outcome shows it. After MAX_ATTEMPTS it is abandoned, with an
alert.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any

import boto3

DAY = 86400  # seconds
BATCH = 100  # keys in one BatchGetItem


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    patience, limit = int(os.environ.get("PATIENCE_MINUTES", "10")), int(os.environ.get("MAX_ATTEMPTS", "3"))
    counts = {"again": 0, "abandoned": 0}
    photos = list_photos(os.environ["BUCKET"], time.time() - 2 * DAY, time.time() - 60 * patience)
    while batch := list(islice(photos, BATCH)):
        records = read_checkins([photo["checkin_id"] for photo in batch])
        for photo in select_stuck(batch, records, time.time() - 60 * patience):
            again = photo["attempt"] <= limit
            (send_again if again else abandon)(photo)
            counts["again" if again else "abandoned"] += 1
    print(json.dumps({"function": "sweep_checkins", **counts}))
    return counts


def select_stuck(
    photos: Iterable[dict[str, Any]], records: dict[str, dict[str, Any]], until: float
) -> Iterator[dict[str, Any]]:
    """Photos without an outcome whose last attempt began before `until`, with the next attempt's number."""
    for photo in photos:
        record = records.get(photo["checkin_id"], {})
        if "outcome" not in record and record.get("started_at", 0) < until:
            yield {**photo, "attempt": int(record.get("attempt", -1)) + 1}


def list_photos(bucket: str, since: float, until: float) -> Iterator[dict[str, Any]]:
    for page in client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="incoming/"):
        for entry in page.get("Contents", []):
            etag = entry["ETag"].strip('"')
            if since < entry["LastModified"].timestamp() < until and not entry["Key"].endswith("/"):
                place = {"bucket": bucket, "key": entry["Key"], "etag": etag}
                yield {**place, "checkin_id": f"{bucket}/{entry['Key']}@{etag}"}


def read_checkins(ids: list[str]) -> dict[str, dict[str, Any]]:
    table = os.environ["CHECKINS_TABLE"]
    wanted, found = {table: {"Keys": [{"checkin_id": one} for one in ids], "ConsistentRead": True}}, []
    while wanted:
        answer = client("dynamodb").batch_get_item(RequestItems=wanted)
        found += answer["Responses"].get(table, [])
        wanted = answer.get("UnprocessedKeys", {})
    return {record["checkin_id"]: record for record in found}


def send_again(photo: dict[str, Any]) -> None:
    thing = {"key": photo["key"], "etag": photo["etag"]}
    detail = {"bucket": {"name": photo["bucket"]}, "object": thing, "attempt": photo["attempt"]}
    client("sqs").send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=json.dumps({"detail": detail}))


def abandon(photo: dict[str, Any]) -> None:
    reason = f"No outcome after {photo['attempt']} attempts."
    message = (
        f"s3://{photo['bucket']}/{photo['key']}: {reason} See the log of startDelivery; start it by hand."
    )
    client("sns").publish(TopicArn=os.environ["TOPIC_ARN"], Subject="Check-in abandoned", Message=message)
    client("dynamodb").Table(os.environ["CHECKINS_TABLE"]).update_item(
        Key={"checkin_id": photo["checkin_id"]},
        UpdateExpression="SET outcome = if_not_exists(outcome, :outcome), reason = :reason",
        ExpressionAttributeValues={":outcome": "Abandoned", ":reason": reason},
    )


@cache
def client(service: str) -> Any:
    return boto3.resource(service) if service == "dynamodb" else boto3.client(service)
