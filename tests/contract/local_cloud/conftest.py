"""A local cloud for each test process, used through boto3 and nothing but the environment of `scones env`."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local_cloud.lifecycle import is_locked

ROOT = Path(__file__).parents[3]


class LocalCloud:
    """One state directory; `port` as for `scones up`. Commands run as a user would run them."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        # None of the caller's AWS settings may help or spoil.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SCONES_"))}
        self.environment = {**kept, "PYTHONPATH": str(ROOT / "src"), "AWS_EC2_METADATA_DISABLED": "true"}

    def run(self, command: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `scones COMMAND --state-dir … ARGUMENTS`."""
        line = [sys.executable, "-m", "scones", command, "--state-dir", str(self.state_dir), *arguments]
        done = subprocess.run(
            line, env=self.environment, cwd=self.state_dir.parent, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"scones {command}: {done.stdout}{done.stderr}"
        return done

    def up(self, *arguments: str) -> dict[str, Any]:
        """Start it on a free port and say what `up --json` says."""
        told: dict[str, Any] = json.loads(self.run("up", "--detach", "--json", *arguments).stdout)
        return told

    def down(self) -> None:
        self.run("down")

    def kill(self) -> None:
        """SIGKILL the server and wait until all that it started is gone."""
        os.kill(self.status()["server_pid"], signal.SIGKILL)
        while is_locked(self.state_dir):
            time.sleep(0.02)

    def status(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("status", "--json", check=False).stdout)
        return told

    def variables(self, *arguments: str) -> dict[str, str]:
        """What `scones env` prints."""
        told: dict[str, str] = json.loads(self.run("env", "--json", *arguments).stdout)
        return told

    def session(self, *arguments: str) -> Callable[[str], Any]:
        """A function from a service's name to its boto3 client, made from `scones env`."""
        return make_clients(self.variables(*arguments))


_KEPT: list[Any] = []  # clients live to the end: their sockets are closed with the process


def make_clients(variables: dict[str, str]) -> Callable[[str], Any]:
    """Clients that try once, so that no retry hides an error."""
    session = boto3.Session(
        variables["AWS_ACCESS_KEY_ID"],
        variables["AWS_SECRET_ACCESS_KEY"],
        variables.get("AWS_SESSION_TOKEN"),
        variables["AWS_REGION"],
    )
    settings = Config(retries={"total_max_attempts": 1}, read_timeout=30)

    def make(service: str) -> Any:
        _KEPT.append(session.client(service, endpoint_url=variables["AWS_ENDPOINT_URL"], config=settings))
        return _KEPT[-1]

    return functools.cache(make)


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """A running cloud that the tests of a process share: each uses names of its own."""
    shared = LocalCloud(tmp_path_factory.mktemp("cloud") / ".scones")
    shared.up()
    yield shared
    shared.down()


@pytest.fixture(scope="session")
def client(cloud: LocalCloud) -> Callable[[str], Any]:
    """The administrator's boto3 clients for the shared cloud."""
    return cloud.session()


@pytest.fixture
def make_cloud(tmp_path: Path) -> Iterator[Callable[[str], LocalCloud]]:
    """Makes clouds of the test's own, not yet started; they are stopped at the end."""
    made: list[LocalCloud] = []

    def make(name: str = ".scones", folder: Path = tmp_path) -> LocalCloud:
        made.append(LocalCloud(folder / name))
        return made[-1]

    yield make
    for own in made:
        own.run("down", check=False)


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., Any]:
    """Calls `look` until it returns something true, and returns that; fails after `seconds`."""

    def wait(look: Callable[[], Any], seconds: float = 20.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.02)
        return found

    return wait


@pytest.fixture(scope="session")
def connect() -> Callable[[dict[str, str]], Callable[[str], Any]]:
    """Makes a function from a service's name to its client of an environment's variables."""
    return make_clients


@pytest.fixture(scope="session")
def assume() -> Callable[..., Callable[[str], Any]]:
    """Makes a role with the policy `allow` and returns the clients of a session of it, called `me`.

    `connect_as` makes clients with other credentials than the administrator's.
    """

    def become(
        connect_as: Callable[..., Any], name: str, allow: list[dict[str, Any]]
    ) -> Callable[[str], Any]:
        admin = connect_as()
        principal = {"AWS": "arn:aws:iam::000000000000:root"}
        trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = admin("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": allow})
        admin("iam").put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=policy)
        given = admin("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
        clients: Callable[[str], Any] = connect_as(
            AWS_ACCESS_KEY_ID=given["AccessKeyId"],
            AWS_SECRET_ACCESS_KEY=given["SecretAccessKey"],
            AWS_SESSION_TOKEN=given["SessionToken"],
        )
        return clients

    return become


@pytest.fixture(scope="session")
def new_cloud() -> type[LocalCloud]:
    """Makes a cloud for a state directory, not started; whoever starts it stops it."""
    return LocalCloud
