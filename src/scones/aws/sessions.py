"""Clients of AWS, or of the local cloud, and their errors in our words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
)

from scones.errors import CloudError, UsageError

ENDPOINT = "AWS_ENDPOINT_URL"
PATIENCE = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    max_pool_connections=64,
    user_agent_extra="scones",
)


class Cloud:
    """The clients of one session, each made once."""

    def __init__(self, session: boto3.Session, target: str) -> None:
        self.session = session
        self.target = target
        self.client: Callable[[str], Any] = cache(lambda name: session.client(name, config=PATIENCE))
        self.table: Callable[[str], Any] = cache(
            lambda name: session.resource("dynamodb", config=PATIENCE).Table(name)
        )

    @property
    def region(self) -> str:
        return str(self.session.region_name)

    @cached_property
    def account(self) -> str:
        with translate_errors("find out whose account this is"):
            return str(self.client("sts").get_caller_identity()["Account"])


def _find_nothing() -> Mapping[str, str]:
    raise CloudError("The environment names no local cloud.", 'Start it and tell: eval "$(scones env)".')


def connect(
    target: str = "local",
    region: str = "us-east-1",
    environment: MutableMapping[str, str] = os.environ,
    find_local: Callable[[], Mapping[str, str]] = _find_nothing,
) -> Cloud:
    """Choose where to work, once for the process, and say so in its environment.

    For the target "local", `find_local` tells the variables of the running local cloud unless the
    environment has an endpoint already; "aws" refuses to run against another endpoint, so that nobody deploys
    to the wrong place. Raises UsageError, and what `find_local` raises.
    """
    if target == "local" and ENDPOINT not in environment:
        environment.update(find_local())
    if target == "aws" and environment.get(ENDPOINT):
        raise UsageError(
            f"The target is aws, but {ENDPOINT} is {environment[ENDPOINT]}.", f"Unset it: unset {ENDPOINT}."
        )
    return Cloud(boto3.Session(region_name=region), target)


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Raise CloudError in place of botocore's errors; `doing` completes "Cannot …"."""
    try:
        yield
    except (NoCredentialsError, NoRegionError) as error:
        raise CloudError(f"Cannot {doing}: {error}.", "Set up credentials: aws configure.") from error
    except EndpointConnectionError as error:
        hint = "For the local cloud: scones up. For AWS: check the network and the region."
        raise CloudError(f"Cannot {doing}: {error}", hint) from error
    except ClientError as error:
        found = error.response["Error"]
        hint = "The credentials lack a permission." if "AccessDenied" in found.get("Code", "") else ""
        raise CloudError(f"Cannot {doing}: {found.get('Message') or found.get('Code')}", hint) from error
    except BotoCoreError as error:
        raise CloudError(f"Cannot {doing}: {error}") from error
