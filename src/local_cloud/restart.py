"""What must be put right after a restart.

What was under way when the last run ended is shown as failed and not as running for ever, and the addresses
that ministack keeps say where the cloud listens now.
"""

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


def move_queues(module: Any) -> None:
    """A queue's URL has the port of the run that made it; the next run may listen on another."""
    for (account, region, url), queue in module._queues.all_items():
        current = module._queue_url_for_account(account, queue["name"])
        if current != url:
            queue["url"] = current
            module._queues.pop_scoped(account, region, url)
            module._queues.set_scoped(account, region, current, queue)
            module._queue_name_to_url.set_scoped(account, region, queue["name"], current)


# Module of ministack -> what to do after its state was restored.
REPAIRS = {"cloudformation": fail_stacks, "sqs": move_queues, "stepfunctions": fail_executions}
