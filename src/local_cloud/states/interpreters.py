"""Run a scenario on the engine of the local cloud, and on moto's interpreter.

Both run in this process, with the calls of their tasks answered by the scenario and their waiting switched
off; that changes global state of both libraries, so runs take turns.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from local_cloud.states import install
from local_cloud.states.limits import bounded
from local_cloud.states.scenarios import Answers, Json, Outcome, Scenario, ScenarioError

ROLE = "arn:aws:iam::123456789012:role/scenario"
DEADLINE = 60  # seconds; a scenario takes milliseconds
_turn = threading.Lock()

Call = Callable[..., dict[str, Any]]


def run_on_ministack(definition: Mapping[str, Json], scenario: Scenario) -> Outcome:
    """The outcome of `scenario` on the local cloud's own engine."""
    install()
    answers = Answers(scenario.tasks)
    with _turn, _silence(), _answer_ministack(answers):
        return _run(_call_ministack, definition, scenario, answers)


def run_on_moto(definition: Mapping[str, Json], scenario: Scenario) -> Outcome:
    """The outcome of `scenario` on moto's interpreter (a development dependency)."""
    import boto3
    from moto import mock_aws

    answers = Answers(scenario.tasks)
    config: Any = {"stepfunctions": {"execute_state_machine": True}}
    with _turn, _silence(), mock_aws(config=config), _answer_moto(answers):
        client = boto3.client("stepfunctions", region_name="us-east-1")

        def call(operation: str, **parameters: Json) -> dict[str, Any]:
            try:
                return cast(dict[str, Any], getattr(client, _SNAKE[operation])(**parameters))
            except client.exceptions.ClientError as error:
                raise ScenarioError(f"moto refuses {operation}: {error}") from error

        return _run(call, definition, scenario, answers)


_SNAKE = {
    "CreateStateMachine": "create_state_machine",
    "StartExecution": "start_execution",
    "DescribeExecution": "describe_execution",
    "GetExecutionHistory": "get_execution_history",
}


def _run(call: Call, definition: Mapping[str, Json], scenario: Scenario, answers: Answers) -> Outcome:
    name = f"scenario-{uuid.uuid4().hex}"
    machine = call("CreateStateMachine", name=name, definition=json.dumps(definition), roleArn=ROLE)
    start = call(
        "StartExecution",
        stateMachineArn=machine["stateMachineArn"],
        name=name,
        input=json.dumps(scenario.input),
    )
    end = _await_end(call, start["executionArn"])
    history = call("GetExecutionHistory", executionArn=start["executionArn"], maxResults=1000)["events"]
    entered = [
        event["stateEnteredEventDetails"]["name"] for event in history if "stateEnteredEventDetails" in event
    ]
    succeeded = end["status"] == "SUCCEEDED"
    return Outcome(
        status=end["status"],
        output=json.loads(end["output"]) if succeeded else None,
        error=end.get("error"),
        cause=end.get("cause"),
        path=[state for state in entered if state in definition["States"]],
        calls=answers.calls,
        faults=answers.faults(),
    )


def _await_end(call: Call, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        execution = call("DescribeExecution", executionArn=arn)
        if execution["status"] != "RUNNING":
            return execution
        time.sleep(0.005)
    raise ScenarioError(f"the execution has not ended within {DEADLINE} s")


@contextmanager
def _silence() -> Iterator[None]:
    """Failing executions are what scenarios are about; moto would log a page for each."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _call_ministack(operation: str, **parameters: Json) -> dict[str, Any]:
    from ministack.services import stepfunctions

    headers = {"x-amz-target": f"AWSStepFunctions.{operation}"}
    request = stepfunctions.handle_request("POST", "/", headers, json.dumps(parameters).encode(), {})
    status, _, body = asyncio.run(request)
    if status != 200:
        raise ScenarioError(f"ministack refuses {operation}: {body.decode()}")
    return cast(dict[str, Any], json.loads(body))


@contextmanager
def _answer_ministack(answers: Answers) -> Iterator[None]:
    from ministack.services import stepfunctions as engine

    state: ContextVar[str] = ContextVar("state")
    execute_task = engine._execute_task

    def execute(state_def: Json, raw_input: Json, execution: Json, context: Json) -> Json:
        state.set(context["State"]["Name"])
        return execute_task(state_def, raw_input, execution, context)

    def invoke(resource: str, effective_input: Json, *_: Json) -> Json:
        answer = answers.take(state.get(), effective_input)
        if "Throw" in answer:
            raise engine._ExecutionError(answer["Throw"]["Error"], answer["Throw"].get("Cause", ""))
        return answer["Return"]

    with patch.multiple(
        engine,
        _execute_task=execute,
        _invoke_resource=bounded(invoke),
        _invoke_with_callback=bounded(invoke),
        _SFN_WAIT_SCALE=0,
    ):
        yield


@contextmanager
def _answer_moto(answers: Answers) -> Iterator[None]:
    from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
        StateTaskService,
    )
    from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import (
        StateTaskLambda,
    )
    from moto.stepfunctions.parser.asl.component.state.wait.wait_function.wait_function import WaitFunction

    def execute(task: Any, env: Any) -> None:
        parameters = task._eval_parameters(env=env)
        effective_input = parameters["Payload"] if isinstance(task, StateTaskLambda) else parameters
        answer = answers.take(env.states.context_object.context_object_data["State"]["Name"], effective_input)
        if "Throw" in answer:
            task._from_error = _keep_name(task)
            raise _fail_on_moto(env, answer["Throw"])
        env.stack.append(json.loads(json.dumps(answer["Return"])))
        task._verify_size_quota(env=env, value=env.stack[-1])

    with ExitStack() as patches:
        for task_type in (StateTaskService, StateTaskLambda):
            patches.enter_context(patch.object(task_type, "_eval_execution", execute))
        patches.enter_context(patch.object(WaitFunction, "_wait_interval", lambda *_, **__: None))
        patches.enter_context(patch.object(retrier_decl, "time", SimpleNamespace(sleep=lambda _: None)))
        yield


def _keep_name(task: Any) -> Callable[..., Any]:
    """Some integrations of moto give every error a name of their own; not those of the scenario."""

    def from_error(env: Any, ex: Exception) -> Any:
        return getattr(ex, "failure_event", None) or type(task)._from_error(task, env=env, ex=ex)

    return from_error


def _fail_on_moto(env: Any, throw: Mapping[str, str]) -> Exception:
    from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
    from moto.stepfunctions.parser.asl.component.common.error_name import failure_event
    from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
    from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName

    name, cause = throw["Error"], throw.get("Cause", "")
    error = StatesErrorName.from_name(name) if name.startswith("States.") else CustomErrorName(name)
    details: Any = dict(taskFailedEventDetails=TaskFailedEventDetails(error=name, cause=cause))
    event = failure_event.FailureEvent(
        env=env, error_name=error, event_type=HistoryEventType.TaskFailed, event_details=details
    )
    return cast(Exception, failure_event.FailureEventException(failure_event=event))
