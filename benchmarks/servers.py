"""The servers that `local_cloud.py` compares, each in processes of its own, and a meter for what they use."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT_KEYS = {"AWS_ACCESS_KEY_ID": "benchmark", "AWS_SECRET_ACCESS_KEY": "benchmark"}
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running server; `pids` are the roots of its process trees."""

    name: str
    variables: dict[str, str]
    pids: tuple[int, ...]
    runs_code: bool = True  # moto answers Lambda calls without running anything, unless it has Docker

    def client(self, service: str) -> Any:
        """A boto3 client that tries once and has room for many threads."""
        session = boto3.Session(
            self.variables["AWS_ACCESS_KEY_ID"],
            self.variables["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )
        settings = Config(retries={"total_max_attempts": 1}, max_pool_connections=64, read_timeout=300)
        return session.client(service, endpoint_url=self.variables["AWS_ENDPOINT_URL"], config=settings)


@contextmanager
def serve_scones() -> Iterator[Server]:
    """`scones up`, as a user starts it: with signatures checked, IAM enforced and everything durable."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "scones"]
        where = ["--state-dir", f"{directory}/state"]
        told = json.loads(_output([*command, "up", *where, "--detach", "--json"]))
        try:
            variables = json.loads(_output([*command, "env", *where, "--json"]))
            yield Server("scones", variables, (told["keeper_pid"],))
        finally:
            _output([*command, "down", *where])


@contextmanager
def serve_ministack() -> Iterator[Server]:
    """ministack as it comes: no signatures, no IAM, nothing kept."""
    port = _free_port()
    settings = {"GATEWAY_PORT": str(port), "LOG_LEVEL": "ERROR", "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0"}
    with _process([sys.executable, "-m", "ministack"], settings, port) as pid:
        yield Server("ministack", _variables(port), (pid,))


@contextmanager
def serve_moto() -> Iterator[Server]:
    """moto server, executing state machines; its Lambda returns the event without running the function."""
    port = _free_port()
    with _process([sys.executable, "-m", "moto.server", "-p", str(port)], {}, port) as pid:
        config = {"stepfunctions": {"execute_state_machine": True}, "lambda": {"use_docker": False}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/moto-api/config", json.dumps(config).encode()
        )
        urllib.request.urlopen(request).read()
        yield Server("moto", _variables(port), (pid,), runs_code=False)


def _variables(port: int) -> dict[str, str]:
    return {**ACCOUNT_KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1"}


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def _process(command: list[str], settings: dict[str, str], port: int) -> Iterator[int]:
    own = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    environment = {**os.environ, **ACCOUNT_KEYS, **own, **settings}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _await_port(port)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing listens at port {port}")


class Meter:
    """CPU time and peak memory of process trees while a block runs.

    Memory is the sum of proportional set sizes, so that pages shared between processes count once.
    """

    def __init__(self, roots: tuple[int, ...], interval: float = 0.5) -> None:
        self._roots = roots
        self._interval = interval
        self._done = threading.Event()
        self.peak_memory_mb = 0.0
        self.peak_processes = 0
        self.cpu_seconds = 0.0

    def __enter__(self) -> Meter:
        self._before = self._cpu()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.cpu_seconds = self._cpu() - self._before

    def _watch(self) -> None:
        while True:
            tree = process_tree(self._roots)
            memory = sum(_tolerant(_proportional_set_size, pid) for pid in tree) / 1024
            self.peak_memory_mb = max(self.peak_memory_mb, memory)
            self.peak_processes = max(self.peak_processes, len(tree))
            if self._done.wait(self._interval):
                return

    def _cpu(self) -> float:
        return sum(_tolerant(_cpu_seconds, pid) for pid in process_tree(self._roots))


def process_tree(roots: tuple[int, ...]) -> list[int]:
    """The processes `roots` and all that descend from them."""
    parents = {int(path.name): _tolerant(_parent, int(path.name)) for path in Path("/proc").glob("[0-9]*")}
    tree = list(roots)
    for pid in tree:
        tree += [child for child, parent in parents.items() if parent == pid and child not in tree]
    return tree


def _tolerant(measure: Callable[[int], float], pid: int) -> float:
    try:
        return measure(pid)
    except (OSError, IndexError):  # it has ended meanwhile
        return 0


def _fields(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _parent(pid: int) -> float:
    return int(_fields(pid)[1])


def _cpu_seconds(pid: int) -> float:
    """User and system time, its own and that of children it has waited for."""
    return sum(map(int, _fields(pid)[11:15])) / TICKS


def _proportional_set_size(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
