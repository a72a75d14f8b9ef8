"""Seats the local SageMaker in the local cloud, and says which programs stand for which container images.

The two know nothing of each other, nor of scones; the command line is where all three meet.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud
    from sagemaker_local.images import Image

_FACTORY = f"{__name__}:create_sagemaker"
# SigV4 service names: SageMaker's API and runtime sign as one.
MOUNTS = {"sagemaker": _FACTORY, "application-autoscaling": _FACTORY}

# {account}.dkr.ecr.{region}.amazonaws.com/scones:{tag}: our own image.
_OURS = r".*/scones(:.*|@sha256:.*)?"
# The built-in algorithm's, in every region: our container understands its channels and hyperparameters.
_BUILT_IN = r".*/image-classification(:.*|@sha256:.*)?"
_PYTORCH = r".*/(pytorch|pytorch-training|pytorch-inference)(:.*|@sha256:.*)?"


def create_sagemaker(cloud: Cloud) -> Any:
    """The local SageMaker as an ASGI application, for a local cloud that is about to start."""
    from sagemaker_local import create_app
    from sagemaker_local.config import Config
    from sagemaker_local.emulator.seats import register

    application = create_app(
        Config(
            state_dir=cloud.places.home / "sagemaker",
            endpoint_url=cloud.endpoint_url,
            access_key_id=cloud.credentials.access_key_id,
            secret_access_key=cloud.credentials.secret_access_key,
            images=list_images(),
            region=cloud.region,
            account_id=cloud.account_id,
        )
    )
    register(application)
    return application


def list_images() -> tuple[Image, ...]:
    """The container images that this machine can stand in for."""
    from sagemaker_local.images import Image

    container = (sys.executable, "-m", "scones.container")
    ours = {"train": (*container, "train"), "serve": (*container, "serve"), "python": sys.executable}
    return (
        Image(_OURS, **ours),  # type: ignore[arg-type]
        Image(_BUILT_IN, **ours),  # type: ignore[arg-type]
        Image(_PYTORCH, python=sys.executable, script_mode=True),
    )
