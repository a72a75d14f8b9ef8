"""A container's own /opt/ml without a container engine: Linux user and mount namespaces.

Where the kernel allows them (most laptops), a job sees its folder as the real /opt/ml, so that containers and
scripts which spell the path out run unchanged. Where it does not (macOS, locked-down Linux), only
SAGEMAKER_BASE_DIR, and /opt/ml in command lines and environment values, point to the folder.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")


@cache
def can_mount() -> bool:
    """Whether this machine lets a process mount a folder as /opt/ml for itself; tried once."""
    if not sys.platform.startswith("linux"):
        return False
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "probe").touch()
        trial = [
            sys.executable,
            "-I",
            "-S",
            str(GUARD),
            "--mount",
            "/opt/ml",
            folder,
            "-1",
            "test",
            "-e",
            "/opt/ml/probe",
        ]
        try:
            return subprocess.run(trial, capture_output=True, timeout=20, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False
