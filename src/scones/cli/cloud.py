"""`scones up`, `down`, `status` and `env`: the local cloud."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click

from local_cloud import lifecycle
from local_cloud.cloud import PORT
from local_cloud.errors import AlreadyRunning, LocalCloudError, NotRunning
from scones.cli import narration, print_json, read_settings
from scones.errors import CloudError, UsageError

# What to do about an error of just this type, in words of this command line.
HINTS: dict[type[LocalCloudError], str] = {
    NotRunning: "Start it with `scones up`.",
    AlreadyRunning: "Use it (`scones env`), stop it (`scones down`), or give another --state-dir.",
}

# SigV4 service name -> what answers it, by name: the server's process imports it, not this one.
MOUNTS = dict.fromkeys(("sagemaker", "application-autoscaling"), "scones.cli.sagemaker:create_app")

state_dir_option = click.option(
    "--state-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="State directory (default .scones).",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.command()
@state_dir_option
@click.option("--port", type=click.IntRange(1, 65535), help="Port (default 4566, or a free one).")
@click.option("--detach", "-d", is_flag=True, help="Return when it is ready and leave it running.")
@json_option
def up(state_dir: Path | None, port: int | None, detach: bool, as_json: bool) -> None:
    """Start the local cloud: AWS on 127.0.0.1, with its state in .scones."""
    settings = read_settings(state_dir=state_dir)
    how = lifecycle.Start(port=port, region=settings.region, mounts=MOUNTS, detach=detach)
    try:
        running, process = lifecycle.start(settings.state_dir, how)
    except LocalCloudError as error:
        raise translate(error) from error
    for number in () if detach else (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    if as_json:
        print_json(asdict(running))
    _narrate(running, port, detach)
    if not detach:
        _wait(process)


@click.command()
@state_dir_option
@click.option("--timeout", default=30.0, show_default=True, help="Seconds to wait before killing it.")
def down(state_dir: Path | None, timeout: float) -> None:
    """Stop the local cloud; its state stays."""
    settings = read_settings(state_dir=state_dir)
    try:
        running = lifecycle.stop(settings.state_dir, timeout)
    except NotRunning as error:
        narration.print(error.message)
        return
    except LocalCloudError as error:
        raise translate(error) from error
    narration.print(f"Stopped the local cloud at {running.endpoint_url}.")


@click.command()
@state_dir_option
@json_option
def status(state_dir: Path | None, as_json: bool) -> None:
    """Say whether the local cloud runs, where, and how much memory it takes. Exit code 1 if it does not."""
    settings = read_settings(state_dir=state_dir)
    running = lifecycle.find_running(settings.state_dir)
    if as_json:
        found = {**asdict(running), "memory_bytes": lifecycle.memory(running)} if running else {}
        print_json({"running": running is not None, "state_dir": str(settings.state_dir), **found})
    elif running is None:
        narration.print(f"No local cloud runs on {settings.state_dir}. Start one with `scones up`.")
    else:
        size = lifecycle.memory(running) / 1024**2
        click.echo(
            f"{running.endpoint_url} since {running.started}, process {running.server_pid}, {size:.0f} MiB"
        )
    if running is None:
        sys.exit(1)


@click.command(context_settings={"ignore_unknown_options": True})
@state_dir_option
@json_option
@click.option(
    "--role", metavar="NAME", help="Credentials of this IAM role instead of the administrator's, for an hour."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def env(state_dir: Path | None, as_json: bool, role: str | None, command: tuple[str, ...]) -> None:
    """Print what makes any AWS program use the local cloud, to eval; or run COMMAND with it.

    eval "$(scones env)"      or      scones env -- aws s3 ls
    """
    settings = read_settings(state_dir=state_dir)
    try:
        variables = lifecycle.environment(settings.state_dir)
    except LocalCloudError as error:
        raise translate(error) from error
    if role:
        variables |= _assume(role, variables)
    if command:
        sys.exit(_run(command, variables))
    if as_json:
        print_json(variables)
    else:
        # A session token of another account would spoil our key.
        click.echo("unset AWS_SESSION_TOKEN AWS_PROFILE")
        click.echo("\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))


def translate(error: LocalCloudError) -> CloudError:
    """The error as this command line says it."""
    return CloudError(error.message, HINTS.get(type(error), error.hint))


def _narrate(running: lifecycle.Running, port: int | None, detach: bool) -> None:
    if port is None and running.port != PORT:
        narration.print(f"Port {PORT} is taken, or was; using {running.port}.")
    narration.print(f"The local cloud is ready at [bold]{running.endpoint_url}[/].")
    narration.print('In your shell: eval "$(scones env)"', markup=False)
    narration.print("Stop it with `scones down`." if detach else "Stop it with Ctrl-C.")


def _wait(process: subprocess.Popen[bytes]) -> None:
    code = process.wait()
    if code:
        raise CloudError(
            f"The local cloud ended with exit code {code}.", "Its log is in cloud/log of the state directory."
        )


def _assume(role: str, variables: dict[str, str]) -> dict[str, str]:
    import boto3
    from botocore.exceptions import ClientError

    sts = boto3.client(
        "sts",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    account = sts.get_caller_identity()["Account"]
    try:
        made = sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="scones")[
            "Credentials"
        ]
    except ClientError as error:
        raise UsageError(
            f"The role {role!r} cannot be assumed: {error}.", "`notebook` always exists."
        ) from error
    return {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
        "AWS_SESSION_TOKEN": made["SessionToken"],
    }


def _run(command: tuple[str, ...], variables: dict[str, str]) -> int:
    kept = {
        name: value for name, value in os.environ.items() if name not in ("AWS_SESSION_TOKEN", "AWS_PROFILE")
    }
    try:
        return subprocess.run(command, env={**kept, **variables}, check=False).returncode
    except OSError as error:
        raise UsageError(f"Cannot run {command[0]}: {error.strerror}.") from error
