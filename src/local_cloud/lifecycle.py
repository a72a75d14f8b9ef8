"""Start, stop and look at a local cloud from outside its process.

    start() ── keeper.py ── python -m local_cloud (the server) ── Lambda runtimes, jobs, model servers

The lock file is opened and locked here and inherited by keeper and server: the kernel frees it when the last
of them is gone, so a lock is never stale, and whoever can take it knows that nothing runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path

from local_cloud import keeper
from local_cloud.cloud import PORT, Places, read_credentials
from local_cloud.errors import AlreadyRunning, NotReady, NotRunning, StartFailed

LOG_BYTES = 10 * 1024**2


@dataclass(frozen=True)
class Running:
    """What is known of a running cloud."""

    endpoint_url: str
    port: int
    region: str
    account_id: str
    server_pid: int
    keeper_pid: int
    started: str


@dataclass(frozen=True)
class Start:
    """How to start. `port` None: 4566, or any free one if that is taken. `mounts` maps a SigV4 service name
    to `module:factory`; the factory takes the Cloud and returns an ASGI application."""

    port: int | None = None
    region: str = "us-east-1"
    mounts: Mapping[str, str] | None = None
    detach: bool = True
    timeout: float = 120.0


def start(root: Path, how: Start) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start the cloud whose state lies in `root` and wait until it is ready.

    Returns what is known of it and the keeper's process, which ends when the cloud has. Raises AlreadyRunning
    or StartFailed (damaged state included).
    """
    places = Places(root.absolute())
    places.make()
    _rotate(places.log)
    with _lock(places) as lock:
        command = _command(places, how)
        places.running.unlink(missing_ok=True)  # left by the last run
        ready, done = os.pipe()
        try:
            with open(places.log, "ab") as log:
                process = subprocess.Popen(
                    [*command, "--ready-fd", str(done), "--lock-fd", str(lock)],
                    pass_fds=(done, lock),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=how.detach,
                )
        finally:
            os.close(done)
        return _await_ready(ready, process, places, how.timeout), process


def stop(root: Path, timeout: float = 30.0) -> Running:
    """Stop the cloud of `root`; returns what ran when no process of it is left. Raises NotRunning."""
    running = _need_running(root)
    for number, patience in ((signal.SIGTERM, timeout), (signal.SIGKILL, 10.0)):
        _signal(running.server_pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not is_locked(root):
                return running
            time.sleep(0.05)
    raise StartFailed(f"The local cloud (process {running.server_pid}) does not end.", "Kill it by hand.")


def find_running(root: Path) -> Running | None:
    """What runs on `root`, or None."""
    places = Places(root.absolute())
    if not is_locked(root):
        return None
    try:
        found = json.loads(places.running.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # it is only just starting
    return Running(**{entry.name: found[entry.name] for entry in fields(Running)})


def environment(root: Path) -> dict[str, str]:
    """The variables that make any AWS program use the cloud of `root`. Raises NotRunning."""
    running = _need_running(root)
    credentials = read_credentials(Places(root.absolute()))
    return {
        "AWS_ENDPOINT_URL": running.endpoint_url,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_REGION": running.region,
        "AWS_DEFAULT_REGION": running.region,
    }


def _need_running(root: Path) -> Running:
    running = find_running(root)
    if running is None and is_locked(root):
        raise NotReady(f"The local cloud of {root} is just starting or stopping.", "Try again in a moment.")
    if running is None:
        raise NotRunning(f"No local cloud runs on {root}.", "Start one first.")
    return running


def memory(running: Running) -> int:
    """Resident memory of the cloud's server in bytes; 0 where /proc does not tell."""
    try:
        pages = int(Path(f"/proc/{running.server_pid}/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _command(places: Places, how: Start) -> list[str]:
    keep = [sys.executable, "-I", "-S", keeper.__file__, *(() if how.detach else ("--with-parent",))]
    serve = [sys.executable, "-m", "local_cloud", "--state-dir", str(places.root), "--region", how.region]
    serve += ["--port", str(how.port)] if how.port is not None else []
    serve += ["--usual-port", str(_find_usual_port(places))]
    mounts = (how.mounts or {}).items()
    return keep + serve + [part for scope, factory in mounts for part in ("--mount", f"{scope}={factory}")]


def _find_usual_port(places: Places) -> int:
    """The port of the last run, so that addresses noted somewhere stay true; 4566 for the first one."""
    try:
        return int(json.loads(places.running.read_text(encoding="utf-8"))["port"])
    except (OSError, ValueError, KeyError):
        return PORT


@contextmanager
def _lock(places: Places) -> Iterator[int]:
    lock = os.open(places.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for attempt in range(10):  # a status command may be looking at this very moment
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 9:
                    raise _refuse(places) from None
                time.sleep(0.05)
        yield lock
    finally:
        os.close(lock)


def _refuse(places: Places) -> AlreadyRunning:
    running = find_running(places.root)
    where = f" at {running.endpoint_url} (process {running.server_pid})" if running else ""
    hint = "Use it, stop it, or give another state directory."
    return AlreadyRunning(f"A local cloud already runs on {places.root}{where}.", hint)


def is_locked(root: Path) -> bool:
    """Whether any process of a cloud of `root` lives."""
    path = Places(root.absolute()).lock
    if not path.exists():
        return False
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _await_ready(ready: int, process: subprocess.Popen[bytes], places: Places, timeout: float) -> Running:
    # The server writes one line of JSON when it is ready or has failed; if it dies first, the pipe ends.
    with open(ready, "rb") as pipe:
        line = pipe.readline() if select.select([pipe], [], [], timeout)[0] else b""
    if not line:
        process.terminate()
        process.wait()
        raise StartFailed("The local cloud did not become ready.", f"Its log is {places.log}.")
    told = json.loads(line)
    if "error" in told:
        process.wait()
        raise StartFailed(told["error"], told["hint"])
    return Running(**told)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
