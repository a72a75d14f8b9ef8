"""A program that runs as on a notebook instance finds role and bucket where the SDKs look."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sagemaker_local.jobs.namespace import can_mount
from sagemaker_local.notebook import prepare_notebook

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
