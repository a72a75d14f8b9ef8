"""The gaps of ministack's Step Functions engine that are closed, through the API."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.states.retries import delay_of

from ..lambdas.conftest import Cloud
from .conftest import Machines

CATCH_ALL = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]
CAUGHT = {"Type": "Pass", "Result": "caught", "End": True}


def single(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"StartAt": "Only", "States": {"Only": {"End": True, **state}}, **more}


def call(function: str, **more: Any) -> dict[str, Any]:
    parameters = {"FunctionName": function, "Payload.$": "$"}
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters}
    return {**task, "OutputPath": "$.Payload", **more}


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Parameters": {"bay.$": "$.order.bay"}},
        {"Type": "Pass", "Parameters": {"bay.$": "States.Format('{}', $.order.bay)"}},
        {"Type": "Pass", "InputPath": "$.order"},
        {"Type": "Pass", "OutputPath": "$.order"},
        {"Type": "Pass", "Parameters": {"bay.$": "$.list[3]"}},
        {"Type": "Wait", "SecondsPath": "$.order.delay"},
        {"Type": "Map", "ItemsPath": "$.orders", "ItemProcessor": single({"Type": "Pass"})},
    ],
)
def test_a_path_to_nothing_fails_the_execution(machines: Machines, state: dict[str, Any]) -> None:
    found = machines.run(single(state), {"list": [1]})
    assert (found["status"], found["error"]) == ("FAILED", "States.Runtime")
    assert "could not be found in the input" in found["cause"]


def test_paths_to_null_and_wildcards_are_fine(machines: Machines) -> None:
    parameters = {"bay.$": "$.bay", "all.$": "$.list[*].x", "name.$": "$$.Execution.Name"}
    found = machines.run(single({"Type": "Pass", "Parameters": parameters}), {"bay": None, "list": []})
    output = json.loads(found["output"])
    assert (output["bay"], output["all"]) == (None, [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [({"x": 1}, "yes"), ({"x": None}, "yes"), ({}, "no"), ({"x": {"y": 1}}, "yes")],
)
def test_only_is_present_may_ask_for_what_is_not_there(
    machines: Machines, value: dict[str, Any], expected: str
) -> None:
    rule = {"And": [{"Variable": "$.x", "IsPresent": True}], "Next": "yes"}
    ends = {name: {"Type": "Pass", "Result": name, "End": True} for name in ("yes", "no")}
    choice = {"Type": "Choice", "Choices": [rule], "Default": "no"}
    found = machines.run({"StartAt": "Choice", "States": {"Choice": choice, **ends}}, value)
    assert json.loads(found["output"]) == expected
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.z", "NumericEquals": 1, "Next": "yes"}],
        "Default": "no",
    }
    found = machines.run({"StartAt": "Choice", "States": {"Choice": choice, **ends}}, value)
    assert found["error"] == "States.Runtime"


def test_states_all_catches_neither_runtime_errors_nor_too_much_data(
    cloud: Cloud, machines: Machines
) -> None:
    cloud.create_function("big", "def handler(event, context): return 'x' * 300_000")
    for name, error in (("States.ALL", "States.DataLimitExceeded"), ("States.DataLimitExceeded", None)):
        task = call("big", Catch=[{"ErrorEquals": [name], "Next": "Caught"}], Next="Caught")
        found = machines.run({"StartAt": "Big", "States": {"Big": task, "Caught": CAUGHT}})
        assert found.get("error") == error
    task = call("big", ResultSelector={"x.$": "$.nothing"}, Catch=CATCH_ALL, Next="Caught")
    task["OutputPath"] = "$"
    cloud.client("lambda").delete_function(FunctionName="big")
    cloud.create_function("big", "def handler(event, context): return 1")
    found = machines.run({"StartAt": "Big", "States": {"Big": task, "Caught": CAUGHT}})
    assert found["error"] == "States.Runtime"


def test_inputs_and_outputs_end_at_256_kib(machines: Machines) -> None:
    half = "x" * 131_000
    double = {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$", "c.$": "$"}}
    assert machines.run(single({"Type": "Pass"}), half * 2)["status"] == "SUCCEEDED"
    found = machines.run(single(double), half)
    assert (found["status"], found["error"]) == ("FAILED", "States.DataLimitExceeded")
    with pytest.raises(ClientError, match="ValidationException"):
        machines.run(single({"Type": "Pass"}), half * 3)
    with pytest.raises(ClientError, match="InvalidExecutionInput"):
        machines.client.start_execution(
            stateMachineArn=machines.create(single({"Type": "Pass"})), input="{'quotes': 'single'}"
        )


def test_a_machine_out_of_time_has_timed_out(machines: Machines) -> None:
    machine = single({"Type": "Wait", "Seconds": 2}, TimeoutSeconds=1)
    found = machines.run(machine)
    assert found["status"] == "TIMED_OUT"
    assert {"error", "cause"}.isdisjoint(found)
    events = machines.client.get_execution_history(executionArn=found["executionArn"])["events"]
    assert events[-1]["type"] == "ExecutionTimedOut"
    assert events[-1]["executionTimedOutEventDetails"]["error"] == "States.Timeout"


def test_an_aborted_execution_stays_aborted(cloud: Cloud, machines: Machines) -> None:
    source = "import time\ndef handler(event, context):\n  time.sleep(0.5)\n  raise ValueError"
    cloud.create_function("fails-late", source)
    started = machines.client.start_execution(stateMachineArn=machines.create(single(call("fails-late"))))
    machines.client.stop_execution(executionArn=started["executionArn"])
    time.sleep(1.5)
    assert machines.await_end(started["executionArn"])["status"] == "ABORTED"


def test_starting_again_under_a_running_name_gives_the_same_execution(machines: Machines) -> None:
    arn = machines.create(single({"Type": "Wait", "Seconds": 3}))
    start = {"stateMachineArn": arn, "name": "check-in-1"}
    first = machines.client.start_execution(**start, input='{"key": 1}')
    again = machines.client.start_execution(**start, input='{"key": 1}')
    assert (first["executionArn"], first["startDate"]) == (again["executionArn"], again["startDate"])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.client.start_execution(**start, input='{"key": 2}')
    machines.client.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        machines.client.start_execution(**start, input='{"key": 1}')


def test_a_lambdas_error_is_its_class_and_its_payload(cloud: Cloud, machines: Machines) -> None:
    source = "class LowConfidence(Exception): pass\ndef handler(event, context): raise LowConfidence('0.41')"
    cloud.create_function("unsure", source)
    for task in (call("unsure"), {"Type": "Task", "Resource": function_arn(cloud, "unsure")}):
        found = machines.run(single(task))
        cause = json.loads(found["cause"])
        assert (found["error"], cause["errorType"]) == ("LowConfidence", "LowConfidence")
        assert cause["errorMessage"] == "0.41"


def function_arn(cloud: Cloud, name: str) -> str:
    return str(cloud.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"])


def test_a_throttled_lambda_is_an_error_that_can_be_retried(cloud: Cloud, machines: Machines) -> None:
    cloud.create_function("throttled", "def handler(event, context): return 'through'")
    client = cloud.client("lambda")
    client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    found = machines.run(single(call("throttled")))
    assert found["error"] == "Lambda.TooManyRequestsException"
    retry = {"ErrorEquals": ["Lambda.TooManyRequestsException"], "IntervalSeconds": 1, "BackoffRate": 1}
    started = machines.client.start_execution(
        stateMachineArn=machines.create(single(call("throttled", Retry=[retry])))
    )
    client.delete_function_concurrency(FunctionName="throttled")
    assert json.loads(machines.await_end(started["executionArn"])["output"]) == "through"


def test_a_lambda_task_names_a_version_or_does_not_wait(cloud: Cloud, machines: Machines) -> None:
    cloud.create_function("versioned", "def handler(event, context): return context.function_version")
    cloud.client("lambda").publish_version(FunctionName="versioned")
    task = call("versioned", OutputPath="$")
    task["Parameters"] |= {"Qualifier": "1"}
    output = json.loads(machines.run(single(task))["output"])
    assert (output["Payload"], output["ExecutedVersion"]) == ("1", "1")
    task["Parameters"] = {"FunctionName": "versioned", "InvocationType": "Event"}
    assert json.loads(machines.run(single(task))["output"])["StatusCode"] == 202


def test_the_delay_of_a_retry_is_capped_and_drawn() -> None:
    retrier = {"IntervalSeconds": 2, "BackoffRate": 3, "MaxDelaySeconds": 10}
    assert [delay_of(retrier, count) for count in range(4)] == [2, 6, 10, 10]
    drawn = [delay_of({**retrier, "JitterStrategy": "FULL"}, 3) for _ in range(100)]
    assert 0 <= min(drawn) < max(drawn) <= 10
    assert delay_of({}, 2) == 4


def test_the_engine_uses_that_delay(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    from ministack.services import stepfunctions

    slept: list[float] = []
    monkeypatch.setattr(stepfunctions, "_scaled_sleep", slept.append)
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 4, "MaxDelaySeconds": 9, "MaxAttempts": 3}
    found = machines.run(single(call("missing", Retry=[retry])))
    assert found["error"] == "Lambda.ResourceNotFoundException"
    assert slept == [4, 8, 9]


def test_a_string_that_looks_like_json_stays_a_string(cloud: Cloud, machines: Machines) -> None:
    cloud.create_function("string", "def handler(event, context): return '{\"a\": 1}'")
    assert json.loads(machines.run(single(call("string")))["output"]) == '{"a": 1}'


def test_executions_are_counted(cloud: Cloud, machines: Machines) -> None:
    arn = machines.create(single({"Type": "Pass", "Parameters": {"x.$": "$.x"}}))
    for value in ('{"x": 1}', '{"x": 2}', "{}"):
        started = machines.client.start_execution(stateMachineArn=arn, input=value)
        machines.await_end(started["executionArn"])
    now = datetime.now(UTC)
    counted = {}
    for name in ("ExecutionsStarted", "ExecutionsSucceeded", "ExecutionsFailed"):
        found = cloud.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/States", MetricName=name, Dimensions=[{"Name": "StateMachineArn", "Value": arn}],
            StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1), Period=3600,
            Statistics=["Sum"],
        )  # fmt: skip
        counted[name] = sum(point["Sum"] for point in found["Datapoints"])
    assert counted == {"ExecutionsStarted": 3, "ExecutionsSucceeded": 2, "ExecutionsFailed": 1}


def test_a_failure_without_a_cause_ends_the_execution(machines: Machines) -> None:
    found = machines.run(
        {"StartAt": "F", "States": {"F": {"Type": "Fail", "Cause": None, "Error": "x" * 300}}}
    )
    assert (found["status"], found["error"]) == ("FAILED", "x" * 256)
