"""Step Functions' integrations with SageMaker (connect-sagemaker.md, supported-services-awssdk.md).

`arn:aws:states:::sagemaker:createTrainingJob.sync` waits for the job and answers with its description, times
in milliseconds; `aws-sdk:sagemaker:…`, `aws-sdk:sagemakerruntime:invokeEndpoint` and
`aws-sdk:applicationautoscaling:…` call any operation and answer with times in ISO 8601. Errors are named as
the AWS SDK for Java names them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from sagemaker_local.app import App
from sagemaker_local.endpoints import InvokeError
from sagemaker_local.errors import ApiError
from sagemaker_local.plane import ENDED, NOUNS
from sagemaker_local.protocol import load_model

Raise = Callable[[str, str], Exception]
_SERVICES = {"sagemaker": "sagemaker", "applicationautoscaling": "application-autoscaling"}
_WAITS = {f"Create{noun}": noun for noun in NOUNS.values()}
_POLL_SECONDS = 0.1


def run_task(app: App, failure: Raise, resource: str, parameters: dict[str, Any]) -> Any:
    """Run one Task state; raises what `failure(error, cause)` makes."""
    name, _, pattern = resource.partition("arn:aws:states:::")[2].partition(".")
    service, action = name.removeprefix("aws-sdk:").split(":", 1)
    operation = action[:1].upper() + action[1:]
    try:
        if service == "sagemakerruntime":
            return _invoke(app, operation, parameters)
        optimised = not name.startswith("aws-sdk:")
        return _call(app, failure, _SERVICES[service], operation, parameters, optimised, pattern == "sync")
    except ApiError as error:
        raise failure(_name_error(service, error.code, name), error.message) from error
    except InvokeError as error:
        raise failure(_name_error(service, error.code, name), json.dumps(error.body)) from error


def _call(
    app: App,
    failure: Raise,
    service: str,
    operation: str,
    parameters: dict[str, Any],
    optimised: bool,
    waits: bool,
) -> Any:
    write = _to_milliseconds if optimised else _to_iso
    if operation not in load_model(service).operation_names or (waits and operation not in _WAITS):
        raise ApiError("ValidationException", f"Step Functions has no integration for {service}:{operation}.")
    answer = app.call(service, operation, parameters)
    if waits:
        operation, answer = _wait(app, failure, _WAITS[operation], parameters)
    return _write_times(load_model(service).operation_model(operation).output_shape, answer, write)


def _wait(app: App, failure: Raise, noun: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Until the job ended; its description. Any other end than Completed fails the task."""
    operation, name = f"Describe{noun}", {f"{noun}Name": parameters[f"{noun}Name"]}
    while (job := app.call("sagemaker", operation, name))[f"{noun}Status"] not in ENDED:
        time.sleep(_POLL_SECONDS)
    if job[f"{noun}Status"] != "Completed":
        shape = load_model("sagemaker").operation_model(operation).output_shape
        raise failure("States.TaskFailed", json.dumps(_write_times(shape, job, _to_milliseconds)))
    return operation, job


def _invoke(app: App, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """aws-sdk:sagemakerruntime:invokeEndpoint; Body is a text, or JSON that becomes one."""
    if operation != "InvokeEndpoint":
        raise ApiError(
            "ValidationError", f"Step Functions has no integration for sagemakerruntime:{operation}."
        )
    body = parameters.get("Body", "")
    text = body if isinstance(body, str) else json.dumps(body)
    members = load_model("sagemaker-runtime").operation_model(operation).input_shape.members
    headers = {
        shape.serialization["name"].lower(): str(parameters[name])
        for name, shape in members.items()
        if shape.serialization.get("location") == "header" and name in parameters
    }
    result = app.invoke(parameters["EndpointName"], text.encode(), headers)
    answer = {
        "Body": result.body.decode(errors="replace"),
        "ContentType": result.content_type,
        "InvokedProductionVariant": result.variant,
        "CustomAttributes": result.custom_attributes,
    }
    return {name: value for name, value in answer.items() if value is not None}


def _name_error(service: str, code: str, name: str) -> str:
    """`SageMaker.ResourceInUseException`; errors outside the service's model get its base exception."""
    if service == "sagemaker" and code.endswith(("Exception", "Failure")):
        return (
            "SageMaker.SageMakerException"
            if name.startswith("aws-sdk:")
            else "SageMaker.AmazonSageMakerException"
        )
    prefix = {
        "sagemaker": "SageMaker",
        "sagemakerruntime": "SageMakerRuntime",
        "applicationautoscaling": "ApplicationAutoScaling",
    }[service]
    return f"{prefix}.{code.removesuffix('Exception')}Exception"


def _to_milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _to_iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_times(shape: Shape | None, value: Any, write: Callable[[float], Any]) -> Any:
    if isinstance(shape, StructureShape):
        return {name: _write_times(shape.members[name], item, write) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [_write_times(shape.member, item, write) for item in value]
    if isinstance(shape, MapShape):
        return {key: _write_times(shape.value, item, write) for key, item in value.items()}
    return write(value) if shape is not None and shape.type_name == "timestamp" else value
