"""AWS's JSON 1.1 protocol from botocore's service models: read a request, write a response or an error."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from sagemaker_local.errors import ApiError
from sagemaker_local.validation import validate_request

# Target prefix of X-Amz-Target -> botocore's name of the service.
SERVICES = {"SageMaker": "sagemaker", "AnyScaleFrontendService": "application-autoscaling"}


@dataclass(frozen=True)
class Response:
    """A complete HTTP answer."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


@cache
def load_model(service: str) -> ServiceModel:
    """botocore's model of `service`, e.g. "sagemaker"."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def read_target(target: str) -> tuple[str, str]:
    """`SageMaker.CreateModel` gives ("sagemaker", "CreateModel"). Raises ApiError."""
    prefix, _, operation = target.partition(".")
    service = SERVICES.get(prefix)
    if service is None or operation not in load_model(service).operation_names:
        raise ApiError("UnknownOperationException", f"The operation {target or '(none)'} does not exist.")
    return service, operation


def read_request(body: bytes) -> Any:
    """The parsed JSON of a request. Raises ApiError SerializationException."""
    try:
        return json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError("SerializationException", f"The body is no JSON: {error}.") from None


def check_request(service: str, operation: str, request: Any) -> None:
    """Validate a parsed request. Raises ApiError: SerializationException or ValidationException."""
    shape = load_model(service).operation_model(operation).input_shape
    if shape is not None:
        validate_request(shape, request)


def write_response(service: str, operation: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Only what the operation's output shape knows; times as seconds since 1970."""
    shape = load_model(service).operation_model(operation).output_shape
    written = _serialise(shape, value) if shape is not None else {}
    assert isinstance(written, dict)
    return written


def _serialise(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        members = {name: value.get(name) for name in shape.members}
        return {n: _serialise(shape.members[n], v) for n, v in members.items() if v is not None}
    if isinstance(shape, ListShape):
        return [_serialise(shape.member, item) for item in value]
    if isinstance(shape, MapShape):
        return {key: _serialise(shape.value, item) for key, item in value.items()}
    return value.timestamp() if isinstance(value, datetime) else value


def answer_json(value: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON 1.1 answer with a request id."""
    headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": str(uuid.uuid4())}
    return Response(status, json.dumps(value).encode(), headers)


def answer_error(code: str, message: str, status: int = 400) -> Response:
    """An error in JSON 1.1."""
    return answer_json({"__type": code, "message": message}, status)
