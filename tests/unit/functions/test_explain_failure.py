"""explainFailure: whatever failed, an operator gets a sentence, a link and an advice."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

Load = Callable[[str], ModuleType]
PLACE = {"s3_bucket": "photos", "s3_key": "incoming/d/ü 1.png"}


def explain(load: Load, error: str, cause: str, **known: Any) -> dict[str, Any]:
    failed = {**PLACE, **known, "error": {"Error": error, "Cause": cause}}
    result = load("explain_failure").handler({"failed": failed, "execution": "arn:1"}, None)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("outcome", ["LowConfidence", "InvalidImage", "EndpointUnavailable"])
def test_a_named_failure_keeps_its_name_and_words(load: Load, outcome: str) -> None:
    cause = json.dumps({"errorType": outcome, "errorMessage": "what happened", "stackTrace": []})
    problem = explain(load, outcome, cause, checkin_id="c", driver_id="d")
    assert (problem["outcome"], problem["message"]) == (outcome, "what happened")
    assert problem["advice"]
    assert problem["execution"] == "arn:1"


@pytest.mark.parametrize(
    ("error", "cause", "message"),
    [
        ("KeyError", '{"errorMessage": "\'s3_key\'"}', "KeyError: 's3_key'"),
        ("Lambda.Unknown", "the runtime exited", "Lambda.Unknown: the runtime exited"),
        ("States.Timeout", "", "States.Timeout: no cause was given"),
        ("ClientError", "[1, 2]", "ClientError: [1, 2]"),
    ],
)
def test_any_other_failure_is_an_internal_error_that_says_which(
    load: Load, error: str, cause: str, message: str
) -> None:
    problem = explain(load, error, cause)
    assert (problem["outcome"], problem["message"]) == ("InternalError", message)


def test_a_checkin_that_failed_before_it_was_known_can_still_be_recorded(load: Load) -> None:
    problem = explain(load, "InvalidImage", '{"errorMessage": "no photo"}')
    assert problem["checkin_id"] == "photos/incoming/d/ü 1.png@"
    assert problem["driver_id"] == "unknown"
    assert problem["copy_source"] == "photos/incoming/d/%C3%BC%201.png"


def test_the_link_is_signed_ends_and_is_not_logged(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    problem = explain(load, "LowConfidence", "{}")
    assert "X-Amz-Signature=" in problem["image_url"]
    assert "X-Amz-Expires=43200" in problem["image_url"]
    assert problem["image_url"] not in capsys.readouterr().out
