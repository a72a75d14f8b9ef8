"""The last rung: each scenario of events/scenarios ends as expected on two interpreters."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from local_cloud.states.scenarios import Scenario, check, load

ROOT = Path(__file__).parents[3]
ACCOUNT = "us-east-1:000000000000"
SUBSTITUTIONS = {
    "AlertTopicArn": f"arn:aws:sns:{ACCOUNT}:alerts",
    "CheckinsTable": "checkins",
    "ReviewQueueUrl": "https://sqs.us-east-1.amazonaws.com/000000000000/review",
    "RouteDeliveryArn": f"arn:aws:states:{ACCOUNT}:stateMachine:route-delivery",
    "StartRouteDelivery": "arn:aws:states:::states:startExecution.sync",
}


@cache
def read_definition(name: str) -> dict[str, Any]:
    text = (ROOT / "statemachine" / f"{name}.asl.json").read_text()
    arns = re.compile(r"\$\{(\w+)\}")
    text = arns.sub(lambda f: SUBSTITUTIONS.get(f[1], f"arn:aws:lambda:{ACCOUNT}:function:{f[1]}"), text)
    # What is sent to the tasks is compared, and names and times are each interpreter's own.
    definition = json.loads(re.sub(r"\$\$\.(Execution\.Id|State\.EnteredTime)", "$$.State.Name", text))
    assert isinstance(definition, dict)
    return definition


def scenarios(name: str) -> list[Any]:
    return [pytest.param(row, id=row.name) for row in load(ROOT / "events" / "scenarios" / f"{name}.json")]


@pytest.mark.parametrize("scenario", scenarios("route_delivery"))
def test_route_delivery(scenario: Scenario) -> None:
    assert check(read_definition("route_delivery"), scenario) == []


@pytest.mark.parametrize("scenario", scenarios("route_batch"))
def test_route_batch(scenario: Scenario) -> None:
    """The manifest comes with listImages' answer, because a scenario has no S3 to read it from."""
    definition = copy.deepcopy(read_definition("route_batch"))
    del definition["States"]["RouteImages"]["ItemReader"]
    definition["States"]["RouteImages"]["ItemsPath"] = "$.photos"
    assert check(definition, scenario) == []
