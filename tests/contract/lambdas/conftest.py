"""A running Lambda service: ministack behind uvicorn on a free port, with our pool as its executor."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Read by ministack when it is imported.
os.environ.update({"PERSIST_STATE": "0", "S3_PERSIST": "0", "LOG_LEVEL": "ERROR"})

import boto3
import uvicorn
from botocore.config import Config

from local_cloud import lambdas, states
from local_cloud.lambdas.pool import Limits

ROLE = "arn:aws:iam::000000000000:role/handler"


@dataclass(frozen=True)
class Cloud:
    """A server to talk to; `client` makes boto3 clients for it."""

    url: str
    directory: Path
    close: Callable[[], None] = lambda: None

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="AKIATEST",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )

    def create_function(self, name: str, source: str, **settings: Any) -> str:
        """Deploy a one-file Python function `app.py`; its name."""
        code = {"ZipFile": archive({"app.py": source})}
        defaults = {"Runtime": "python3.11", "Handler": "app.handler", "Role": ROLE, "Timeout": 20}
        self.client("lambda").create_function(FunctionName=name, Code=code, **{**defaults, **settings})
        return name


def archive(files: dict[str, str]) -> bytes:
    """A zip archive of text files by path."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for path, text in files.items():
            target.writestr(path, text)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def serve() -> Iterator[str]:
    """The URL of ministack, served by a thread of this process."""
    from ministack import app

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app.app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def start(serve: str, tmp_path: Path) -> Iterator[Callable[[Limits], Cloud]]:
    """Start a cloud with its own limits; it ends with the test."""
    states.install()
    services = []

    def start_with(limits: Limits) -> Cloud:
        services.append(lambdas.install(tmp_path, serve, limits))
        return Cloud(serve, tmp_path, services[-1].close)

    yield start_with
    client = Cloud(serve, tmp_path).client("lambda")
    for function in client.list_functions()["Functions"]:
        client.delete_function(FunctionName=function["FunctionName"])
    for service in services:
        service.close()


@pytest.fixture
def cloud(start: Callable[[Limits], Cloud]) -> Cloud:
    """A cloud with the default limits."""
    return start(Limits())
