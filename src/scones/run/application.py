"""The step that deploys the application, and loads its example of orders and bays."""

from __future__ import annotations

from scones.aws import stacks
from scones.aws.orders import seed_bays, seed_orders
from scones.aws.sessions import Cloud, translate_errors
from scones.run.plan import Plan
from scones.run.steps import Tell, ignore_line

MAX_OOD = "0.5"  # Prediction.ood: above this a picture should not be routed
ORDERS = 300
UNDER_WAY = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
             "ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS", "DELETE_IN_PROGRESS")  # fmt: skip


def find_application(cloud: Cloud, plan: Plan) -> dict[str, str] | None:
    """The stack's outputs if it is deployed as template and plan want it, example included."""
    stack = plan.settings.stack_name
    if not _read_status(cloud, stack).endswith("_COMPLETE"):
        return None
    change_set = stacks.prepare(cloud, stack, plan.template, _list_parameters(plan))
    if change_set is not None:
        stacks.discard(cloud, change_set)
        return None
    outputs = stacks.read_outputs(cloud, stack)
    return outputs if _is_seeded(cloud, outputs) else None


def deploy_application(cloud: Cloud, plan: Plan, tell: Tell = ignore_line) -> dict[str, str]:
    """Create or update the stack, load the example of orders and bays; the stack's outputs.

    A deployment that was left under way is awaited first. Raises CloudError.
    """
    stack = plan.settings.stack_name
    if _read_status(cloud, stack) in UNDER_WAY:
        stacks.await_stack(cloud, stack, set(), lambda name, status, reason: tell(f"{name} {status}"))
    change_set = stacks.prepare(cloud, stack, plan.template, _list_parameters(plan))
    if change_set is not None:
        stacks.execute(cloud, change_set, lambda name, status, reason: tell(f"{name} {status}"))
    outputs = stacks.read_outputs(cloud, stack)
    if change_set is not None or not _is_seeded(cloud, outputs):
        tell("example orders")
        seed_orders(cloud, outputs["OrdersTableName"], ORDERS, plan.settings.seed)
        seed_bays(cloud, outputs["BaysTableName"])
    return outputs


def _read_status(cloud: Cloud, stack: str) -> str:
    with translate_errors(f"read the stack {stack}"):
        return str(stacks.describe(cloud, stack).get("StackStatus", ""))


def _is_seeded(cloud: Cloud, outputs: dict[str, str]) -> bool:
    """Whether there are loading bays: they are written last, so that an interrupted loading is told."""
    with translate_errors("read the loading bays"):
        return bool(cloud.table(outputs["BaysTableName"]).scan(Limit=1)["Items"])


def _list_parameters(plan: Plan) -> dict[str, str]:
    return {
        "EndpointName": plan.endpoint,
        "Classes": ",".join(plan.classes),
        "Threshold": f"{plan.settings.threshold:g}",
        "MaxOod": MAX_OOD,
    }
