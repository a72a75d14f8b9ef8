"""classifyImage: ask the SageMaker endpoint which vehicle the photo shows."""

from __future__ import annotations

import base64
import json
import os
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# One attempt: the state machine retries, visibly. The endpoint's own limit is 60 s, this function's is 30 s.
PATIENCE = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 1})
KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


class InvalidImage(Exception):
    """The endpoint cannot read the photo: another attempt would end alike."""


class EndpointUnavailable(Exception):
    """The endpoint does not answer, or not with probabilities: another attempt may do better."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    # The end of the execution's ARN, so that data capture can be joined with executions.
    execution = event.get("execution", "").rpartition(":")[2][-64:]
    answer = invoke(os.environ["ENDPOINT_NAME"], load_image(event), execution)
    print(json.dumps({"function": "classify_image", "execution": event.get("execution"), **answer}))
    return {**event, "image_data": "", **answer}


def load_image(event: dict[str, Any]) -> bytes:
    if event.get("image_data"):
        return base64.b64decode(event["image_data"])
    version = {"VersionId": event["version_id"]} if event.get("version_id") else {}
    body = client("s3").get_object(Bucket=event["s3_bucket"], Key=event["s3_key"], **version)["Body"]
    return bytes(body.read())


def invoke(name: str, image: bytes, inference_id: str = "") -> dict[str, Any]:
    kind = next((kind for start, kind in KINDS.items() if image.startswith(start)), "application/x-image")
    runtime = client("sagemaker-runtime")
    try:
        response = runtime.invoke_endpoint(
            EndpointName=name,
            ContentType=kind,
            Body=image,
            **({"InferenceId": inference_id} if inference_id else {}),
        )
        return read_answer(response["Body"].read(), response.get("CustomAttributes", ""))
    except runtime.exceptions.ModelError as error:
        status = error.response.get("OriginalStatusCode", 0)
        message = error.response.get("OriginalMessage") or str(error)
        if 400 <= status < 500 and status not in (408, 429):
            raise InvalidImage(f"The endpoint cannot read the photo: {read_refusal(message)}") from error
        raise EndpointUnavailable(f"Endpoint {name} failed: {error}") from error
    except (BotoCoreError, ClientError, ValueError) as error:
        raise EndpointUnavailable(f"Endpoint {name} did not answer: {error}") from error


def read_refusal(message: str) -> str:
    """The sentence in the container's answer, which is JSON from ours and plain text from others."""
    try:
        return str(json.loads(message)["error"])
    except (ValueError, KeyError, TypeError):
        return message


def read_answer(body: bytes, attributes: str) -> dict[str, Any]:
    """`[p, …]` and `ood=<0..1>,model=<digest>` -> inferences, ood, model. Raises ValueError."""
    inferences = json.loads(body)
    if not isinstance(inferences, list) or not all(isinstance(p, float | int) for p in inferences):
        raise ValueError(f"it answered {body[:80]!r} instead of a list of probabilities.")
    beside = dict(pair.split("=", 1) for pair in attributes.split(",") if "=" in pair)
    return {"inferences": inferences, "ood": float(beside.get("ood", 0)), "model": beside.get("model", "")}


@cache
def client(service: str) -> Any:
    return boto3.client(service, config=PATIENCE if service == "sagemaker-runtime" else None)
