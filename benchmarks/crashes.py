"""What SIGKILL at 50 random moments under write load loses: nothing that was acknowledged, is the promise.

    python benchmarks/crashes.py [KILLS]      writes benchmarks/crashes.json

Runs tests/contract/local_cloud/test_crash.py, whose default is 8 kills: ten writers (objects, overwriting
and deleting them, table items, a counter, queue messages, notifications, state machines, executions,
functions) at full speed, SIGKILL after 0.02 to 1 second, a restart, and so on; in the end everything is
compared with what was acknowledged.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(kills: int) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "tally.json"
        line = [sys.executable, "-m", "pytest", "-q", "tests/contract/local_cloud/test_crash.py"]
        environment = {**os.environ, "CRASHES": str(kills), "CRASH_RESULTS": str(results)}
        done = subprocess.run(line, cwd=ROOT, env=environment, check=False)
        tally = json.loads(results.read_text())
    told = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "ministack": version("ministack"),
        "boto3": version("boto3"),
        "seconds": round(time.monotonic() - began),
        **tally,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(told, indent=2) + "\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
