"""Starting an execution: checked, idempotent and at once.

Source: AWS Step Functions API reference, StartExecution: "If you call StartExecution with the same name
and input as a running execution, the call succeeds and returns the same response as the original request";
InvalidExecutionInput; `input` of at most 262,144 bytes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from local_cloud.states.limits import MAX_BYTES


def close(engine: Any) -> None:
    """Replace StartExecution, StartSyncExecution's checks and the pause before the first state."""
    engine._start_execution = _idempotent(engine, _checked(engine, engine._start_execution))
    engine._start_sync_execution = _checked(engine, engine._start_sync_execution)
    engine.time = _Clock()


class _Clock:
    """The `time` module as the engine sees it: its fixed 0.15 s before the first state takes no time."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        """Sleep, unless it is the engine's own pause that asks."""
        if sys._getframe(1).f_code.co_name != "_run_execution":
            time.sleep(seconds)


def _checked(engine: Any, start: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def start_checked(request: dict[str, Any]) -> Any:
        text = request.get("input") or "{}"
        if len(text.encode()) > MAX_BYTES:
            message = f"Value at 'input' must have length less than or equal to {MAX_BYTES}"
            return engine.error_response_json("ValidationException", message, 400)
        try:
            json.loads(text)
        except ValueError as error:
            message = f"Invalid State Machine Execution Input: '{error}'"
            return engine.error_response_json("InvalidExecutionInput", message, 400)
        return start(request)

    return start_checked


def _idempotent(engine: Any, start: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def start_once(request: dict[str, Any]) -> Any:
        running = _running_namesake(engine, request)
        if running and running["input"] == request.get("input", "{}"):
            return engine.json_response({key: running[key] for key in ("executionArn", "startDate")})
        return start(request)

    return start_once


def _running_namesake(engine: Any, request: dict[str, Any]) -> dict[str, Any] | None:
    if not request.get("name"):
        return None
    machine = engine._resolve_state_machine_arn(request.get("stateMachineArn", "").partition("#")[0])
    arn = f"{machine}:{request['name']}".replace(":stateMachine:", ":execution:")
    execution: dict[str, Any] | None = engine._executions.get(arn)
    return execution if execution and execution["status"] == "RUNNING" else None
