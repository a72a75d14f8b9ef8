"""Real AWS clients, unmodified and each in its own virtual environment, against a local cloud of their own.

    python tests/conformance/run.py [CLIENT ...]        # default: all

Exits 1 when one fails. Environments are kept in .venvs/, the output of each client in its log there. They
train on a few drawn pictures, so that a job takes seconds; SOURCE=cifar100 (or what else `scones data stage`
takes) gives them more.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

import boto3

from sagemaker_local.notebook import prepare_notebook

HERE = Path(__file__).parent
VENVS = HERE.parents[1] / ".venvs"
NOTEBOOK = HERE.parents[1] / "notebooks/sagemaker_sdk_quickstart.ipynb"
SCONES = [sys.executable, "-m", "scones"]
CLIENTS = {
    "sagemaker-sdk-v2": ["python", str(HERE / "sagemaker_sdk_v2.py")],
    "sagemaker-sdk-v3": ["python", str(HERE / "sagemaker_sdk_v3.py")],
    "aws-cli": ["bash", str(HERE / "aws_cli.sh")],
    "notebook": [
        *("jupyter", "nbconvert", "--to", "notebook", "--execute", str(NOTEBOOK)),
        *("--output-dir", str(VENVS), "--output", "notebook"),
    ],
}
_TIMEOUT_SECONDS = 1800
_PICTURES = 40  # of each class


def main(names: list[str]) -> int:
    """Run the clients; the number that failed."""
    unknown = set(names) - set(CLIENTS)
    if unknown:
        sys.exit(f"Unknown client {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}.")
    chosen = names or list(CLIENTS)
    for name in chosen:
        make_environment(name)
    with tempfile.TemporaryDirectory() as folder:
        environment = start_cloud(Path(folder))
        try:
            return sum(not run_client(name, Path(folder), environment) for name in chosen)
        finally:
            subprocess.run([*SCONES, "down", "--state-dir", folder], check=False)


def make_environment(name: str) -> None:
    """The client's virtual environment, made again when its requirements changed."""
    folder, wanted = VENVS / name, (HERE / f"requirements/{name}.txt").read_text()
    stamp = folder / "requirements.txt"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"{name}: installing into {folder}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    requirements = str(HERE / f"requirements/{name}.txt")
    subprocess.run([folder / "bin/python", "-m", "pip", "install", "-q", "-r", requirements], check=True)
    stamp.write_text(wanted)


def start_cloud(folder: Path) -> dict[str, str]:
    """A local cloud with a role and a staged dataset; the environment that leads to it."""
    subprocess.run([*SCONES, "up", "--detach", "--state-dir", str(folder)], check=True)
    told = subprocess.run(
        [*SCONES, "env", "--state-dir", str(folder), "--json"], check=True, capture_output=True, text=True
    )
    scones = {"SCONES_STATE_DIR": str(folder), "SCONES": str(Path(sys.executable).with_name("scones"))}
    environment = {"NOTEBOOK_EPOCHS": "1", **os.environ, **json.loads(told.stdout), **scones}
    environment["AWS_DEFAULT_REGION"] = environment["AWS_REGION"]
    session = boto3.Session(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
    url = environment["AWS_ENDPOINT_URL"]
    environment["ROLE"] = make_role(session.client("iam", endpoint_url=url))
    session.client("s3", endpoint_url=url).create_bucket(Bucket="conformance")
    environment["DATA"] = "s3://conformance/data"
    environment["SCONES_SOURCE"] = os.environ.get("SOURCE") or f"folder:{draw_pictures(folder)}"
    stage = ["data", "stage", "--to", environment["DATA"]]
    subprocess.run([*SCONES, *stage], check=True, env=environment)
    return environment


def draw_pictures(folder: Path) -> Path:
    """A folder of a few pictures of the sample, in one sub-folder a class."""
    stage = ["data", "stage", "--source", "sample", "--to", str(folder / "sample")]
    subprocess.run([*SCONES, *stage], check=True, stdout=subprocess.DEVNULL)
    chosen = folder / "pictures"
    for name in ("bicycle", "motorcycle"):
        (chosen / name).mkdir(parents=True)
        for path in sorted((folder / "sample/train").glob(f"*_{name}_*"))[:_PICTURES]:
            shutil.copy(path, chosen / name)
    return chosen


def make_role(iam: Any) -> str:
    """The role that SageMaker's console makes for a notebook: the SDK v3 checks what it may do."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sagemaker.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = iam.create_role(RoleName="conformance", AssumeRolePolicyDocument=json.dumps(trust))
    iam.attach_role_policy(RoleName="conformance", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    return role["Role"]["Arn"]


def run_client(name: str, folder: Path, environment: dict[str, str]) -> bool:
    """Run one client; whether it did all its steps."""
    account = environment["ROLE"].split(":")[4]
    bucket = f"sagemaker-{environment['AWS_REGION']}-{account}"
    command, extra = prepare_notebook(folder / name, environment["ROLE"], bucket, CLIENTS[name])
    path = f"{VENVS / name / 'bin'}:{environment['PATH']}"
    log, start = VENVS / f"{name}.log", time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            command,
            env={**environment, **extra, "PATH": path, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    passed = done.returncode == 0
    print(
        f"{name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - start:.0f} s, {log}", flush=True
    )
    if not passed:
        print("\n".join(log.read_text().splitlines()[-30:]))
    return passed


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
