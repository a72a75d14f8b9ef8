"""Each part is imported in a fresh interpreter, and may load no more than its allowlist says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch", "onnx", "onnxruntime", "boto3", "botocore", "ministack", "moto", "numpy", "PIL", "click", "rich",
    "uvicorn", "httpx", "awslambdaric", "scones", "sagemaker_local", "local_cloud",
}  # fmt: skip

# Module -> what of the above it may load (its own package is free).
ALLOWED = {
    "scones": set(),
    "scones.errors": set(),
    "scones.files": set(),
    "scones.settings": set(),
    "scones.data.drawing": {"numpy", "PIL"},
    "scones.cli": {"click", "rich"},
    "scones.cli.doctor": {"click", "rich"},
    "scones.cli.data": {"click", "rich", "numpy", "PIL"},
    "scones.data": {"numpy", "PIL"},
    "scones.data.photos": {"numpy", "PIL"},
    "scones.data.upload": {"numpy", "PIL", "boto3", "botocore"},
    "scones.container.application": set(),
    "scones.container.serving": {"numpy", "PIL", "onnxruntime", "uvicorn", "click"},
    "scones.cli.model": {"click", "rich"},
    "scones.model": set(),
    "scones.model.recipe": set(),
    "scones.model.threads": set(),
    "scones.model.pixels": {"numpy", "PIL"},
    "scones.model.dataset": {"numpy", "PIL"},
    "scones.model.evaluation": {"numpy", "PIL"},
    "scones.model.network": {"torch", "numpy"},
    "scones.container": set(),
    "scones.container.training": {"numpy", "PIL"},
    "scones.container.prediction": {"numpy", "PIL", "onnxruntime"},
    "sagemaker_local": set(),
    "sagemaker_local.config": set(),
    "sagemaker_local.notebook": set(),
    "sagemaker_local.app": {"boto3", "botocore"},
    "sagemaker_local.emulator.seats": {"boto3", "botocore"},
    "sagemaker_local.endpoints": set(),
    "sagemaker_local.endpoints.capture": set(),
    "sagemaker_local.scaling": set(),
    "local_cloud": set(),
    "local_cloud.lambdas": set(),
    "local_cloud.lambdas.service": set(),
    "local_cloud.states": set(),
    "local_cloud.states.interpreters": set(),
    "local_cloud.lifecycle": set(),
    "local_cloud.server": {"uvicorn", "click"},
    "scones.cli.cloud": {"click", "rich", "local_cloud"},
    "scones.cli.sagemaker": {"click", "rich"},
    "scones.cli.app": {"click", "rich"},
    "scones.cli.workflow": {"click", "rich"},
    "scones.aws": set(),
    "scones.aws.templates": set(),
    "scones.aws.buckets": {"boto3", "botocore"},
    "scones.aws.stacks": {"boto3", "botocore"},
    "scones.aws.removal": {"boto3", "botocore"},
    "scones.aws.checkins": {"boto3", "botocore"},
    "scones.aws.executions": {"boto3", "botocore"},
    "scones.aws.orders": {"boto3", "botocore"},
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


@pytest.mark.parametrize(
    "folder", sorted(Path(__file__).parents[2].joinpath("functions").iterdir()), ids=lambda path: path.name
)
def test_a_handler_loads_boto3_and_the_standard_library_alone(folder: Path) -> None:
    script = "import sys, app; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=folder
        ).stdout.split()
    )
    assert loaded & HEAVY <= {"boto3", "botocore"}
