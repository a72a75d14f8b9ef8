"""The tutorial's commands, run as a reader would: in order, in a fresh clone, with a home of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import PATIENCE, ROOT, Ground

TUTORIAL = ROOT / "docs" / "tutorial" / "first-run.md"
LEFT_OUT = (".git", ".venv*", ".scones", ".ci", "__pycache__", ".*_cache", "shared", "benchmarks", "tests")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository as it was cloned, with an environment that was set up already: this very one."""
    folder = tmp_path / "scones"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.prefix) / "bin")
    (folder / ".venv" / ".installed").touch()
    return folder


def list_commands() -> str:
    return "".join(re.findall(r"^```bash\n(.*?)^```$", TUTORIAL.read_text(), re.M | re.S))


def test_its_commands_work(clone: Path, ground: Ground, photos: Path) -> None:
    (clone.parent / "home").mkdir()
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ground.variables["PYTHONPATH"],
        "HOME": str(clone.parent / "home"),
        # A matter of seconds: few photos, one epoch, and a threshold that so bad a model reaches.
        "SCONES_SOURCE": f"folder:{photos}",
        "SCONES_THRESHOLD": "0.5",
        "ARGS": "--epochs 1 --least-accuracy 0",
    }
    # So bad a model may leave the photo to a person, with the exit code that the tutorial names.
    commands = list_commands().replace("workflow run photo.png", "workflow run photo.png || test $? = 1")
    assert len(commands.splitlines()) >= 8
    how: dict[str, Any] = {"check": False, "cwd": clone, "env": variables, "timeout": PATIENCE}
    try:
        done = subprocess.run(["bash", "-euxc", commands], capture_output=True, text=True, **how)
    finally:
        subprocess.run([sys.executable, "-m", "scones", "down"], capture_output=True, **how)
    assert done.returncode == 0, done.stderr
    assert re.search("ROUTED|LowConfidence", done.stderr)
    assert (clone / ".scones" / "run" / "report.html").is_file()
    assert not list((clone.parent / "home").rglob("*.pkl"))
