"""What InvokeEndpoint checks before and makes of a container's answer (API_runtime_InvokeEndpoint)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sagemaker_local.endpoints.connection import Reply
from sagemaker_local.endpoints.errors import InvokeError
from sagemaker_local.endpoints.spec import Cloud, InvokeResult, Limits

TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
INFERENCE_ID = "x-amzn-sagemaker-inference-id"
CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
# SageMaker strips every other header of a request.
PASSED_ON = ("content-type", "accept", CUSTOM_ATTRIBUTES, INFERENCE_ID)
TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency "
    "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
LONGEST_ATTRIBUTES = 1024
LONGEST_INFERENCE_ID = 64
LONGEST_MESSAGE = 2048
VISIBLE = re.compile(r"[\x20-\x7e]*")


def check_request(body: bytes, headers: Mapping[str, str], limits: Limits) -> None:
    """Raise InvokeError for a payload or headers that InvokeEndpoint does not take."""
    if len(body) > limits.payload_bytes:
        raise InvokeError("413", 413, f"HTTP content length exceeded {limits.payload_bytes} bytes.")
    attributes = headers.get(CUSTOM_ATTRIBUTES, "")
    if len(attributes) > LONGEST_ATTRIBUTES or not VISIBLE.fullmatch(attributes):
        raise InvokeError(
            "ValidationError",
            400,
            f"CustomAttributes must be at most {LONGEST_ATTRIBUTES} visible US-ASCII characters.",
        )
    inference_id = headers.get(INFERENCE_ID)
    if inference_id is not None and not (
        0 < len(inference_id) <= LONGEST_INFERENCE_ID and VISIBLE.fullmatch(inference_id)
    ):
        raise InvokeError(
            "ValidationError", 400, f"InferenceId must have 1 to {LONGEST_INFERENCE_ID} characters."
        )


def select_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Those headers of a request that reach the container."""
    return {name: headers[name] for name in PASSED_ON if name in headers}


def read_reply(reply: Reply, variant: str, endpoint: str, cloud: Cloud) -> InvokeResult:
    """A container's answer as InvokeEndpoint's. Raises InvokeError (ModelError) unless it is a success."""
    if not 200 <= reply.status < 300:
        raise build_model_error(reply.status, reply.body.decode(errors="replace"), endpoint, cloud)
    return InvokeResult(
        reply.body,
        reply.headers.get("content-type", "application/octet-stream"),
        variant,
        reply.headers.get(CUSTOM_ATTRIBUTES),
    )


def build_model_error(status: int, message: str, endpoint: str, cloud: Cloud) -> InvokeError:
    """ModelError 424 in AWS's words; `status` is the container's, or 0 when it gave no answer."""
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    side = "client" if 400 <= status < 500 else "server"
    text = (
        f'Received {side} error ({status}) from primary with message "{message[:LONGEST_MESSAGE]}". See '
        f"https://{cloud.region}.console.aws.amazon.com/cloudwatch/home?region={cloud.region}"
        f"#logEventViewer:group={group} in account {cloud.account} for more information."
    )
    fields = {
        "OriginalStatusCode": status,
        "OriginalMessage": message[:LONGEST_MESSAGE],
        "LogStreamArn": f"arn:aws:logs:{cloud.region}:{cloud.account}:log-group:{group}",
    }
    return InvokeError("ModelError", 424, text, fields)
