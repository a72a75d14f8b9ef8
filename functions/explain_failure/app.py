"""explainFailure: turn a caught error into something an operator understands and can act on."""

from __future__ import annotations

import json
from functools import cache
from typing import Any
from urllib.parse import quote

import boto3
from botocore.config import Config

LINK_SECONDS = 12 * 3600  # shorter if the function's own credentials end sooner
ADVICE = {
    "LowConfidence": "Look at the photo: the message in the review queue holds a link to it.",
    "InvalidImage": "Ask the driver for another photo; the copy of this one is in quarantine/.",
    "EndpointUnavailable": "Check the endpoint, then start the check-in again: scones workflow run.",
    "InternalError": "Read the execution's history: scones workflow show.",
}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    failed, error = event["failed"], event["failed"]["error"]
    problem = explain(failed, error.get("Error", ""), error.get("Cause", ""))
    problem["execution"] = event.get("execution", "")
    problem["image_url"] = client().generate_presigned_url(
        "get_object",
        Params={"Bucket": problem["s3_bucket"], "Key": problem["s3_key"]},
        ExpiresIn=LINK_SECONDS,
    )
    print(json.dumps({**problem, "function": "explain_failure", "image_url": "(not logged)"}))
    return problem


def explain(failed: dict[str, Any], error: str, cause: str) -> dict[str, Any]:
    """Outcome, message and advice for the state `failed` in. It may not know its check-in yet."""
    bucket, key = failed["s3_bucket"], failed["s3_key"]
    outcome = error if error in ADVICE else "InternalError"
    message = read_message(cause)
    return {
        "outcome": outcome,
        "message": message if outcome == error else f"{error}: {message}",
        "advice": ADVICE[outcome],
        "s3_bucket": bucket,
        "s3_key": key,
        "copy_source": quote(f"{bucket}/{key}"),
        "checkin_id": failed.get("checkin_id") or f"{bucket}/{key}@",
        "driver_id": failed.get("driver_id") or "unknown",
        "inferences": failed.get("inferences", []),
        "model": failed.get("model", ""),
    }


def read_message(cause: str) -> str:
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause or "no cause was given"


@cache
def client() -> Any:
    # Version 4 is signed for one region and works in all; boto3 still presigns with version 2 in the oldest.
    return boto3.client("s3", config=Config(signature_version="s3v4"))
