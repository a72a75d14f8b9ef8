"""Distributed Maps: batches of items, and results written to S3."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from ..lambdas.conftest import Cloud
from .conftest import Machines


def distributed(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "One",
        "States": {"One": {"End": True, **state}},
    }
    each = {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor, "End": True, **more}
    return {"StartAt": "Each", "States": {"Each": each}}


@pytest.fixture
def bucket(cloud: Cloud) -> str:
    name = f"results-{uuid.uuid4().hex}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


def read(cloud: Cloud, bucket: str, key: str) -> Any:
    return json.loads(cloud.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def test_items_are_batched(machines: Machines) -> None:
    batcher = {"MaxItemsPerBatch": 3, "BatchInput": {"model.$": "$.model"}}
    selector = {"key.$": "$$.Map.Item.Value", "at.$": "$$.Map.Item.Index"}
    machine = distributed({"Type": "Pass"}, ItemBatcher=batcher, ItemSelector=selector)
    found = machines.run(machine, {"items": list("abcdefg"), "model": "m1"})
    batches = json.loads(found["output"])
    assert [len(batch["Items"]) for batch in batches] == [3, 3, 1]
    assert {batch["BatchInput"]["model"] for batch in batches} == {"m1"}
    items = [item for batch in batches for item in batch["Items"]]
    assert items == [{"key": key, "at": at} for at, key in enumerate("abcdefg")]


def test_batches_are_limited_in_bytes(machines: Machines) -> None:
    machine = distributed({"Type": "Pass"}, ItemBatcher={"MaxInputBytesPerBatchPath": "$.limit"})
    found = machines.run(machine, {"items": ["x" * 100] * 5, "limit": 250})
    batches = json.loads(found["output"])
    assert [len(batch["Items"]) for batch in batches] == [2, 2, 1]
    assert all(len(json.dumps(batch)) <= 250 for batch in batches)


def test_items_of_an_object_are_batched(cloud: Cloud, machines: Machines, bucket: str) -> None:
    cloud.client("s3").put_object(Bucket=bucket, Key="items.json", Body=json.dumps(list(range(5))))
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Parameters": {"Bucket": bucket, "Key": "items.json"},
    }
    machine = distributed({"Type": "Pass"}, ItemReader=reader, ItemBatcher={"MaxItemsPerBatch": 4})
    del machine["States"]["Each"]["ItemsPath"]
    assert json.loads(machines.run(machine)["output"]) == [{"Items": [0, 1, 2, 3]}, {"Items": [4]}]


def writer(bucket: str) -> dict[str, Any]:
    parameters = {"Bucket": bucket, "Prefix.$": "$.prefix"}
    return {"Resource": "arn:aws:states:::s3:putObject", "Parameters": parameters}


def test_results_are_written_and_named_in_the_output(cloud: Cloud, machines: Machines, bucket: str) -> None:
    machine = distributed({"Type": "Pass"}, ResultWriter=writer(bucket), ResultPath="$.written")
    found = machines.run(machine, {"items": [1, 2, 3], "prefix": "runs/"})
    output = json.loads(found["output"])
    assert output["items"] == [1, 2, 3]
    details = output["written"]["ResultWriterDetails"]
    assert details["Bucket"] == bucket
    assert details["Key"].startswith("runs/")
    manifest = read(cloud, bucket, details["Key"])
    assert manifest["MapRunArn"] == output["written"]["MapRunArn"]
    rows = read(cloud, bucket, manifest["ResultFiles"]["SUCCEEDED"][0]["Key"])
    assert sorted(json.loads(row["Output"]) for row in rows) == [1, 2, 3]
    assert {row["Status"] for row in rows} == {"SUCCEEDED"}


def test_items_that_cannot_be_read_say_so(machines: Machines, bucket: str) -> None:
    reader = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": bucket, "Key": "none"}}
    machine = distributed({"Type": "Pass"}, ItemReader=reader, ResultWriter=writer(bucket))
    del machine["States"]["Each"]["ItemsPath"]
    found = machines.run(machine, {"prefix": "p"})
    assert found["status"] == "FAILED"
    assert "IndexError" not in found["error"] + found["cause"]
    assert "index out of range" not in found["cause"], found


def test_failures_are_written_too(cloud: Cloud, machines: Machines, bucket: str) -> None:
    fail = {"Type": "Pass", "Parameters": {"x.$": "$.missing"}}
    found = machines.run(distributed(fail, ResultWriter=writer(bucket)), {"items": [{}, {}], "prefix": "p"})
    assert found["error"] == "States.ExceedToleratedFailureThreshold"
    keys = [item["Key"] for item in cloud.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    rows = read(cloud, bucket, next(key for key in keys if key.endswith("FAILED_0.json")))
    assert [row["Error"] for row in rows] == ["States.Runtime"] * 2
