"""A disk with no room left: writes that cannot be kept are refused, and nothing acknowledged is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a file system cannot be mounted here; test_a_file_that_cannot_grow stands in for it")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(write: Callable[[str], Any], most: int) -> tuple[list[str], dict[str, Any]]:
    """Call `write` with new names until it is refused; the names acknowledged, and the refusal."""
    done: list[str] = []
    for number in range(most):
        try:
            write(f"{number:05}")
        except ClientError as error:
            return done, dict(error.response)
        done.append(f"{number:05}")
    raise AssertionError(f"{most} writes fitted")


def prepare(client: Client) -> None:
    client("s3").create_bucket(Bucket="bucket")
    client("s3").put_object(Bucket="bucket", Key="old", Body=b"old", Metadata={"age": "old"})
    client("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client("sqs").create_queue(QueueName="queue")


def put_item(client: Client, name: str) -> None:
    client("dynamodb").put_item(TableName="orders", Item={"id": {"S": name}, "text": {"S": "x" * 20_000}})


def send(client: Client, name: str) -> None:
    url = f"{client('sqs').meta.endpoint_url}/000000000000/queue"
    client("sqs").send_message(QueueUrl=url, MessageBody=name + "x" * 20_000)


def list_objects(client: Client) -> set[str]:
    pages = client("s3").get_paginator("list_objects_v2").paginate(Bucket="bucket")
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def list_items(client: Client) -> set[str]:
    pages = client("dynamodb").get_paginator("scan").paginate(TableName="orders")
    return {item["id"]["S"] for page in pages for item in page["Items"]}


def count_messages(client: Client) -> int:
    url = f"{client('sqs').meta.endpoint_url}/000000000000/queue"
    name = "ApproximateNumberOfMessages"
    return int(client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def is_refused(response: dict[str, Any]) -> bool:
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return (response["Error"]["Code"], status) == ("InsufficientStorage", 507)


def test_a_full_disk_refuses_what_it_cannot_keep(small_disk: Path, make_cloud: Callable[..., Any]) -> None:
    own = make_cloud(".scones", small_disk)
    own.up()
    client = own.session()
    prepare(client)
    objects, refused = fill(
        lambda name: client("s3").put_object(Bucket="bucket", Key=name, Body=b"x" * 500_000), 100
    )
    assert is_refused(refused)
    # Something else takes what is left to the last byte, past what the cloud keeps free for itself.
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        any(file.write(b"x" * 4096) == 0 for _ in range(10_000))
    for write in (
        lambda: client("s3").put_object(Bucket="bucket", Key="old", Body=b"new" * 5000),
        lambda: put_item(client, "refused"),
        lambda: send(client, "refused"),
    ):
        with pytest.raises(ClientError) as caught:
            write()
        assert is_refused(dict(caught.value.response))
    assert client("s3").get_object(Bucket="bucket", Key=objects[-1])["Body"].read() == b"x" * 500_000
    own.kill()
    filler.unlink()
    own.up()
    client = own.session()
    assert {*objects, "old"} <= list_objects(client)
    old = client("s3").get_object(Bucket="bucket", Key="old")
    assert (old["Body"].read(), old["Metadata"]) == (b"old", {"age": "old"})
    client("s3").delete_object(Bucket="bucket", Key=objects[0])
    client("s3").delete_object(Bucket="bucket", Key=objects[1])
    put_item(client, "fits again")
    assert list_items(client) == {"fits again"}


def test_a_file_that_cannot_grow(make_cloud: Callable[..., Any]) -> None:
    """The kernel refuses to let any file of the server grow beyond 1 MiB (`ulimit -f`)."""
    own = make_cloud()
    line = 'ulimit -f 2048; exec "$@"'
    start = [sys.executable, "-m", "scones", "up", "--detach", "--state-dir", str(own.state_dir)]
    subprocess.run(["sh", "-c", line, "sh", *start], env=own.environment, check=True, capture_output=True)
    client = own.session()
    prepare(client)
    with pytest.raises(ClientError) as caught:
        client("s3").put_object(Bucket="bucket", Key="old", Body=b"x" * 2_000_000)
    assert is_refused(dict(caught.value.response))
    items, refused = fill(lambda name: put_item(client, name), 2000)
    assert is_refused(refused)
    assert len(items) > 10
    own.kill()
    own.up()
    client = own.session()
    assert set(items) <= list_items(client)
    old = client("s3").get_object(Bucket="bucket", Key="old")
    assert (old["Body"].read(), old["Metadata"]) == (b"old", {"age": "old"})
    send(client, "fits")
    assert count_messages(client) == 1
