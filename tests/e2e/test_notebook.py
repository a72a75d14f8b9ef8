"""The notebook: runs top to bottom against the local cloud, and is committed with what it shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.conftest import PATIENCE, ROOT, Ground

NOTEBOOK = ROOT / "notebooks" / "scones_workflow.ipynb"
PICTURES = 4


def read_code(path: Path) -> list[dict[str, Any]]:
    notebook = json.loads(path.read_text())
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def check_outputs(cells: list[dict[str, Any]]) -> None:
    """Every cell ran, in order, without an error or a warning, and drew what it should."""
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES


def test_it_runs_top_to_bottom(summary: dict[str, Any], ground: Ground, tmp_path: Path) -> None:
    execute = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--output-dir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "scones", "env", "--", *execute, str(NOTEBOOK)],
        env={**ground.variables, "NOTEBOOK_EPOCHS": "1", "NOTEBOOK_LEAST_ACCURACY": "0"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = read_code(tmp_path / NOTEBOOK.name)
    check_outputs(cells)
    text = "".join("".join(output.get("text", "")) for cell in cells for output in cell["outputs"])
    count = summary["data"]["test"]
    assert f"{count} drivers have checked in" in text
    assert re.search(rf"{count} captured; \d+ of {count} right", text)


def test_it_is_committed_with_what_it_shows() -> None:
    check_outputs(read_code(NOTEBOOK))
    text = NOTEBOOK.read_text()
    assert len(text) < 1_000_000
    assert re.findall(r"/(?:home|root|tmp|work|Users)/|127\.0\.0\.1|localhost", text) == []
    assert '"execution": {' not in text
