"""The quotas that fail an execution on AWS and that ministack does not know: 256 KiB, and TimeoutSeconds.

Source: AWS Step Functions developer guide, "Quotas related to task executions" (maximum input or output size
of a task, state or execution: 256 KiB as UTF-8), and States Language, "TimeoutSeconds" of the top level.
"""

from __future__ import annotations

import contextvars
import functools
import json
import threading
from collections.abc import Callable
from typing import Any

MAX_BYTES = 262_144


def close(engine: Any) -> None:
    """Enforce both quotas in ministack's engine."""
    engine._invoke_resource = bounded(engine._invoke_resource)
    engine._invoke_with_callback = bounded(engine._invoke_with_callback)
    for state_type in ("pass", "task", "parallel", "map"):
        name = f"_execute_{state_type}"
        setattr(engine, name, _bound_output(getattr(engine, name)))
    engine._run_execution = _timed(engine, engine._run_execution)
    engine._fail_execution = _fail_once(engine._fail_execution)


def bounded(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """`invoke(resource, input, …)` that refuses a task's input or result of more than 256 KiB."""

    @functools.wraps(invoke)
    def invoke_bounded(resource: str, effective_input: Any, *more: Any) -> Any:
        check_size(effective_input, resource)
        result = invoke(resource, effective_input, *more)
        check_size(result, resource)
        return result

    return invoke_bounded


def check_size(value: Any, what: str) -> None:
    """Raise States.DataLimitExceeded, the engine's error, if `value` is over 256 KiB as JSON in UTF-8."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        from ministack.services import stepfunctions

        excess = "returned a result with a size exceeding the maximum number of bytes service limit."
        raise stepfunctions._ExecutionError("States.DataLimitExceeded", f"The state/task '{what}' {excess}")


def _bound_output(execute: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(execute)
    def execute_bounded(state: dict[str, Any], raw_input: Any, *more: Any) -> Any:
        output, following = execute(state, raw_input, *more)
        context = more[-1] if more else None
        check_size(output, ((context or {}).get("State") or {}).get("Name", state["Type"]))
        return output, following

    return execute_bounded


def _timed(engine: Any, run: Callable[[str], None]) -> Callable[[str], None]:
    """`run` with the machine's TimeoutSeconds: the execution ends TIMED_OUT, whatever its task does."""

    @functools.wraps(run)
    def run_timed(arn: str) -> None:
        execution = engine._executions.get(arn) or {}
        machine = engine._state_machines.get(execution.get("stateMachineArn")) or {}
        seconds = json.loads(machine.get("definition", "{}")).get("TimeoutSeconds")
        if seconds is None:
            return run(arn)
        timer = threading.Timer(seconds, contextvars.copy_context().run, (_time_out, engine, execution))
        timer.daemon = True
        timer.start()
        try:
            return run(arn)
        finally:
            timer.cancel()

    return run_timed


def _time_out(engine: Any, execution: dict[str, Any]) -> None:
    if execution["status"] != "RUNNING":
        return
    execution["status"], execution["stopDate"] = "TIMED_OUT", engine.now_iso()
    details = {"error": "States.Timeout", "cause": ""}
    engine._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": details})
    engine._emit_execution_status_event(execution)


def _fail_once(fail: Callable[..., None]) -> Callable[..., None]:
    """An execution that has been aborted or has timed out stays that, whatever its last task then reports."""

    @functools.wraps(fail)
    def fail_running(execution: dict[str, Any], error: str | None, cause: str | None) -> None:
        if execution["status"] == "RUNNING":
            fail(execution, (error or "")[:256], (cause or "")[:32_768])  # lengths of AWS's API

    return fail_running
