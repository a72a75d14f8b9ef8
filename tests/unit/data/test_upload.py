"""Uploading to S3: a stock moto server in its own process speaks the protocol."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from scones.data import Dataset, read_dataset, stage
from scones.errors import CloudError, UsageError

Make = Callable[..., Path]
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "example",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
}


def find_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    port = find_free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client, with an empty bucket `data`."""
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="data")
    for name in list_etags(client):
        client.delete_object(Bucket="data", Key=name)
    return client


def list_etags(client: Any, prefix: str = "") -> dict[str, str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="data", Prefix=prefix)
    return {entry["Key"]: entry["ETag"].strip('"') for page in pages for entry in page.get("Contents", [])}


def stage_to(to: str, archive: Path, **options: Any) -> tuple[Dataset, int]:
    """Stage, and say how many objects were uploaded before dataset.json."""
    uploads = [0]

    def watch(what: str, _: int, total: int) -> None:
        if what == "Uploading":
            uploads[0] = total

    return stage(str(archive), to, cache_dir=archive.parent, progress=watch, **options), uploads[0]


def expect_etags(archive: Path, **options: Any) -> dict[str, str]:
    folder = archive.parent / "expected"
    stage(str(archive), folder, cache_dir=archive.parent, **options)
    return {
        f"set/{path.relative_to(folder).as_posix()}": hashlib.md5(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_uploads_what_a_folder_would_hold(s3: Any, make_archive: Make) -> None:
    archive = make_archive()
    dataset, uploads = stage_to("s3://data/set", archive)
    assert dataset.location == "s3://data/set"
    assert list_etags(s3) == expect_etags(archive)
    assert uploads == 50 + 4  # images, table and manifests
    assert s3.head_object(Bucket="data", Key="set/" + dataset.images[0].key)["ContentType"] == "image/png"
    assert dataset.digest == read_dataset(archive.parent / "expected").digest


def test_only_changes_are_uploaded(s3: Any, make_archive: Make) -> None:
    archive = make_archive()
    dataset, _ = stage_to("s3://data/set/", archive)
    assert stage_to("s3://data/set", archive)[1] == 0
    s3.put_object(Bucket="data", Key=f"set/{dataset.images[3].key}", Body=b"altered")
    s3.delete_object(Bucket="data", Key=f"set/{dataset.images[7].key}")
    assert stage_to("s3://data/set", archive)[1] == 2
    assert list_etags(s3) == expect_etags(archive)


def test_what_is_no_longer_wanted_is_removed(s3: Any, make_archive: Make) -> None:
    archive = make_archive()
    stage_to("s3://data/set", archive, classes=("apple", "bicycle", "motorcycle"))
    stage_to("s3://data/set", archive)
    assert list_etags(s3) == expect_etags(archive)


RUN = "import sys; from pathlib import Path; from scones.data import stage; "
RUN += "stage(sys.argv[1], 's3://data/set', cache_dir=Path('.'))"


def test_killed_at_any_time_and_started_again(s3: Any, make_archive: Make, tmp_path: Path) -> None:
    archive = make_archive()
    expected = expect_etags(archive)
    chance = random.Random(11)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(archive)], cwd=tmp_path, env=os.environ)
        while process.poll() is None and "set/dataset.json.staging" not in list_etags(s3):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.wait()
        present = list_etags(s3)
        assert "set/dataset.json" not in present or expected.items() <= present.items()
        if "set/dataset.json" in present:  # it was quicker than the kill: make the next one work again
            s3.delete_object(Bucket="data", Key="set/dataset.json")
            s3.put_object(Bucket="data", Key="set/train/stale.png", Body=b"stale")
            s3.put_object(Bucket="data", Key="set/dataset.json.staging", Body=b"")
    stage_to("s3://data/set", archive)
    assert list_etags(s3) == expected


def test_a_prefix_that_holds_something_else(s3: Any, make_archive: Make) -> None:
    archive = make_archive()
    for key in ("set/notes.txt", "set/train/mine.png"):
        s3.put_object(Bucket="data", Key=key, Body=b"precious")
        with pytest.raises(CloudError, match="no part of a dataset"):
            stage_to("s3://data/set", archive)
        assert list(list_etags(s3)) == [key]
        s3.delete_object(Bucket="data", Key=key)


def test_no_such_bucket(s3: Any, make_archive: Make) -> None:
    with pytest.raises(CloudError, match="There is no bucket 'none'"):
        stage_to("s3://none/set", make_archive())
    with pytest.raises(UsageError, match="names no bucket"):
        stage_to("s3:///set", make_archive())
    with pytest.raises(CloudError, match="s3://a b/set"):
        stage_to("s3://a b/set", make_archive())


def test_no_endpoint(make_archive: Make, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{find_free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(CloudError, match="S3 cannot be reached for s3://data/set"):
        stage_to("s3://data/set", make_archive())


class Refusing(BaseHTTPRequestHandler):
    """S3's answer to someone without rights."""

    def do_GET(self) -> None:
        body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_a_bucket_that_refuses(make_archive: Make, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(
            CloudError, match="S3 refuses ListObjectsV2 on s3://data/set: AccessDenied"
        ) as caught:
            stage_to("s3://data/set", make_archive())
        assert "credentials" in caught.value.hint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
