"""SageMaker on one machine, without Docker.

`create_app(config)` gives an ASGI application that speaks the wire protocols of `sagemaker`,
`sagemaker-runtime` and `application-autoscaling`; docs/reference/sagemaker-local.md says what it does and
where it differs from AWS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sagemaker_local.config import Config

__all__ = ["create_app"]


def create_app(config: Config) -> Any:
    """The ASGI application for `config`; its lifespan starts and stops jobs and endpoints.

    Raises StateError when the state folder is damaged or of another version.
    """
    from sagemaker_local.app import create_app as build

    return build(config)
