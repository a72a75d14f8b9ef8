"""Each part is imported in a fresh interpreter, and may load no more than its allowlist says."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "torch", "onnx", "onnxruntime", "boto3", "botocore", "ministack", "moto", "numpy", "PIL", "click", "rich",
    "uvicorn", "httpx", "awslambdaric", "scones", "sagemaker_local", "local_cloud",
}  # fmt: skip

# Module -> what of the above it may load (its own package is free).
ALLOWED = {
    "scones": set(),
    "scones.errors": set(),
    "scones.settings": set(),
    "scones.cli": {"click", "rich"},
    "scones.cli.doctor": {"click", "rich"},
    "scones.cli.data": {"click", "rich", "numpy", "PIL"},
    "scones.data": {"numpy", "PIL"},
    "scones.data.upload": {"numpy", "PIL", "boto3", "botocore"},
    "scones.container.application": set(),
    "scones.container.serving": {"numpy", "PIL", "onnxruntime", "uvicorn", "click"},
    "sagemaker_local": set(),
    "sagemaker_local.endpoints": set(),
    "sagemaker_local.endpoints.capture": set(),
    "sagemaker_local.scaling": set(),
    "local_cloud": set(),
    "local_cloud.lifecycle": set(),
    "local_cloud.server": {"uvicorn", "click"},
    "scones.cli.cloud": {"click", "rich", "local_cloud"},
}


@pytest.mark.parametrize("module", ALLOWED)
def test_a_part_loads_only_what_it_may(module: str) -> None:
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert loaded & HEAVY <= ALLOWED[module] | {module.partition(".")[0]}
