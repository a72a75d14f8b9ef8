"""A program that runs as on a notebook instance finds role and bucket where the SDKs look."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_local.jobs.namespace import can_mount
from sagemaker_local.notebook import prepare_notebook

NOTEBOOK = Path(__file__).parents[2] / "notebooks/sagemaker_sdk_quickstart.ipynb"
ROLE = "arn:aws:iam::000000000000:role/notebook"
LOOK = """
import json, os, pathlib
print(json.loads(pathlib.Path("/opt/ml/metadata/resource-metadata.json").read_text())["ExecutionRoleArn"])
print("DefaultS3Bucket: mine" in pathlib.Path(os.environ["SAGEMAKER_USER_CONFIG_OVERRIDE"]).read_text())
print(os.getcwd())
"""


def test_role_and_bucket_are_where_the_sdks_look(tmp_path: Path) -> None:
    if not can_mount():
        pytest.skip("this machine lets no process mount a folder for itself")
    command, variables = prepare_notebook(tmp_path, ROLE, "mine", [sys.executable, "-c", LOOK])
    told = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert told.stdout.split() == [ROLE, "True", str(tmp_path)]


def test_the_committed_notebook_was_run_to_its_end() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert "display_data" in kinds  # the plot
    assert "error" not in kinds
    assert not re.search(r"/(root|home|tmp|Users)/", text), "a path of some machine"


def test_main_is_told_what_to_run() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "sagemaker_local.notebook"], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr.split(":")[0]) == (1, "Usage")
