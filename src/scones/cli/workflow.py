"""`scones workflow`: run check-ins, show executions, route a backlog, simulate arrivals."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import Progress
from rich.table import Table

from scones.cli import narration, print_json, read_settings
from scones.cli.simulate import simulate
from scones.cli.target import connect_to, target_options
from scones.errors import SconesError, UsageError

if TYPE_CHECKING:
    from scones.aws.checkins import CheckIn, Outcome
    from scones.aws.executions import Execution
    from scones.aws.sessions import Cloud

ADVICE = "The alert, the check-ins table and `scones workflow show` say more."


@click.group()
def workflow() -> None:
    """Check-ins: from a photo to a loading bay and an order."""


workflow.add_command(simulate)


@workflow.command()
@click.argument("photos", nargs=-1, required=True, metavar="KEY|FILE...")
@target_options
@click.option("--driver", default="cli", show_default=True, help="Driver who checks in with a local file.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def run(photos: tuple[str, ...], driver: str, as_json: bool, **flags: Any) -> None:
    """Check in with photos: local files are uploaded and start by their arrival, keys are started again.

    Exit code 0 when every photo was routed, else 1.
    """
    from scones.aws.stacks import read_outputs

    settings = read_settings(**flags)
    cloud = connect_to(settings)
    outputs = read_outputs(cloud, settings.stack_name)
    results = [_run_one(cloud, outputs, photo, driver, settings.target) for photo in photos]
    if as_json:
        print_json({"checkins": results})
    failed = [result for result in results if result["outcome"] != "ROUTED"]
    if failed:
        raise SconesError(f"{len(failed)} of {len(results)} check-ins were not routed.", ADVICE)


def _run_one(cloud: Cloud, outputs: dict[str, str], photo: str, driver: str, target: str) -> dict[str, Any]:
    from scones.aws.executions import await_start, find_arn, follow_execution, start_execution

    machine = outputs["RouteDeliveryArn"]
    began = time.time()
    path = Path(photo)
    if path.is_file():
        checkin = _upload(cloud, outputs["BucketName"], path, driver)
        arn = find_arn(machine, checkin.execution)
        if outputs["WorkflowType"] == "STANDARD":
            await_start(cloud, arn)
    else:
        checkin = _find(cloud, outputs["BucketName"], photo)
        event = {"s3_bucket": checkin.bucket, "s3_key": checkin.key, "checkin_id": checkin.checkin_id}
        arn = start_execution(cloud, machine, event)
    narration.print(f"[bold]{checkin.key}[/]  {arn}")
    if outputs["WorkflowType"] == "STANDARD":
        shown = 0
        for execution in follow_execution(cloud, arn):
            shown = _show_new_steps(execution, shown)
    outcome = _await_outcome(cloud, outputs["CheckinsTableName"], checkin.checkin_id)
    _show_outcome(outcome, time.time() - began, _find_console(arn, target))
    return {**asdict(outcome), "execution": arn}


def _upload(cloud: Cloud, bucket: str, path: Path, driver: str) -> CheckIn:
    from scones.aws.checkins import ARRIVALS, put_photo, read_photo

    # The time in the key makes every run a check-in of its own.
    key = f"{ARRIVALS}/{driver}/{time.time_ns()}-{path.name}"
    return put_photo(cloud, bucket, key, read_photo(path))


def _find(cloud: Cloud, bucket: str, key: str) -> CheckIn:
    from scones.aws.checkins import find_photo

    checkin = find_photo(cloud, bucket, key.removeprefix(f"s3://{bucket}/"))
    if not checkin.etag:
        narration.print(f"There is no such file, and no such key in s3://{bucket}: the workflow will say so.")
    return checkin


def _show_new_steps(execution: Execution, shown: int) -> int:
    """Print the steps that are over; how many have been printed."""
    over = len(execution.steps) - (execution.status == "RUNNING")
    for step in execution.steps[shown:over]:
        tries = f" after {step.attempts} attempts" if step.attempts > 1 else ""
        mark = f"[red]{step.error}[/]" if step.error else "[green]ok[/]"
        narration.print(f"  {step.state:<18} {1000 * step.seconds:7.0f} ms  {mark}{tries}")
    return max(shown, over)


def _await_outcome(cloud: Cloud, table: str, checkin_id: str, patience: float = 60) -> Outcome:
    from scones.aws.checkins import Outcome, read_outcomes

    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if found := read_outcomes(cloud, table, [checkin_id]):
            return found[checkin_id]
        time.sleep(0.1)
    return Outcome(checkin_id, "NoOutcome", "The execution has left no outcome; the sweeper starts it again.")


def _show_outcome(outcome: Outcome, seconds: float, where: str) -> None:
    if outcome.outcome == "ROUTED":
        given = outcome.decision
        order = given["order"]
        what = f"order {order['order_id']} ({order['distance_km']} km)" if order else "no order open: wait"
        narration.print(
            f"  [green]ROUTED[/] {given['vehicle_class']} ({given['confidence']:.3f}) to bay "
            f"{given['loading_bay']}, {what}; {seconds:.1f} s"
        )
    else:
        narration.print(f"  [red]{outcome.outcome}[/]", end=" ")
        narration.print(outcome.reason, markup=False)
    narration.print(f"  {where}", markup=False)


def _find_console(arn: str, target: str) -> str:
    if target == "local":
        return f"scones workflow show {arn.rpartition(':')[2]}"
    region = arn.split(":")[3]
    return f"https://{region}.console.aws.amazon.com/states/home?region={region}#/v2/executions/details/{arn}"


@workflow.command()
@click.argument("execution")
@target_options
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def show(execution: str, as_json: bool, **flags: Any) -> None:
    """Show an execution of route-delivery, given by name or ARN: its states, input, output, error."""
    from scones.aws.executions import find_arn, read_execution
    from scones.aws.stacks import read_outputs

    settings = read_settings(**flags)
    cloud = connect_to(settings)
    machine = read_outputs(cloud, settings.stack_name)["RouteDeliveryArn"]
    found = read_execution(cloud, find_arn(machine, execution))
    if as_json:
        print_json(asdict(found))
        return
    table = Table("state", "ms", "attempts", "error")
    for step in found.steps:
        table.add_row(step.state, f"{1000 * step.seconds:.0f}", str(step.attempts or ""), step.error)
    narration.print(table)
    click.echo(f"{found.status} after {found.seconds:.2f} s  {found.error} {found.cause}".rstrip())
    click.echo(f"input   {json.dumps(found.input)}")
    click.echo(f"output  {json.dumps(found.output)}")


@workflow.command()
@target_options
@click.option("--prefix", help="Route every photo under this prefix of the bucket, for example backlog/.")
@click.option(
    "--keys", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A JSON list of keys."
)
@click.option("--concurrency", default=40, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--tolerate", default=5.0, show_default=True, help="Percent of failures at which it fails.")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def batch(
    prefix: str | None, keys: Path | None, concurrency: int, tolerate: float, as_json: bool, **flags: Any
) -> None:
    """Route a backlog of photos in the bucket, and sum up the outcomes."""
    from scones.aws.executions import read_execution, start_execution
    from scones.aws.stacks import read_outputs

    if (prefix is None) == (keys is None):
        raise UsageError("Give either --prefix or --keys.")
    settings = read_settings(**flags)
    cloud = connect_to(settings)
    outputs = read_outputs(cloud, settings.stack_name)
    event = {"concurrency": concurrency, "tolerated_failure_percentage": tolerate, "prefix": prefix or ""}
    if keys is not None:
        event["keys_object"] = _put_keys(cloud, outputs["BucketName"], keys)
    arn = start_execution(cloud, outputs["RouteBatchArn"], event)
    narration.print(arn)
    _follow_batch(cloud, arn)
    found = read_execution(cloud, arn)
    if found.status != "SUCCEEDED":
        raise SconesError(f"The batch ended as {found.error or found.status}: {found.cause}")
    if as_json:
        print_json({**found.output, "seconds": found.seconds})
    else:
        _show_batch(found)


def _put_keys(cloud: Cloud, bucket: str, path: Path) -> str:
    from scones.aws.checkins import put_photo, read_photo

    key = f"batches/requests/{time.time_ns()}.json"
    put_photo(cloud, bucket, key, read_photo(path))
    return key


def _follow_batch(cloud: Cloud, arn: str) -> None:
    from scones.aws.executions import read_map_counts

    states = cloud.client("stepfunctions")
    with Progress(console=narration, transient=True) as progress:
        task = progress.add_task("routing", total=None)
        while states.describe_execution(executionArn=arn)["status"] == "RUNNING":
            if counts := read_map_counts(cloud, arn):
                done = sum(counts[name] for name in ("succeeded", "failed", "timedOut", "aborted"))
                progress.update(task, total=counts["total"], completed=done)
            time.sleep(0.5)


def _show_batch(found: Execution) -> None:
    summary = found.output
    rate = summary["total"] / found.seconds if found.seconds else 0.0
    click.echo(f"{summary['total']} photos in {found.seconds:.1f} s ({rate:.1f}/s)")
    for outcome, count in sorted(summary["outcomes"].items()):
        click.echo(f"  {outcome:<20} {count}")
    for example in summary["examples"]:
        click.echo(f"  {example['s3_key']}: {example['outcome']} - {example['reason']}")
    click.echo(summary["summary"])
