"""A stack is updated with what it was made with, as far as the template still knows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scones.aws.sessions import Cloud
from scones.aws.stacks import execute, prepare


def write(path: Path, *parameters: str) -> Path:
    known = {name: {"Type": "String", "Default": "x"} for name in parameters}
    topics = {f"{name}Topic": {"Type": "AWS::SNS::Topic"} for name in parameters}
    path.write_text(json.dumps({"Parameters": known, "Resources": topics}))
    return path


def test_a_parameter_that_the_template_has_no_more_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[list[Any]] = []
    with mock_aws():
        cloud = Cloud(boto3.Session("key", "secret", region_name="us-east-1"), "local")
        cloud.client("cloudformation").meta.events.register(
            "provide-client-params.cloudformation.CreateChangeSet",
            lambda params, **_: named.append(params["Parameters"]),
        )
        made = prepare(cloud, "scones", write(tmp_path / "t.json", "Old", "Kept"), {"Kept": "y"})
        assert made
        execute(cloud, made, lambda *_: None)
        prepare(cloud, "scones", write(tmp_path / "t.json", "Kept", "New"), {})
    assert named[1] == [{"ParameterKey": "Kept", "UsePreviousValue": True}]
