"""A second opinion on a state machine: the same scenario on two interpreters.

A scenario says what every task of a state machine answers, call by call, and what must come of it. It is
run on the local cloud's engine (ministack's, with the gaps that `local_cloud.states` closes) and on moto's
interpreter, another code base; whatever one of the two does differently from the other, or from what is
expected, is reported. No AWS, no Lambda, no waiting: `Wait` states and retry intervals take no time.

Format of a scenario file (JSON); `Return` and `Throw` are the words of AWS Step Functions Local's mock file:

    {
      "<scenario name>": {
        "input": {...},                                   execution input, any JSON value; default {}
        "tasks": {                                        what each Task state answers, in order of its calls
          "<state name>": [
            {"Throw": {"Error": "EndpointUnavailable", "Cause": "busy"}},
            {"Return": {"Payload": {...}}}              the integration's whole result, before ResultSelector
          ]
        },
        "expect": {                                       every field but status is optional
          "status": "SUCCEEDED",                          or FAILED
          "output": {...},                                the whole output
          "error": "LowConfidence",                       of a failed execution
          "path": ["SerializeImage", "Classify", ...]     top-level states in the order they were entered
        }
      }
    }

For `arn:aws:states:::lambda:invoke` a `Return` is `{"Payload": <what the handler returns>}`; for a
function's ARN as the resource it is what the handler returns. An answer may say which call it is for, which
also checks what the state sends, and which a `Map` needs because its calls come in any order:
`{"When": {"Payload": {"key": "a"}}, "Return": ...}` answers the first call whose effective input (after
InputPath and Parameters) contains `When`.
Answers are used up one by one: a call without an answer, and an answer without a call, are disagreements. So
retries are counted exactly.

    disagreements = check(definition, scenario)           # [] when both interpreters do what is expected
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = Any

UNANSWERED = "Scenario.Unanswered"


class ScenarioError(Exception):
    """The scenario or the definition itself is not usable; the message says where and why."""


@dataclass(frozen=True)
class Scenario:
    """One row of a scenario file; `tasks` maps a state to its answers."""

    name: str
    expect: Mapping[str, Json]
    input: Json = field(default_factory=dict)
    tasks: Mapping[str, list[dict[str, Json]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What one interpreter made of it; `calls` are (state, effective input), `faults` unused answers."""

    status: str
    output: Json
    error: str | None
    cause: str | None
    path: list[str]
    calls: list[tuple[str, Json]]
    faults: list[str]


def load(path: Path) -> list[Scenario]:
    """Read a scenario file.

    Raises:
        ScenarioError: not JSON, or a scenario has unknown or missing fields.
    """
    try:
        rows = json.loads(path.read_text())
        return [_parse_scenario(name, row) for name, row in rows.items()]
    except (ValueError, AttributeError) as error:
        raise ScenarioError(f"{path} is not a scenario file: {error}") from error


def _parse_scenario(name: str, row: Mapping[str, Json]) -> Scenario:
    unknown = set(row) - {"input", "tasks", "expect"} | set(row.get("expect", {})) - EXPECTABLE
    if unknown or "status" not in row.get("expect", {}):
        raise ScenarioError(f"scenario '{name}' has unknown fields {sorted(unknown)} or no expect.status")
    for state, answers in row.get("tasks", {}).items():
        if not all(("Return" in answer) != ("Throw" in answer) for answer in answers):
            raise ScenarioError(f"scenario '{name}': each answer of '{state}' is either a Return or a Throw")
    return Scenario(name, row["expect"], row.get("input", {}), row.get("tasks", {}))


EXPECTABLE = {"status", "output", "error", "path"}


class Answers:
    """The answers of one run, handed out once each; the calls made. Safe to use from several threads."""

    def __init__(self, tasks: Mapping[str, list[dict[str, Json]]]) -> None:
        self._left = {state: list(answers) for state, answers in tasks.items()}
        self._lock = threading.Lock()
        self.calls: list[tuple[str, Json]] = []

    def take(self, state: str, effective_input: Json) -> dict[str, Json]:
        """The answer to a call of `state`: {"Return": …} or {"Throw": {"Error": …, "Cause": …}}."""
        with self._lock:
            self.calls.append((state, effective_input))
            for index, answer in enumerate(self._left.get(state, [])):
                if _contains(effective_input, answer.get("When", {})):
                    return self._left[state].pop(index)
        return {"Throw": {"Error": UNANSWERED, "Cause": f"no answer is left for {state}"}}

    def faults(self) -> list[str]:
        """One sentence for each answer that no call has used."""
        return [
            f"{len(left)} answer(s) of {state} were never asked for"
            for state, left in self._left.items()
            if left
        ]


def _contains(whole: Json, part: Json) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and _contains(whole[k], v) for k, v in part.items())
    return bool(whole == part)


def check(definition: Mapping[str, Json], scenario: Scenario) -> list[str]:
    """Run a scenario on both interpreters; one sentence per disagreement, none when all is as expected.

    Args:
        definition: the state machine as a parsed ASL document, all `${…}` substituted.

    Raises:
        ScenarioError: an interpreter refuses the definition.
    """
    from local_cloud.states.interpreters import run_on_ministack, run_on_moto

    outcomes = {
        "ministack": run_on_ministack(definition, scenario),
        "moto": run_on_moto(definition, scenario),
    }
    problems = [
        f"{scenario.name}: {problem}"
        for engine, outcome in outcomes.items()
        for problem in (f"{engine}: {text}" for text in _unexpected(outcome, scenario.expect))
    ]
    return problems + [f"{scenario.name}: {text}" for text in _differences(**outcomes)]


def _unexpected(outcome: Outcome, expect: Mapping[str, Json]) -> list[str]:
    found = [
        f"{name} is {_show(getattr(outcome, name))}, expected {_show(value)}"
        for name, value in expect.items()
        if getattr(outcome, name) != value
    ]
    unanswered = [UNANSWERED in (outcome.error or "") and f"{outcome.cause}"]
    return found + outcome.faults + [text for text in unanswered if text]


def _differences(ministack: Outcome, moto: Outcome) -> list[str]:
    """Where the two outcomes differ; causes of errors that an interpreter itself raises are free text."""
    views: dict[str, Callable[[Outcome], Json]] = {
        "status": lambda o: o.status,
        "output": lambda o: o.output,
        "error": lambda o: o.error,
        "cause": lambda o: None if (o.error or "").startswith("States.") else o.cause,
        "path": lambda o: o.path,
        "task inputs": lambda o: sorted(json.dumps(call, sort_keys=True) for call in o.calls),
    }
    return [
        f"interpreters differ in {name}: ministack {_show(view(ministack))}, moto {_show(view(moto))}"
        for name, view in views.items()
        if view(ministack) != view(moto)
    ]


def _show(value: Json) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 400 else f"{text[:400]}… ({len(text)} characters)"
