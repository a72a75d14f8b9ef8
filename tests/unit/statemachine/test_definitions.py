"""The definitions parse, close, and fit the template, the handlers and the services that they call."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from scones.aws.templates import read_template

ROOT = Path(__file__).parents[3]
NAMES = ("route_delivery", "route_batch")
# Errors of AWS itself, as opposed to those that our handlers raise.
FOREIGN = re.compile(r"^(States|Lambda|Sandbox|Runtime|DynamoDB|StepFunctions|Sfn)\.")
SERVICES = {"sfn": "stepfunctions", "states": "stepfunctions"}


@cache
def read_definition(name: str) -> dict[str, Any]:
    definition = json.loads((ROOT / "statemachine" / f"{name}.asl.json").read_text())
    assert isinstance(definition, dict)
    return definition


def walk(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from walk(state["ItemProcessor"])


def walk_machines(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield machine
    for state in machine["States"].values():
        if "ItemProcessor" in state:
            yield from walk_machines(state["ItemProcessor"])


def next_states(state: dict[str, Any]) -> set[str]:
    parts = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return {part["Next"] for part in parts if "Next" in part} | (
        {state["Default"]} if "Default" in state else set()
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_state_is_reached_and_leads_somewhere(name: str) -> None:
    for machine in walk_machines(read_definition(name)):
        states, reached, waiting = machine["States"], set(), [machine["StartAt"]]
        while waiting:
            current = waiting.pop()
            if current not in reached:
                reached.add(current)
                waiting += next_states(states[current])
        assert reached == set(states)
        for state in states.values():
            ends = state.get("End", False) or state["Type"] in ("Succeed", "Fail")
            assert ends != bool(next_states({**state, "Catch": []}))


@pytest.mark.parametrize("name", NAMES)
def test_placeholders_are_what_the_template_substitutes(name: str) -> None:
    resources = read_template(ROOT / "template.yaml")["Resources"].values()
    uri = f"statemachine/{name}.asl.json"
    machine = next(r for r in resources if r.get("Properties", {}).get("DefinitionUri") == uri)
    used = re.findall(r"\$\{(\w+)\}", (ROOT / uri).read_text())
    assert set(used) == set(machine["Properties"]["DefinitionSubstitutions"])


def error_names(kind: str) -> dict[str, set[str]]:
    """Function's folder -> error names that some machine retries or catches where it calls the function."""
    found: dict[str, set[str]] = {}
    for machine in NAMES:
        for _, state in walk(read_definition(machine)):
            placeholder = re.search(r"\$\{(\w+)Function\}", json.dumps(state.get("Parameters", "")))
            if placeholder:
                folder = re.sub(r"(?<!^)([A-Z])", r"_\1", placeholder[1]).lower()
                names = {name for rule in state.get(kind, []) for name in rule["ErrorEquals"]}
                found.setdefault(folder, set()).update(n for n in names if not FOREIGN.match(n))
    return found


def exception_classes(folder: str) -> set[str]:
    tree = ast.parse((ROOT / "functions" / folder / "app.py").read_text())
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(b, ast.Name) and b.id == "Exception" for b in node.bases)
    }


def test_each_error_name_is_a_class_of_the_handler_and_each_class_is_handled() -> None:
    caught, retried = error_names("Catch"), error_names("Retry")
    assert set(caught) == {
        "serialize_image", "classify_image", "filter_inferences", "assign_order", "explain_failure",
        "list_images", "summarize_batch",
    }  # fmt: skip
    for folder, names in caught.items():
        assert names | retried[folder] == exception_classes(folder), folder
    for folder in ("start_delivery", "sweep_checkins"):
        assert exception_classes(folder) == set()


def test_nothing_is_retried_that_would_end_alike() -> None:
    for folder, names in error_names("Retry").items():
        assert not names & {"InvalidImage", "LowConfidence", "InvalidBatch", "TooManyFailures"}, folder


def test_every_call_of_a_function_survives_a_killed_process_and_has_a_time_limit() -> None:
    for machine in NAMES:
        for name, state in walk(read_definition(machine)):
            if state.get("Resource") == "arn:aws:states:::lambda:invoke":
                retried = {error for rule in state["Retry"] for error in rule["ErrorEquals"]}
                assert {
                    "Lambda.Unknown",
                    "Runtime.ExitError",
                    "Sandbox.Timedout",
                    "States.Timeout",
                } <= retried, name
                assert state["TimeoutSeconds"] > 0


def test_the_first_four_tasks_let_no_error_out() -> None:
    states = read_definition("route_delivery")["States"]
    for name in ("SerializeImage", "ClassifyImage", "FilterInferences", "AssignOrder"):
        assert states[name]["Catch"][-1] == {
            "ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "ExplainFailure",
        }  # fmt: skip


def calls() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (f"{machine}.{name}", state["Resource"], state["Parameters"])
        for machine in NAMES
        for name, state in walk(read_definition(machine))
        if state["Type"] == "Task"
    ]


def make_literal(value: Any) -> Any:
    """Parameters as the service sees them: paths become text, objects that a string takes become text."""
    if isinstance(value, dict):
        return {
            k.removesuffix(".$"): "text" if k.endswith(".$") else make_literal(v) for k, v in value.items()
        }
    return value


@pytest.mark.parametrize("call", calls(), ids=lambda call: call[0])
def test_parameters_pass_botocore_s_validator(call: tuple[str, str, dict[str, Any]]) -> None:
    _, resource, parameters = call
    resource = resource.replace("${StartRouteDelivery}", "arn:aws:states:::states:startExecution.sync")
    service, action = resource.removeprefix("arn:aws:states:::").removeprefix("aws-sdk:").split(":")
    action = action.partition(".")[0]
    model = botocore.session.get_session().get_service_model(SERVICES.get(service, service))
    shape = model.operation_model(action[0].upper() + action[1:]).input_shape
    assert shape is not None
    given = make_literal(parameters)
    if service == "lambda":
        given["Payload"] = b"{}"
    if SERVICES.get(service):  # the API's names begin in lower case
        given = {key[0].lower() + key[1:]: value for key, value in given.items()}
    report = ParamValidator().validate(given, shape)
    assert not report.has_errors(), report.generate_report()
