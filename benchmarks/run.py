"""How long `scones run` takes from an installed environment to the report, step by step.

    python -P benchmarks/run.py [--archive cifar-100-python.tar.gz]

Writes benchmarks/run.json: the drawn sample and, where it is given, the real archive, each on a fresh local
cloud with an empty state directory. A run's `seconds` are wall time from the start of the command to its end;
`steps` are what the command itself tells of each step. The goal is 180 s on two cores. Further options go to
`scones run` (`--quick`, `--epochs 1 --least-accuracy 0`); without any it is the default recipe.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_suffix(".json")
GOAL = 180.0
PACKAGES = ("scones", "torch", "onnxruntime", "ministack", "boto3", "awslambdaric")
STEP = re.compile(r"^✓ (.+) ([\d.]+) s$", re.M)


def measure(source: str, options: list[str]) -> dict[str, Any]:
    """One run of a source, from nothing. Raises CalledProcessError when it fails."""
    with tempfile.TemporaryDirectory(prefix="scones-run-") as folder:
        command = [sys.executable, "-m", "scones", "run", "--source", source, "--state-dir", folder]
        load, began = os.getloadavg()[0], time.monotonic()
        done = subprocess.run(
            [*command, "--json", "--down", *options], capture_output=True, text=True, check=False, cwd=ROOT
        )
        seconds = time.monotonic() - began
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            done.check_returncode()
        summary = json.loads(done.stdout)
    return {
        "seconds": round(seconds, 1),
        "goal_seconds": GOAL,
        "met": seconds < GOAL,
        "load_average_before": round(load, 2),
        "steps": {name: float(took) for name, took in STEP.findall(done.stderr)},
        "summary": {
            name: summary[name] for name in ("data", "model", "endpoint", "workflow", "captured_records")
        },
    }


def describe_machine() -> dict[str, Any]:
    cpu = (
        re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
        if os.path.exists("/proc")
        else None
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu[1] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archive", type=Path, help="the real archive; without it only the sample is run")
    given, options = parser.parse_known_args()
    sources = {"sample": "sample"} | ({"archive": str(given.archive.resolve())} if given.archive else {})
    results: dict[str, Any] = {"machine": describe_machine(), "options": options}
    for name, source in sources.items():
        results[name] = measure(source, options)
        print(f"{name}: {results[name]['seconds']} s", results[name]["steps"])
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
