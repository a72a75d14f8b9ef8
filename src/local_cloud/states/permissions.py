"""What a state machine's role must allow: ministack runs every task whatever the role's policies say.

Checked for the integrations whose resource is plain from the task's parameters, by ministack's own
evaluator and only where IAM is enforced at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any
from urllib.parse import unquote

_role: ContextVar[str] = ContextVar("role")

INTEGRATION = "arn:aws:states:::"
TABLE = "dynamodb:{region}:{account}:table/{TableName}"
OBJECT = "s3:::{Bucket}/{Key}"

# Integration -> actions, each with the ARN of its resource made of the task's parameters.
NEEDS = {
    "lambda:invoke": [("lambda:InvokeFunction", "lambda:{region}:{account}:function:{FunctionName}")],
    "sns:publish": [("sns:Publish", "{TopicArn}")],
    "sqs:sendMessage": [("sqs:SendMessage", "sqs:{region}:{account}:{QueueUrl}")],
    "dynamodb:getItem": [("dynamodb:GetItem", TABLE)],
    "dynamodb:putItem": [("dynamodb:PutItem", TABLE)],
    "dynamodb:updateItem": [("dynamodb:UpdateItem", TABLE)],
    "dynamodb:deleteItem": [("dynamodb:DeleteItem", TABLE)],
    "states:startExecution": [("states:StartExecution", "{StateMachineArn}")],
    "aws-sdk:s3:getObject": [("s3:GetObject", OBJECT)],
    "aws-sdk:s3:putObject": [("s3:PutObject", OBJECT)],
    "aws-sdk:s3:deleteObject": [("s3:DeleteObject", OBJECT)],
    "aws-sdk:s3:copyObject": [("s3:GetObject", "s3:::{CopySource}"), ("s3:PutObject", OBJECT)],
}

# A refusal has no name of its own in most services: it is their general exception.
ERRORS = {
    "dynamodb": "DynamoDB.AmazonDynamoDBException",
    "lambda": "Lambda.AWSLambdaException",
    "s3": "S3.S3Exception",
    "sns": "SNS.AuthorizationErrorException",
    "sqs": "SQS.AmazonSQSException",
    "states": "StepFunctions.AWSStepFunctionsException",
}


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

        for action, arn in name_permissions(resource, parameters) if app.AUTH else ():
            if not is_allowed(_role.get(""), action, arn):
                role = _role.get("").rpartition("/")[2]
                cause = f"Role {role} is not authorized to perform: {action} on resource: {arn}"
                raise engine._ExecutionError(ERRORS[action.partition(":")[0]], cause)
        return invoke(resource, parameters, *more)

    return invoke_permitted


def name_permissions(resource: str, parameters: Any) -> list[tuple[str, str]]:
    """The IAM actions that a task needs and the ARNs of what they act on; none where they are not plain."""
    if ":function:" in resource:
        return [("lambda:InvokeFunction", resource)]
    needs = NEEDS.get(resource.removeprefix(INTEGRATION).partition(".")[0], [])
    return [(action, _fill_arn(template, parameters)) for action, template in needs]


def _fill_arn(template: str, parameters: Mapping[str, Any]) -> str:
    from ministack.core.responses import get_account_id, get_region

    values = {name: str(parameters.get(name, "")) for name in re.findall(r"{(\w+)}", template)}
    for value in values.values():
        if value.startswith("arn:"):
            return value
    if "QueueUrl" in values:
        values["QueueUrl"] = values["QueueUrl"].rpartition("/")[2]
    if "CopySource" in values:
        values["CopySource"] = unquote(values["CopySource"].partition("?")[0]).lstrip("/")
    return "arn:aws:" + template.format(**{**values, "region": get_region(), "account": get_account_id()})


def is_allowed(role_arn: str, action: str, resource_arn: str) -> bool:
    """Whether the policies of a role allow an action on a resource."""
    from ministack.core import iam_evaluator as iam

    account, role = role_arn.split(":")[4], role_arn.rpartition("/")[2]
    session = f"arn:aws:sts::{account}:assumed-role/{role}/states"
    region = resource_arn.split(":")[3] if resource_arn.count(":") > 3 else "us-east-1"
    context = iam.EvalContext(session, "AssumedRole", account, action, resource_arn, region)
    return bool(iam.evaluate(context, iam._gather_role_policies(role, account)).decision == "Allow")
