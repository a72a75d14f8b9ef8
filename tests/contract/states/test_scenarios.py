"""The second opinion itself: agreement, every kind of disagreement, and scenario files that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_cloud.states.scenarios import Scenario, ScenarioError, check, load

CLASSIFY = {
    "StartAt": "Classify",
    "States": {
        "Classify": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": "classify", "Payload.$": "$"},
            "OutputPath": "$.Payload",
            "Retry": [{"ErrorEquals": ["EndpointUnavailable"], "IntervalSeconds": 5, "MaxAttempts": 2}],
            "Catch": [{"ErrorEquals": ["LowConfidence"], "ResultPath": "$.failure", "Next": "Review"}],
            "Next": "Pause",
        },
        "Pause": {"Type": "Wait", "Seconds": 30, "Next": "Routed"},
        "Routed": {"Type": "Choice", "Choices": [{"Variable": "$.bay", "IsPresent": True, "Next": "Done"}],
                   "Default": "Lost"},
        "Done": {"Type": "Pass", "Parameters": {"bay.$": "$.bay"}, "End": True},
        "Lost": {"Type": "Fail", "Error": "NoLoadingBay", "Cause": "none is open"},
        "Review": {"Type": "Fail", "Error": "LowConfidence", "Cause": "a person must look"},
    },
}  # fmt: skip

BUSY = {"Throw": {"Error": "EndpointUnavailable", "Cause": "503"}}


def answer(payload: Any) -> dict[str, Any]:
    return {"Return": {"Payload": payload}}


@pytest.mark.parametrize(
    ("tasks", "expect"),
    [
        ([answer({"bay": 3})], {"status": "SUCCEEDED", "output": {"bay": 3},
                                "path": ["Classify", "Pause", "Routed", "Done"]}),
        ([BUSY, BUSY, answer({"bay": 3})], {"status": "SUCCEEDED"}),
        ([BUSY, BUSY, BUSY], {"status": "FAILED", "error": "EndpointUnavailable"}),
        ([{"Throw": {"Error": "LowConfidence", "Cause": "0.4"}}],
         {"status": "FAILED", "error": "LowConfidence", "path": ["Classify", "Review"]}),
        ([answer({})], {"status": "FAILED", "error": "NoLoadingBay"}),
        ([{"Throw": {"Error": "States.Timeout"}}], {"status": "FAILED", "error": "States.Timeout"}),
        ([answer("x" * 300_000)], {"status": "FAILED", "error": "States.DataLimitExceeded"}),
        ([{"When": {"Payload": {"key": "a"}}, **answer({"bay": 1})}], {"status": "SUCCEEDED"}),
    ],
)  # fmt: skip
def test_both_interpreters_agree(tasks: list[dict[str, Any]], expect: dict[str, Any]) -> None:
    assert check(CLASSIFY, Scenario("one", expect, {"key": "a"}, {"Classify": tasks})) == []


@pytest.mark.parametrize(
    ("tasks", "expect", "complaint"),
    [
        ([BUSY, answer({"bay": 3})], {"status": "FAILED"}, 'status is "SUCCEEDED", expected "FAILED"'),
        ([answer({"bay": 3})], {"status": "SUCCEEDED", "output": {"bay": 4}}, 'output is {"bay": 3}'),
        ([answer({"bay": 3}), BUSY], {"status": "SUCCEEDED"}, "1 answer(s) of Classify were never asked for"),
        ([BUSY, BUSY], {"status": "FAILED"}, "no answer is left for Classify"),
        ([{"When": {"Payload": {"key": "b"}}, **answer(1)}], {"status": "FAILED"}, "never asked for"),
    ],
)
def test_what_is_not_as_expected_is_said_of_both(
    tasks: list[dict[str, Any]], expect: dict[str, Any], complaint: str
) -> None:
    problems = check(CLASSIFY, Scenario("one", expect, {"key": "a"}, {"Classify": tasks}))
    for engine in ("ministack", "moto"):
        assert any(engine in problem and complaint in problem for problem in problems), problems


def test_a_difference_between_the_interpreters_is_found() -> None:
    # moto catches States.Runtime with States.ALL; AWS, and so the local cloud, does not.
    states = json.loads(json.dumps(CLASSIFY))
    states["States"]["Classify"] |= {"ResultSelector": {"x.$": "$.nothing"}, "OutputPath": "$"}
    states["States"]["Classify"]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Review"}]
    problems = check(states, Scenario("one", {"status": "FAILED"}, {}, {"Classify": [answer({})]}))
    assert any("interpreters differ in error" in problem for problem in problems)


def test_calls_of_a_map_are_told_apart_by_their_input() -> None:
    task = {
        k: v for k, v in CLASSIFY["States"]["Classify"].items() if k in ("Type", "Resource", "Parameters")
    }  # type: ignore[index]
    machine = {
        "StartAt": "Each",
        "States": {
            "Each": {
                "Type": "Map",
                "ItemsPath": "$.keys",
                "ItemProcessor": {
                    "StartAt": "One",
                    "States": {"One": {**task, "OutputPath": "$.Payload", "End": True}},
                },
                "End": True,
            }
        },
    }
    answers = [{"When": {"Payload": key}, **answer(key.upper())} for key in ("c", "b", "a")]
    expect = {"status": "SUCCEEDED", "output": ["A", "B", "C"], "path": ["Each"]}
    assert check(machine, Scenario("map", expect, {"keys": ["a", "b", "c"]}, {"One": answers})) == []


@pytest.mark.parametrize(
    "resource", ["dynamodb:putItem", "sns:publish", "sqs:sendMessage", "aws-sdk:s3:copyObject"]
)
def test_every_integration_fails_with_the_error_that_is_thrown(resource: str) -> None:
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": {}, "End": True}
    catch = [{"ErrorEquals": ["Condition.Failed"], "Next": "Caught"}]
    machine = {
        "StartAt": "A",
        "States": {"A": {**task, "Catch": catch}, "Caught": {"Type": "Pass", "End": True}},
    }
    throw = {"Throw": {"Error": "Condition.Failed", "Cause": "c"}}
    expect = {"status": "SUCCEEDED", "output": {"Error": "Condition.Failed", "Cause": "c"}}
    assert check(machine, Scenario("one", expect, {}, {"A": [throw]})) == []


def test_a_file_of_scenarios_is_read(tmp_path: Path) -> None:
    rows = {"busy": {"tasks": {"Classify": [BUSY] * 3}, "expect": {"status": "FAILED"}}}
    (tmp_path / "file.json").write_text(json.dumps(rows))
    assert load(tmp_path / "file.json") == [
        Scenario("busy", {"status": "FAILED"}, {}, {"Classify": [BUSY] * 3})
    ]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"expect": {"status": "FAILED", "eror": "x"}},
        {"expect": {"status": "FAILED"}, "task": {}},
        {"expect": {"status": "FAILED"}, "tasks": {"A": [{"Retrun": 1}]}},
    ],
)
def test_a_file_with_a_mistake_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    (tmp_path / "file.json").write_text(json.dumps({"one": row}))
    with pytest.raises(ScenarioError, match="one"):
        load(tmp_path / "file.json")
    (tmp_path / "file.json").write_text("[")
    with pytest.raises(ScenarioError, match="not a scenario file"):
        load(tmp_path / "file.json")


def test_a_definition_that_is_none_is_refused() -> None:
    with pytest.raises(ScenarioError, match="refuses CreateStateMachine"):
        check(
            {"StartAt": "A", "States": {"A": {"Type": "Pas", "End": True}}},
            Scenario("x", {"status": "FAILED"}),
        )
