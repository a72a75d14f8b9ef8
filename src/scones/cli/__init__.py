"""The `scones` command: one module for each noun, loaded only when it is called."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click
from rich.console import Console

from scones import __version__
from scones.errors import SconesError
from scones.settings import Settings, load_settings

# Results go to stdout; everything told on the way goes here.
narration = Console(stderr=True, highlight=False)

OURS = {"scones", "local_cloud", "sagemaker_local"}

# Command -> where it lives and one line of help, so that `scones --help` imports none of them.
COMMANDS = {
    "run": ("scones.cli.run:run", "Do the main job, from nothing to the report."),
    "data": ("scones.cli.data:data", "Stage images for training, describe what was staged."),
    "model": ("scones.cli.model:model", "Train, evaluate and list classifiers."),
    "up": ("scones.cli.cloud:up", "Start the local cloud."),
    "down": ("scones.cli.cloud:down", "Stop the local cloud; its state stays."),
    "status": ("scones.cli.cloud:status", "Say whether the local cloud runs, and where."),
    "env": ("scones.cli.cloud:env", "Print its endpoint and credentials, or run a command with them."),
    "endpoint": ("scones.cli.endpoint:endpoint", "The SageMaker endpoint: describe, invoke, delete."),
    "app": ("scones.cli.app:app", "The application's stack: deploy, outputs, seed, delete."),
    "workflow": ("scones.cli.workflow:workflow", "Check-ins: run, show, batch, simulate."),
    "report": ("scones.cli.report:report", "The report on a run."),
    "doctor": ("scones.cli.doctor:doctor", "Say what is installed, what is missing and what to do."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="scones")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Log level.")
@click.pass_context
def cli(ctx: click.Context, log_level: str | None) -> None:
    """Scones Unlimited's vehicle-routing ML workflow: from a driver's photo to a loading bay and an order."""
    ctx.obj = {"log_level": log_level}


def read_settings(**flags: Any) -> Settings:
    """Settings for the running command: its flags, the group's flags, environment, file, defaults.

    Configures logging as well, the only place that does. Raises UsageError.
    """
    settings = load_settings({**click.get_current_context().obj, **flags})
    logging.basicConfig(
        level=settings.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    return settings


def print_json(value: Any) -> None:
    """Print one JSON object on stdout."""
    click.echo(json.dumps(value, indent=2, default=str))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits 0 done, 1 failed, 2 usage, 130 interrupted."""
    try:
        result = cli.main(args=arguments, prog_name="scones", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except SconesError as error:
        narration.print("[bold red]Error:[/]", end=" ")
        narration.print(error.message, markup=False, soft_wrap=True)
        if error.hint:
            narration.print(error.hint, markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in OURS:  # a fault of this program, not an extra left out
            raise
        narration.print(f"[bold red]Error:[/] This needs the package {error.name}, which is not installed.")
        narration.print("See what is missing, and how to install it, with `scones doctor`.")
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        narration.print("Interrupted.")
        sys.exit(130)
    # click returns the code of ctx.exit(), or whatever the command returned.
    sys.exit(result if isinstance(result, int) else 0)
