"""What the program around it must say: where state lies, where AWS answers, which images run what."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from sagemaker_local.images import Image


@dataclass(frozen=True)
class Config:
    """Never changed after the start. Credentials are those of the account at `endpoint_url`."""

    state_dir: Path
    """Everything durable and every job's folder; made when missing, one running program at a time."""
    endpoint_url: str
    """Where S3, CloudWatch and Logs answer, e.g. http://127.0.0.1:4566."""
    access_key_id: str
    secret_access_key: str = field(repr=False)
    images: tuple[Image, ...] = ()
    """First match wins."""
    region: str = "us-east-1"
    account_id: str = "000000000000"
    cores: int = os.cpu_count() or 1
    """Jobs that run at once; more wait in order."""
    stop_seconds: float = 120.0
    """Between SIGTERM and SIGKILL when a job is stopped (botocore, StopTrainingJob)."""
    script_mode_requirements: tuple[str, ...] = ("sagemaker-training==5.1.4",)
    """Installed once into their own environment under `state_dir`, for images in script mode."""
    free_bytes: int = 512 * 1024**2
    """A job that would leave less free disk than this is refused."""
