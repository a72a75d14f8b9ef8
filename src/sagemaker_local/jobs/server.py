"""A serving container for batch transform: started, waited for, asked."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

from sagemaker_local.errors import JobError
from sagemaker_local.jobs.process import Command, Process

_STARTUP_SECONDS = 240.0
_PING_SECONDS = 2.0


def find_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """The container's HTTP side on `port` (your-algorithms-batch-code.md)."""

    def __init__(self, process: Process, port: int) -> None:
        self._process = process
        self._port = port

    def wait_until_ready(self, stop: threading.Event) -> None:
        """Until /ping answers 200 or the job is stopped. Raises JobError when it never will."""
        deadline = time.monotonic() + _STARTUP_SECONDS
        while not stop.wait(0.05):
            if self._process.poll() is not None:
                raise JobError("AlgorithmError: The container ended before it answered /ping. See job logs.")
            if time.monotonic() > deadline:
                raise JobError(f"AlgorithmError: /ping did not answer 200 within {_STARTUP_SECONDS:g} s.")
            try:
                if self.request("GET", "/ping", timeout=_PING_SECONDS)[0] == 200:
                    return
            except OSError:
                continue

    def read_parameters(self) -> dict[str, Any]:
        """GET /execution-parameters: MaxConcurrentTransforms, BatchStrategy, MaxPayloadInMB; or nothing."""
        try:
            status, body = self.request("GET", "/execution-parameters", timeout=_PING_SECONDS)
            parameters = json.loads(body) if status == 200 else {}
        except (OSError, ValueError):
            return {}
        return parameters if isinstance(parameters, dict) else {}

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> tuple[int, bytes]:
        """Status and body. Raises OSError when it does not answer in time."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"bad answer: {error!r}") from error
        finally:
            connection.close()


def with_port(command: Command, port: int) -> Command:
    """The command, told where to listen."""
    environment = {**command.environment, "SAGEMAKER_BIND_TO_PORT": str(port)}
    return Command(command.argv, environment, command.folder, command.mounts)
