"""Invoking functions through the API: answers, errors as AWS words them, and what a handler finds around it."""

from __future__ import annotations

import json
from typing import Any

from .conftest import Cloud


def invoke(cloud: Cloud, name: str, event: Any = None, **more: Any) -> tuple[Any, dict[str, Any]]:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event), **more)
    return json.loads(answer["Payload"].read() or b"null"), answer


def test_answers_with_what_the_handler_returns(cloud: Cloud) -> None:
    cloud.create_function("echo", "def handler(event, context): return {'got': event, 'price': 1.50}")
    payload, answer = invoke(cloud, "echo", {"name": "Zoë"})
    assert payload == {"got": {"name": "Zoë"}, "price": 1.5}
    assert "FunctionError" not in answer
