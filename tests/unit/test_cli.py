"""The command line as a user meets it: a real process, its output and its exit code."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from local_cloud.cloud import Places
from scones import __version__
from scones.cli.doctor import PACKAGES, check_packages
from scones.cli.endpoint import name_probabilities
from scones.errors import UsageError

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def run_scones(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scones", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_version() -> None:
    assert run_scones("--version").stdout.strip().endswith(__version__)


def test_help_names_every_command() -> None:
    done = run_scones("--help")
    assert done.returncode == 0
    assert "doctor" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "message"),
    [
        (["nonsense"], {}, 2, "No such command"),
        (["doctor", "--nonsense"], {}, 2, "No such option"),
        (["doctor"], {"SCONES_NONSENSE": "1"}, 2, "Unknown setting 'nonsense'"),
        (["doctor"], {"SCONES_LOG_LEVEL": "loud"}, 2, "one of debug, info"),
    ],
)
def test_wrong_use_exits_with_2(
    arguments: list[str], environment: dict[str, str], code: int, message: str
) -> None:
    done = run_scones(*arguments, **environment)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_package_that_is_not_installed_is_named() -> None:
    program = "import sys; sys.modules['boto3'] = None; from scones.cli import main; main(['app', 'outputs'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "needs the package boto3" in done.stderr
    assert "scones doctor" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_as_json() -> None:
    done = run_scones("doctor", "--json")
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert found["numpy"]["advice"] == ""
    assert done.returncode == 0


def test_doctor_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "no-such-package", "local")
    found = {check.name: check for check in check_packages()}
    assert found["no-such-package"].found == "missing"
    assert found["no-such-package"].advice == "pip install -c constraints.txt -e '.[local]'"


def test_doctor_looks_at_every_extra() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert {extra for extra in PACKAGES.values() if extra} == extras.keys()


@pytest.mark.parametrize(
    ("starting", "advice"), [(False, "Start it with `scones up`."), (True, "Try again in a moment.")]
)
def test_what_to_do_without_a_local_cloud_depends_on_whether_one_is_starting(
    tmp_path: Path, starting: bool, advice: str
) -> None:
    lock = Places(tmp_path).lock
    lock.parent.mkdir()
    with lock.open("w") as file:
        if starting:
            fcntl.flock(file, fcntl.LOCK_EX)
        done = run_scones("env", "--state-dir", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == advice


def test_an_answer_about_other_classes_is_not_cut_short() -> None:
    assert name_probabilities([0.9, 0.1], ("bicycle", "motorcycle")) == {"bicycle": 0.9, "motorcycle": 0.1}
    with pytest.raises(UsageError, match="answered 2 probabilities, but the setting classes names 1"):
        name_probabilities([0.9, 0.1], ("bicycle",))
