"""startDelivery: start one execution for each photo that arrived, however often its event is delivered."""

from __future__ import annotations

import hashlib
import json
import os
import time
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Messages that could not be handled are reported one by one, so that only they come back."""
    failures = []
    for record in event["Records"]:
        try:
            start(read_event(record["body"]))
        except (BotoCoreError, ClientError, KeyError, TypeError, ValueError) as error:
            failures.append({"itemIdentifier": record["messageId"]})
            print(json.dumps({"function": "start_delivery", **failures[-1], "error": repr(error)}))
    return {"batchItemFailures": failures}


def read_event(body: str) -> dict[str, Any]:
    """The execution's name and input from an EventBridge event "Object Created".

    A name is used once in 90 days, so that Step Functions itself refuses a second start; the sweeper's
    `attempt` makes a new one.
    """
    detail = json.loads(body)["detail"]
    bucket, photo, attempt = detail["bucket"]["name"], detail["object"], int(detail.get("attempt", 0))
    checkin_id = f"{bucket}/{photo['key']}@{photo['etag']}"
    name = f"{hashlib.sha256(checkin_id.encode()).hexdigest()[:40]}-{attempt}"
    place = {"s3_bucket": bucket, "s3_key": photo["key"], "version_id": photo.get("version-id", "")}
    return {"name": name, "attempt": attempt, "input": {**place, "checkin_id": checkin_id}}


def start(request: dict[str, Any]) -> None:
    if not claim(request, request["attempt"]):
        return
    states = client("stepfunctions")
    try:
        states.start_execution(
            stateMachineArn=os.environ["STATE_MACHINE_ARN"],
            name=request["name"],
            input=json.dumps(request["input"]),
        )
    except states.exceptions.ExecutionAlreadyExists:
        return
    except (BotoCoreError, ClientError):
        claim(request, request["attempt"] - 1, release=True)
        raise


def claim(request: dict[str, Any], attempt: int, release: bool = False) -> bool:
    """Take this attempt at the check-in, once; or give it back for the next delivery of the message."""
    table = client("dynamodb").Table(os.environ["CHECKINS_TABLE"])
    free = "attribute_not_exists(attempt) OR attempt < :attempt"
    try:
        table.update_item(
            Key={"checkin_id": request["input"]["checkin_id"]},
            UpdateExpression="SET attempt = :attempt, started_at = :now",
            ConditionExpression="attempt > :attempt" if release else free,
            ExpressionAttributeValues={":attempt": attempt, ":now": int(time.time())},
        )
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


@cache
def client(service: str) -> Any:
    return boto3.resource(service) if service == "dynamodb" else boto3.client(service)
