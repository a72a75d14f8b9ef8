"""One captured invocation as SageMaker writes it, to the byte (model-monitor-data-capture-endpoint)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sagemaker_local.endpoints.spec import CaptureSpec


@dataclass(frozen=True, slots=True)
class Invocation:
    """What was asked and answered; `time` in seconds since 1970."""

    variant: str
    time: float
    request: bytes
    request_type: str
    response: bytes
    response_type: str
    inference_id: str | None = None
    custom_attributes: str | None = None
    event_id: str = field(default_factory=lambda: str(uuid4()))


def format_record(invocation: Invocation, spec: CaptureSpec) -> bytes:
    """One line of a capture file, with its end."""
    data = {}
    if "Input" in spec.modes:
        data["endpointInput"] = _describe(invocation.request_type, "INPUT", invocation.request, spec)
    if "Output" in spec.modes:
        data["endpointOutput"] = _describe(invocation.response_type, "OUTPUT", invocation.response, spec)
    record = {"captureData": data, "eventMetadata": _describe_event(invocation), "eventVersion": "0"}
    return (json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def _describe(content_type: str, mode: str, content: bytes, spec: CaptureSpec) -> Mapping[str, str]:
    encoding, text = _encode(content_type, content, spec)
    return {"observedContentType": content_type, "mode": mode, "data": text, "encoding": encoding}


def _encode(content_type: str, content: bytes, spec: CaptureSpec) -> tuple[str, str]:
    media_type = content_type.partition(";")[0].strip().lower()
    for encoding, listed in (("CSV", spec.csv_content_types), ("JSON", spec.json_content_types)):
        if media_type in listed:
            try:
                return encoding, content.decode()
            except UnicodeDecodeError:
                break  # not text, whatever its type says
    return "BASE64", base64.b64encode(content).decode()


def _describe_event(invocation: Invocation) -> Mapping[str, Any]:
    event: dict[str, Any] = {"eventId": invocation.event_id}
    if invocation.inference_id is not None:
        event["inferenceId"] = invocation.inference_id
    if invocation.custom_attributes is not None:
        event["customAttributes"] = [invocation.custom_attributes]
    event["inferenceTime"] = datetime.fromtimestamp(invocation.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return event
