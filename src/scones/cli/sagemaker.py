"""SageMaker for `scones up`: which commands of this project stand for which container images."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud
    from sagemaker_local.images import Image

REGISTRY = r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?"
VERSION = r"([:@].+)?"


def list_images() -> tuple[Image, ...]:
    """Our own image, the built-in image classification (any region's), and the frameworks in script mode."""
    from sagemaker_local.images import Image

    train, serve = ((sys.executable, "-m", "scones.container", command) for command in ("train", "serve"))
    frameworks = "pytorch|pytorch-training|sagemaker-scikit-learn"
    return (
        Image(rf"{REGISTRY}/scones{VERSION}", train, serve, python=sys.executable),
        Image(rf"{REGISTRY}/image-classification{VERSION}", train, serve),
        Image(rf"{REGISTRY}/({frameworks}){VERSION}", python=sys.executable, script_mode=True),
    )


def create_app(cloud: Cloud) -> Any:
    """The ASGI application; the cloud's Step Functions and CloudFormation can reach it as well."""
    from local_cloud.errors import CorruptState
    from sagemaker_local import create_app as create
    from sagemaker_local.config import Config
    from sagemaker_local.emulator.seats import register
    from sagemaker_local.errors import StateError

    config = Config(
        state_dir=cloud.places.home / "sagemaker",
        endpoint_url=cloud.endpoint_url,
        access_key_id=cloud.credentials.access_key_id,
        secret_access_key=cloud.credentials.secret_access_key,
        images=list_images(),
        region=cloud.region,
        account_id=cloud.account_id,
    )
    try:
        app = create(config)
    except StateError as error:
        raise CorruptState(
            str(error), f"Restore it from a backup, or move {config.state_dir} away."
        ) from error
    register(app)
    return app
