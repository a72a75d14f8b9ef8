"""One main job in real processes, shared by the tests: a small folder of drawn photos, one epoch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_cloud import lifecycle
from synthetic import draw_photos

ROOT = Path(__file__).parents[2]
PATIENCE = 900  # seconds, for a slow machine
# Step -> how long it is left to work (seconds) before it is interrupted.
INTERRUPTIONS = {
    "Starting the local cloud": 0.3,
    "Staging the data": 0.2,
    "Training": 1.0,
    "Evaluating on the test images": 0.2,
    "Registering the model": 0.0,
    "Deploying the endpoint": 0.3,
    "Deploying the application": 0.8,
    "Checking in with the test images": 0.7,
    "Reading what the endpoint captured": 0.2,
    "Writing the report": 0.0,
}


@dataclass(frozen=True)
class Ground:
    """Where a run works, and with what."""

    state: Path
    options: tuple[str, ...]
    variables: dict[str, str]

    def scones(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `scones ARGUMENTS` as a user does."""
        command = [sys.executable, "-m", "scones", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=self.variables
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`scones run` with the options of this ground, and these."""
        return self.scones("run", *self.options, *arguments)

    def interrupt(self, title: str, delay: float, number: signal.Signals) -> tuple[int, str]:
        """Start a run, and send it a signal `delay` seconds into a step; exit code and narration."""
        command = [sys.executable, "-m", "scones", "run", *self.options]
        said = []
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=self.variables
        ) as process:
            guard = threading.Timer(PATIENCE, process.kill)
            guard.start()
            assert process.stderr
            for line in process.stderr:
                said.append(line)
                if line.startswith(f"… {title}"):
                    time.sleep(delay)
                    process.send_signal(number)
            guard.cancel()
        return process.returncode, "".join(said)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of drawn pictures: 30 of each class."""
    return draw_photos(tmp_path_factory.mktemp("photos"), 30, 64)


@pytest.fixture(scope="session")
def ground(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    state = tmp_path_factory.mktemp("ground") / ".scones"
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SCONES_"))},
        "PYTHONPATH": str(ROOT / "src"),
        "SCONES_STATE_DIR": str(state),
        "SCONES_SOURCE": f"folder:{photos}",
    }
    # A shell's background job ignores Ctrl-C, and what it starts inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    made = Ground(state, ("--epochs", "1", "--least-accuracy", "0"), variables)
    yield made
    deadline = time.monotonic() + 60
    while lifecycle.is_locked(state) and time.monotonic() < deadline:  # it may be only just starting
        made.scones("down")


@pytest.fixture(scope="session")
def summary(ground: Ground) -> dict[str, Any]:
    """What a run says at its end, after one run was interrupted in each of its steps: by Ctrl-C and by kill
    -9 in turn, each time going on where the one before was."""
    for number, (title, delay) in enumerate(INTERRUPTIONS.items()):
        by = signal.SIGKILL if number % 2 else signal.SIGINT
        code, said = ground.interrupt(title, delay, by)
        assert code == (-signal.SIGKILL if number % 2 else 130), f"{title}: {code}\n{said}"
        assert [line for line in said.splitlines() if line.startswith("…")][-1] == f"… {title}"
    done = ground.run("--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
