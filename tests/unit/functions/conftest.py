"""Handlers are loaded from their files, as Lambda does, and talk to moto's S3, DynamoDB, SQS and SNS."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scones.aws.templates import read_template

FUNCTIONS = Path(__file__).parents[3] / "functions"
TEMPLATE = Path(__file__).parents[3] / "template.yaml"
CREATE_TABLE = {"BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes"}


@cache
def load_handler(name: str) -> ModuleType:
    """The handler and its clients, kept: making a client takes longer than most tests."""
    spec = importlib.util.spec_from_file_location(f"handler_{name}", FUNCTIONS / name / "app.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def read_tables() -> dict[str, dict[str, Any]]:
    resources = read_template(TEMPLATE)["Resources"]
    return {name: resources[f"{name.title()}Table"]["Properties"] for name in ("orders", "bays", "checkins")}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """`load("serialize_image")` gives the handler's module."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    return load_handler


@pytest.fixture(scope="module")
def cloud() -> Iterator[None]:
    """One for each file, because it takes a second; tests tell their things apart by name."""
    with mock_aws():
        yield


@cache
def make(service: str) -> Any:
    return boto3.resource(service)


@pytest.fixture
def bucket(cloud: None, load: object) -> Any:
    return make("s3").create_bucket(Bucket=f"photos-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def tables(cloud: None, load: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The three tables, as the template has them."""
    created = {}
    for name, wanted in read_tables().items():
        known = {key: value for key, value in wanted.items() if key in CREATE_TABLE}
        monkeypatch.setenv(f"{name.upper()}_TABLE", f"{name}-{uuid.uuid4().hex[:8]}")
        created[name] = make("dynamodb").create_table(TableName=os.environ[f"{name.upper()}_TABLE"], **known)
    return created
