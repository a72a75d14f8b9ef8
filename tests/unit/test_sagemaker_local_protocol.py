"""Requests, responses and kept records, without HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sagemaker_local import create_app
from sagemaker_local.api.operations import OPERATIONS
from sagemaker_local.api.records import Listing, list_records
from sagemaker_local.config import Config
from sagemaker_local.errors import ApiError, StateError
from sagemaker_local.images import Image, find_image
from sagemaker_local.protocol import check_request, read_target, write_response
from sagemaker_local.store import FORMAT, Store

ROLE = "arn:aws:iam::000000000000:role/x"


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({}, "ValidationException", "1 validation error detected: Value null at 'modelName' failed"),
        ({"ModelName": 5}, "SerializationException", "modelName must be of type string"),
        ([], "SerializationException", "the request must be of type structure"),
        ({"ModelName": "bad name"}, "ValidationException", "Value 'bad name' at 'modelName'"),
        ({"ModelName": "x" * 64}, "ValidationException", "2 validation errors|less than or equal to 63"),
        ({"ModelName": "x", "EnableNetworkIsolation": "yes"}, "SerializationException", "type boolean"),
        (
            {"ModelName": "x", "Containers": [{"Mode": "Other"}]},
            "ValidationException",
            r"containers.1.member.mode' failed to satisfy constraint.*enum value set: \[Single",
        ),
        ({"ModelName": "x", "Tags": [{"Key": "k"}]}, "ValidationException", "tags.1.member.value"),
    ],
)
def test_requests_are_refused_in_sagemakers_words(request_: Any, code: str, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        check_request("sagemaker", "CreateModel", request_)
    assert caught.value.code == code


def test_a_good_request_passes() -> None:
    check_request("sagemaker", "CreateModel", {"ModelName": "a-1", "ExecutionRoleArn": ROLE, "Unknown": 1})


@pytest.mark.parametrize("target", ["", "SageMaker.Nothing", "Other.CreateModel"])
def test_unknown_operations_are_named(target: str) -> None:
    with pytest.raises(ApiError, match="does not exist") as caught:
        read_target(target)
    assert caught.value.code == "UnknownOperationException"


def test_a_fault_in_an_operation_is_an_internal_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(plane: object, request: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setitem(OPERATIONS, "ListModels", fail)
    app = create_app(Config(tmp_path, "http://127.0.0.1:9", "key", "secret"))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"x-amz-target", b"SageMaker.ListModels")]
    asyncio.run(app({"type": "http", "path": "/", "headers": headers}, receive, send))
    app.plane.store.close()
    assert (sent[0]["status"], json.loads(sent[1]["body"])["__type"]) == (500, "InternalFailure")
    assert b"secret" not in sent[1]["body"]


def test_responses_are_cut_to_the_model() -> None:
    record = {
        "ModelName": "m",
        "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
        "Secret": 1,
        "ModelArn": None,
    }
    answer = write_response("sagemaker", "DescribeModel", record)
    assert answer == {"ModelName": "m", "CreationTime": 1767225600.0}


def test_the_first_image_that_matches_wins() -> None:
    images = (Image("a.*", serve=("1",)), Image("ab", serve=("2",)))
    assert find_image(images, "ab").serve == ("1",)
    with pytest.raises(ApiError, match="No command is registered for the image xab"):
        find_image(images, "xab")


def make_records(count: int) -> list[dict[str, Any]]:
    return [
        {"Name": f"n{i}", "Status": "Ok" if i % 2 else "Bad", "CreationTime": float(i)} for i in range(count)
    ]


def test_pages_follow_each_other_without_gap() -> None:
    listing, seen, token = Listing("Names", "Name", "Status"), [], None
    while True:
        page = list_records(
            {"MaxResults": 3, **({"NextToken": token} if token else {})}, make_records(8), listing
        )
        seen += [record["Name"] for record in page["Names"]]
        token = page.get("NextToken")
        if token is None:
            break
    assert seen == [f"n{i}" for i in reversed(range(8))]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        ({"StatusEquals": "Ok"}, ["n3", "n1"]),
        ({"CreationTimeAfter": 2.0}, ["n3", "n2"]),
        ({"CreationTimeBefore": 1.0, "SortOrder": "Ascending"}, ["n0", "n1"]),
        ({"NameContains": "N2"}, ["n2"]),
        ({"SortBy": "Status", "SortOrder": "Ascending"}, ["n0", "n2", "n1", "n3"]),
    ],
)
def test_lists_are_filtered_and_sorted(request_: dict[str, Any], names: list[str]) -> None:
    page = list_records(request_, make_records(4), Listing("Names", "Name", "Status"))
    assert [record["Name"] for record in page["Names"]] == names


def test_records_outlive_the_program_and_names_are_taken_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite")
    assert store.add("model", "m", "arn:m", {"ModelName": "m"})
    assert not store.add("model", "m", "arn:m", {"ModelName": "other"})
    store.change("model", "m", lambda record: record.update(Seen=1))
    # No close: what was acknowledged is on disk.
    again = Store(tmp_path / "state.sqlite")
    record = again.find("model", "m")
    assert record is not None
    assert (record["ModelName"], record["Seen"]) == ("m", 1)
    assert again.find_arn("arn:m") == ("model", "m")
    assert again.remove("model", "m")
    assert not again.remove("model", "m")
    store.close()
    again.close()


def test_a_transaction_is_all_or_nothing_and_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.sqlite")
    store.add("counter", "c", "", {"value": 0})

    def count() -> None:
        for _ in range(50):
            store.change("counter", "c", lambda record: record.update(value=record["value"] + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (store.find("counter", "c") or {})["value"] == 200
    with contextlib.suppress(RuntimeError), store.transaction():
        store.add("model", "m", "", {})
        raise RuntimeError
    assert store.find("model", "m") is None
    store.close()


def test_another_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as database:
        database.execute(f"pragma user_version = {FORMAT + 1}")
    database.close()
    with pytest.raises(StateError, match=f"has format {FORMAT + 1}"):
        Store(path)
