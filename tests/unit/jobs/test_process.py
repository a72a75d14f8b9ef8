"""One container as one process: its lines, its end, its death with the program that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sagemaker_local.jobs.namespace import can_mount
from sagemaker_local.jobs.process import Command, Limits, Outcome, Process
from sagemaker_local.jobs.queue import Stop

DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""


def start(script: str, folder: Path, lines: list[str], mount: str = "") -> Process:
    environment = {"PATH": os.environ["PATH"], "OWN": "yes"}
    return Process(
        Command((sys.executable, "-c", script), environment, folder, {mount: folder} if mount else {}),
        lines.append,
    )


def wait_for_line(lines: list[str]) -> None:
    deadline = time.monotonic() + 30
    while not lines:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_and_exit_code_come_back_and_nothing_is_inherited(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "import os, sys; print(sorted(set(os.environ) - {'LC_CTYPE', 'PATH'})); print('é'); sys.exit(3)"
    outcome = start(script, tmp_path, lines).wait(Stop(), Limits(60, 1))
    assert outcome == Outcome(3, "exited")
    assert lines == ["['OWN']", "é"]


def test_a_signal_shows_in_the_exit_code(tmp_path: Path) -> None:
    outcome = start("import os; os.kill(os.getpid(), 9)", tmp_path, []).wait(Stop(), Limits(60, 1))
    assert outcome == Outcome(128 + 9, "exited")


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    process = Process(Command(("/nowhere/program",), {}, tmp_path), lines.append)
    assert process.wait(Stop(), Limits(60, 1)).exit_code == 127
    assert lines == ["/nowhere/program cannot be started: No such file or directory"]


def test_a_stop_that_is_not_heard_becomes_a_kill(tmp_path: Path) -> None:
    lines: list[str] = []
    process, stop = start(DEAF, tmp_path, lines), Stop()
    wait_for_line(lines)
    stop.set()
    assert process.wait(stop, Limits(60, 0.2)).ending == "stopped"


def test_a_shutdown_does_not_wait_for_the_documented_two_minutes(tmp_path: Path) -> None:
    lines: list[str] = []
    process, stop = start(DEAF, tmp_path, lines), Stop()
    wait_for_line(lines)
    stop.shutdown = True
    stop.set()
    begun = time.monotonic()
    process.wait(stop, Limits(60, 120))
    assert time.monotonic() - begun < 60


def test_time_runs_out(tmp_path: Path) -> None:
    process = start("import time; time.sleep(60)", tmp_path, [])
    assert process.wait(Stop(), Limits(0.1, 1)).ending == "timeout"


def test_grandchildren_end_with_the_container(tmp_path: Path) -> None:
    lines: list[str] = []
    script = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(p.pid, flush=True)"
    )
    start(script, tmp_path, lines).wait(Stop(), Limits(60, 1))
    assert not runs(int(lines[0]))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_containers_die_with_the_program_that_started_them(tmp_path: Path) -> None:
    starter = (
        "import sys, time; from pathlib import Path; from sagemaker_local.jobs.process import *\n"
        "script = 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'\n"
        f"Process(Command((sys.executable, '-c', script), {{}}, Path({str(tmp_path)!r})), "
        "lambda line: print(line, flush=True)); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert runs(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while runs(child):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_container_has_its_own_opt_ml(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("this machine lets no process mount a folder for itself")
    lines: list[str] = []
    script = "from pathlib import Path; p = Path('/opt/ml/model'); p.mkdir(); (p / 'x').write_text('1')"
    assert start(script, tmp_path, lines, "/opt/ml").wait(Stop(), Limits(60, 1)).exit_code == 0, lines
    assert (tmp_path / "model/x").read_text() == "1"
