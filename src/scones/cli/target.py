"""Options that every command which talks to AWS has, and where it talks to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scones.settings import Settings

if TYPE_CHECKING:
    from scones.aws.sessions import Cloud

OPTIONS = [
    click.option("--target", type=click.Choice(["local", "aws"]), help="Where to work (default local)."),
    click.option("--region", help="AWS region (default us-east-1)."),
    click.option("--stack", "stack_name", help="Name of the application's stack (default scones)."),
]


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --target, --region and --stack."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def connect_to(settings: Settings) -> Cloud:
    """The cloud that the settings name. Raises CloudError when the local cloud does not run."""
    from scones.aws.sessions import connect

    return connect(settings.target, settings.region, os.environ, lambda: _find_local(settings.state_dir))


def _find_local(state_dir: Path) -> Mapping[str, str]:
    from local_cloud import lifecycle
    from local_cloud.errors import LocalCloudError
    from scones.cli.cloud import translate

    try:
        return lifecycle.environment(state_dir)
    except LocalCloudError as error:
        raise translate(error) from error
