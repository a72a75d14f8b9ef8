"""What a state machine's role must allow: ministack runs every task whatever the role's policies say.

Checked for the integrations whose resource is plain from the task's parameters, by ministack's own
evaluator and only where IAM is enforced at all.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_role: ContextVar[str] = ContextVar("role")

INTEGRATION = "arn:aws:states:::"
TABLE = "dynamodb:{region}:{account}:table/{name}"

# Integration -> (action, parameter that names the resource, its ARN where that is only a name).
RESOURCES = {
    "lambda:invoke": ("lambda:InvokeFunction", "FunctionName", "lambda:{region}:{account}:function:{name}"),
    "sns:publish": ("sns:Publish", "TopicArn", "{name}"),
    "sqs:sendMessage": ("sqs:SendMessage", "QueueUrl", "sqs:{region}:{account}:{name}"),
    "dynamodb:getItem": ("dynamodb:GetItem", "TableName", TABLE),
    "dynamodb:putItem": ("dynamodb:PutItem", "TableName", TABLE),
    "dynamodb:updateItem": ("dynamodb:UpdateItem", "TableName", TABLE),
    "dynamodb:deleteItem": ("dynamodb:DeleteItem", "TableName", TABLE),
    "states:startExecution": ("states:StartExecution", "StateMachineArn", "{name}"),
}

# The error's name is the service's; Lambda wraps every refusal in its own.
ERRORS = {"lambda": "Lambda.AWSLambdaException", "sns": "SNS.AuthorizationErrorException"}


def close(engine: Any) -> None:
    """Check the role before every call that a task makes."""
    engine._execute_task = _remembering_role(engine, engine._execute_task)
    engine._invoke_resource = _permitted(engine, engine._invoke_resource)
    engine._invoke_with_callback = _permitted(engine, engine._invoke_with_callback)


def _remembering_role(engine: Any, execute: Callable[..., Any]) -> Callable[..., Any]:
    def execute_task(state: Any, raw_input: Any, execution: Any, context: Any) -> Any:
        machine = engine._state_machines.get(context["StateMachine"]["Id"]) or {}
        _role.set(machine.get("roleArn", ""))
        return execute(state, raw_input, execution, context)

    return execute_task


def _permitted(engine: Any, invoke: Callable[..., Any]) -> Callable[..., Any]:
    def invoke_permitted(resource: str, parameters: Any, *more: Any) -> Any:
        from ministack import app

        needed = name_permission(resource, parameters) if app.AUTH else None
        if needed and not is_allowed(_role.get(""), *needed):
            action, arn = needed
            role = _role.get("").rpartition("/")[2]
            error = ERRORS.get(action.partition(":")[0], "AccessDeniedException")
            cause = f"Role {role} is not authorized to perform: {action} on resource: {arn}"
            raise engine._ExecutionError(error, f"{cause} because no identity-based policy allows the action")
        return invoke(resource, parameters, *more)

    return invoke_permitted


def name_permission(resource: str, parameters: Any) -> tuple[str, str] | None:
    """The IAM action and resource ARN that a task needs; None where they are not plain."""
    from ministack.core.responses import get_account_id, get_region

    if ":function:" in resource:
        return "lambda:InvokeFunction", resource
    found = RESOURCES.get(resource.removeprefix(INTEGRATION).partition(".")[0])
    name = parameters.get(found[1]) if found and isinstance(parameters, dict) else None
    if not found or not isinstance(name, str):
        return None
    if name.startswith("arn:"):
        return found[0], name
    plain = name.rpartition("/")[2]  # of a queue's URL
    return found[0], "arn:aws:" + found[2].format(region=get_region(), account=get_account_id(), name=plain)


def is_allowed(role_arn: str, action: str, resource_arn: str) -> bool:
    """Whether the policies of a role allow an action on a resource."""
    from ministack.core import iam_evaluator as iam

    account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    session = f"arn:aws:sts::{account}:assumed-role/{role}/states"
    region = resource_arn.split(":")[3] if resource_arn.count(":") > 3 else "us-east-1"
    context = iam.EvalContext(session, "AssumedRole", account, action, resource_arn, region)
    return bool(iam.evaluate(context, iam._gather_role_policies(role, account)).decision == "Allow")
