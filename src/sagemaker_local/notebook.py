"""Runs a program as a SageMaker notebook instance would, so that the SDKs find role and bucket there.

The SDKs ask STS for both, at its public address whatever AWS_ENDPOINT_URL says. They ask nobody when
/opt/ml/metadata/resource-metadata.json names the role and their own configuration file names the bucket.

    scones env -- python -m sagemaker_local.notebook jupyter lab
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from sagemaker_local.jobs.environment import BASE
from sagemaker_local.jobs.namespace import GUARD, can_mount

_CONFIG = """\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: {bucket}
"""


def prepare_notebook(
    folder: Path, role_arn: str, bucket: str, command: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The command line and the environment variables to add, with which `command` is on a notebook instance.

    `folder` (absolute) gets the two files; the SDKs' reports to AWS are switched off. Where /opt/ml cannot be
    mounted the command line stays as it is, and get_execution_role() says to name the role.
    """
    metadata = folder / "ml/metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    facts = {"ResourceName": "local", "ResourceArn": "", "ExecutionRoleArn": role_arn}
    (metadata / "resource-metadata.json").write_text(json.dumps(facts))
    config = folder / "sagemaker-config.yaml"
    config.write_text(_CONFIG.format(bucket=bucket))
    mount = [sys.executable, "-I", "-S", str(GUARD), "--mount", BASE, str(folder / "ml"), "-1"]
    return [*(mount if can_mount() else ()), *command], {"SAGEMAKER_USER_CONFIG_OVERRIDE": str(config)}


def main(command: Sequence[str]) -> int:
    """Run `command` with the role `notebook` of the account that the environment's credentials are of."""
    import boto3

    session = boto3.Session()
    account = session.client("sts").get_caller_identity()["Account"]
    role, bucket = f"arn:aws:iam::{account}:role/notebook", f"sagemaker-{session.region_name}-{account}"
    with tempfile.TemporaryDirectory() as folder:
        argv, added = prepare_notebook(Path(folder), role, bucket, command)
        return subprocess.run(argv, env={**os.environ, **added}, check=False).returncode


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("Usage: python -m sagemaker_local.notebook COMMAND [ARGUMENT ...]")
    sys.exit(main(sys.argv[1:]))
