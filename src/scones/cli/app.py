"""`scones app`: deploy, seed, show and delete the application's stack."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from scones.cli import narration, print_json, read_settings
from scones.cli.target import connect_to, target_options
from scones.errors import CloudError, UsageError

COLOURS = {"Add": "green", "Modify": "yellow", "Remove": "red"}


@click.group()
def app() -> None:
    """The application's stack: functions, state machines, tables, queues, alarms."""


@app.command()
@target_options
@click.option("--template", type=click.Path(path_type=Path), help="SAM template (default template.yaml).")
@click.option("--parameter", "-p", "pairs", multiple=True, metavar="NAME=VALUE", help="Template parameter.")
@click.option("--endpoint", help="Name of the SageMaker endpoint; short for -p EndpointName=….")
@click.option("--threshold", type=float, help="Least confidence; short for -p Threshold=….")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before changing anything.")
@click.option("--json", "as_json", is_flag=True, help="The outputs as JSON on stdout.")
def deploy(
    template: Path | None,
    pairs: tuple[str, ...],
    endpoint: str | None,
    yes: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Create or update the stack: package, show what will change, change it, print the outputs."""
    from scones.aws.stacks import discard, execute, prepare, read_outputs

    parameters = parse_parameters(pairs, endpoint, flags["threshold"])
    settings = read_settings(**flags)
    cloud = connect_to(settings)
    with narration.status("Packaging the functions and comparing with what is deployed …"):
        change_set = prepare(cloud, settings.stack_name, template or find_template(), parameters)
    if change_set is None:
        narration.print(f"The stack {settings.stack_name} is as it should be: nothing to change.")
        outputs = read_outputs(cloud, settings.stack_name)
    else:
        _show_changes(change_set.changes)
        if not yes and not click.confirm(f"Deploy to {settings.target}, {cloud.region}?", err=True):
            discard(cloud, change_set)
            raise CloudError("Nothing was changed.")
        began = time.monotonic()
        outputs = execute(cloud, change_set, _tell)
        narration.print(f"[green]Deployed[/] {settings.stack_name} in {time.monotonic() - began:.0f} s.")
    _print_outputs(outputs, as_json)


@app.command()
@target_options
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def outputs(as_json: bool, **flags: Any) -> None:
    """Print the names of what the stack consists of."""
    from scones.aws.stacks import read_outputs

    settings = read_settings(**flags)
    _print_outputs(read_outputs(connect_to(settings), settings.stack_name), as_json)


@app.command()
@target_options
@click.option("--orders", default=60, show_default=True, type=click.IntRange(0), help="How many open orders.")
@click.option("--seed", type=int, help="Seed of the drawn orders (default 0).")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def seed(orders: int, as_json: bool, **flags: Any) -> None:
    """Load a small example of loading bays and open orders; loading it again changes nothing."""
    from scones.aws.orders import seed_bays, seed_orders
    from scones.aws.stacks import read_outputs

    settings = read_settings(**flags)
    cloud = connect_to(settings)
    found = read_outputs(cloud, settings.stack_name)
    bays = seed_bays(cloud, found["BaysTableName"])
    added = seed_orders(cloud, found["OrdersTableName"], orders, settings.seed)
    narration.print(f"{bays} loading bays; {added} new open orders, {orders - added} were there already.")
    if as_json:
        print_json({"bays": bays, "orders_added": added, "orders_present": orders - added})


@app.command()
@target_options
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def delete(yes: bool, as_json: bool, **flags: Any) -> None:
    """Delete the stack with all photos, orders and outcomes, and say what is left."""
    from scones.aws.removal import delete_stack

    settings = read_settings(**flags)
    cloud = connect_to(settings)
    question = f"Delete {settings.stack_name} on {settings.target} with all photos, orders and outcomes?"
    if not yes and not click.confirm(question, err=True):
        raise CloudError("Nothing was deleted.")
    kept = delete_stack(cloud, settings.stack_name, _tell)
    narration.print(f"Deleted {settings.stack_name}. " + ("What is left:" if kept else "Nothing is left."))
    for line in kept:
        narration.print(f"  {line}", markup=False)
    if as_json:
        print_json({"stack": settings.stack_name, "kept": kept})


def parse_parameters(pairs: tuple[str, ...], endpoint: str | None, threshold: float | None) -> dict[str, str]:
    """Template parameters from `NAME=VALUE` and the two short options. Raises UsageError."""
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"The parameter {pair!r} is not of the form NAME=VALUE.")
        parameters[name] = value
    if endpoint is not None:
        parameters["EndpointName"] = endpoint
    if threshold is not None:
        parameters["Threshold"] = f"{threshold:g}"
    return parameters


def find_template() -> Path:
    """template.yaml of the working directory, else of the checkout that this package is run from."""
    here, checkout = Path("template.yaml"), Path(__file__).parents[3] / "template.yaml"
    return checkout if checkout.is_file() and not here.is_file() else here


def _show_changes(changes: tuple[Any, ...]) -> None:
    table = Table("change", "resource", "type", "")
    for change in changes:
        colour = COLOURS.get(change.action, "white")
        warning = "[red]replaced[/]" if change.replacement else ""
        table.add_row(f"[{colour}]{change.action}[/]", change.name, change.kind, warning)
    narration.print(table)


def _tell(resource: str, status: str, reason: str) -> None:
    colour = "red" if "FAILED" in status or "ROLLBACK" in status else "dim"
    narration.print(f"[{colour}]{status:<24}[/] {resource}", end=" ")
    narration.print(reason, markup=False)


def _print_outputs(outputs: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(outputs)
        return
    for name, value in outputs.items():
        click.echo(f"{name:<20} {value}")
