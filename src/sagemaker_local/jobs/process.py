"""One container as one supervised process: lines out, stop and time limit in."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from sagemaker_local.jobs.namespace import GUARD
from sagemaker_local.jobs.queue import Stop

_POLL_SECONDS = 0.05
_LINE_BYTES = 256 * 1024 - 64
"""What CloudWatch Logs takes in one event; longer lines are cut into pieces."""

Ending = Literal["exited", "stopped", "timeout"]


@dataclass(frozen=True)
class Command:
    """What to run, with which environment (nothing is inherited), where.

    `mounts`: paths, such as /opt/ml, and what the program alone sees there (see `namespace.can_mount`).
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    mounts: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a process ended: by itself, because it was asked to, or because its time was up."""

    exit_code: int
    ending: Ending


@dataclass(frozen=True)
class Limits:
    """Seconds it may run, and seconds between SIGTERM and SIGKILL."""

    runtime: float
    grace: float


class Process:
    """A running container; it dies with this program, whatever happens to this program."""

    def __init__(self, command: Command, on_line: Callable[[str], None]) -> None:
        """Start it; `on_line` gets every line of its output, from another thread."""
        reading, self._lifeline = os.pipe()
        mounts = [part for at, what in command.mounts.items() for part in ("--mount", at, str(what))]
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), *mounts, str(reading), *command.argv],
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reading,),
                start_new_session=True,
            )
        finally:
            os.close(reading)
        assert self._popen.stdout is not None
        self._reader = threading.Thread(target=_read_lines, args=(self._popen.stdout, on_line), daemon=True)
        self._reader.start()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._popen.poll()

    def wait(self, stop: Stop, limits: Limits) -> Outcome:
        """Until it ended by itself, was stopped, or ran out of time; its last line was then delivered."""
        ending = self._watch(stop, time.monotonic() + limits.runtime)
        if ending != "exited":
            self.stop(stop.limit(limits.grace))
        code = self._popen.wait()
        self.close()
        return Outcome(code, ending)

    def _watch(self, stop: threading.Event, deadline: float) -> Ending:
        while self.poll() is None:
            if stop.wait(_POLL_SECONDS):
                return "stopped"
            if time.monotonic() > deadline:
                return "timeout"
        return "exited"

    def stop(self, grace: float) -> None:
        """SIGTERM, then SIGKILL to all of it after `grace` seconds."""
        self._popen.terminate()
        try:
            self._popen.wait(grace)
        except subprocess.TimeoutExpired:
            self.close()

    def close(self) -> None:
        """Kill what is left of it, and wait for its last line."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        self._popen.wait()
        self._reader.join(timeout=5)


def _read_lines(stream: IO[bytes], on_line: Callable[[str], None]) -> None:
    with stream:
        while line := stream.readline(_LINE_BYTES):
            on_line(line.decode(errors="replace").rstrip("\r\n"))
