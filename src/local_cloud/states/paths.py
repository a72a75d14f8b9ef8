"""A JSONPath that selects nothing fails the state with States.Runtime, as on AWS; ministack gives null.

Source: AWS Step Functions developer guide, "Error names" (States.Runtime: "attempting to apply InputPath or
OutputPath on a null JSON payload", paths not found) and the service's own message. Only `IsPresent` may
ask for what is not there.
"""

from __future__ import annotations

import json
from typing import Any

SHOWN = 200  # characters of the input in a message


def close(engine: Any) -> None:
    """Make `_resolve_path` of ministack's engine strict, and let `IsPresent` look first."""
    resolve, evaluate = engine._resolve_path, engine._evaluate_rule

    def resolve_path(path: str, data: Any) -> Any:
        value = resolve(path, data)
        if value is None and not is_present(engine, path, data):
            cause = f"The JSONPath '{path}' could not be found in the input '{json.dumps(data)[:SHOWN]}'"
            raise engine._ExecutionError("States.Runtime", cause)
        return value

    def evaluate_rule(rule: dict[str, Any], data: Any, context: Any = None) -> bool:
        if "IsPresent" not in rule:
            return bool(evaluate(rule, data, context))
        path = rule["Variable"]
        found = (
            is_present(engine, path[1:], context or {})
            if path.startswith("$$.")
            else is_present(engine, path, data)
        )
        return found is rule["IsPresent"]

    engine._resolve_path, engine._evaluate_rule = resolve_path, evaluate_rule


def is_present(engine: Any, path: str, data: Any) -> bool:
    """Whether `path` (fields and indexes) selects a value of `data`, null included.

    Raises:
        engine._ExecutionError: States.Runtime, for a path in a dialect that ministack cannot read.
    """
    if not path.startswith("$"):
        return True
    tokens = engine._parse_jsonpath_tokens(path)
    if tokens is None:
        raise engine._ExecutionError(
            "States.Runtime", f"The JSONPath '{path}' is not supported by the local cloud"
        )
    for kind, key in tokens:
        if kind == "wildcard":
            return True
        if not isinstance(data, dict | list):
            return False
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True
