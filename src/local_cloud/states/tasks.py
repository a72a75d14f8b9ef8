"""What a Lambda task sends and how it fails.

Source: AWS Step Functions developer guide, "Invoke Lambda" and "Handle Lambda service exceptions": a
throttled invocation is `Lambda.TooManyRequestsException`; `Qualifier` and `InvocationType` are parameters of
`lambda:invoke`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

INVOKE = "arn:aws:states:::lambda:invoke"


def close(engine: Any) -> None:
    """Replace ministack's Lambda call and the resource that leads to it."""
    engine._call_lambda = _named_throttles(engine, engine._call_lambda)
    engine._invoke_resource = _complete_invoke(engine, engine._invoke_resource)


def _named_throttles(engine: Any, call: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def call_lambda(function: Any, event: Any) -> Any:
        try:
            return call(function, event)
        except engine._ExecutionError as error:
            if '"__type": "TooManyRequestsException"' not in error.cause:
                raise
            throttle = json.loads(error.cause)
            raise engine._ExecutionError("Lambda.TooManyRequestsException", throttle["message"]) from None

    return call_lambda


def _complete_invoke(engine: Any, invoke: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """`lambda:invoke` with Qualifier, InvocationType and the version in its result."""

    def invoke_resource(resource: str, parameters: Any) -> Any:
        if resource != INVOKE or not isinstance(parameters, dict):
            return invoke(resource, parameters)
        qualifier = parameters.get("Qualifier")
        if qualifier:
            parameters = {**parameters, "FunctionName": f"{parameters['FunctionName']}:{qualifier}"}
        if parameters.get("InvocationType") == "Event":
            return _invoke_later(engine, parameters)
        return {"ExecutedVersion": qualifier or "$LATEST", **invoke(resource, parameters)}

    return invoke_resource


def _invoke_later(engine: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    from ministack.services import lambda_svc

    name = engine._resolve_lambda_function_ref(parameters["FunctionName"], optimized=True)
    function, config, _ = lambda_svc._get_func_record_for_ref(name)
    if not function or not config:
        raise engine._ExecutionError("Lambda.ResourceNotFoundException", f"Function not found: {name}")
    lambda_svc.invoke_async_with_retry(
        lambda_svc._execution_record_for_config(function, config), parameters.get("Payload", {})
    )
    return {"StatusCode": 202, "Payload": ""}
