"""After a restart, what was under way when the last run ended is shown as failed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

ERROR = "States.ServiceRestart"
CAUSE = "The local cloud was restarted while this ran."


def fail_executions(module: Any) -> None:
    """Finish what ministack begins when it restores executions: their history, and their map runs."""
    for execution in module._executions.all_values():
        if execution.get("error") != ERROR or not execution.get("events"):
            continue
        if execution["events"][-1]["type"] != "ExecutionFailed":
            execution["cause"] = CAUSE
            details = {"executionFailedEventDetails": {"error": ERROR, "cause": CAUSE}}
            module._add_event(execution, "ExecutionFailed", details)
    for run in module._map_runs.all_values():
        if run["status"] == "RUNNING":
            run.update(status="FAILED", stopDate=datetime.now(UTC).isoformat())


def fail_stacks(module: Any) -> None:
    """CREATE_IN_PROGRESS becomes CREATE_FAILED, and so on: such a stack can be updated or deleted again."""
    for stack in module._stacks.all_values():
        status = stack["StackStatus"]
        if status.endswith("_CLEANUP_IN_PROGRESS"):
            stack["StackStatus"] = status.removesuffix("_CLEANUP_IN_PROGRESS")
        elif status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            stack["StackStatus"] = status.replace("_IN_PROGRESS", "_FAILED")
            stack["StackStatusReason"] = CAUSE


# Module of ministack -> what to do after its state was restored.
REPAIRS = {"stepfunctions": fail_executions, "cloudformation": fail_stacks}
