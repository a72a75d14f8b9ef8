"""`scones run`: the main job, from nothing to the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from scones.cli import narration, print_json, read_settings
from scones.cli.target import connect_to
from scones.errors import CloudError, SconesError

if TYPE_CHECKING:
    from scones.aws.sessions import Cloud
    from scones.run.plan import Plan
    from scones.settings import Settings

Step = Callable[[str, int, int], None]


@click.command()
@click.option("--source", help="Data: auto, cifar100, sample, folder:DIR, a path or a URL (default auto).")
@click.option("--sha256", default="", help="What the archive of --source must hash to.")
@click.option("--classes", help="Classes to keep, in label order (default bicycle,motorcycle).")
@click.option("--seed", type=int, help="Seed of every random choice (default 0).")
@click.option("--threshold", type=float, help="Least confidence at which a check-in is routed.")
@click.option("--quick", is_flag=True, help="The quick training recipe.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training images.")
@click.option(
    "--least-accuracy", default=0.9, show_default=True, help="Gate: below this nothing is deployed."
)
@click.option("--checkins", default=0, help="How many test images check in (default: all).")
@click.option("--out", type=click.Path(path_type=Path), help="The report (default .scones/run/report.html).")
@click.option("--target", type=click.Choice(["local", "aws"]), help="Where to work (default local).")
@click.option("--state-dir", type=click.Path(path_type=Path), help="State directory (default .scones).")
@click.option("--keep-up/--down", default=True, help="Leave the local cloud running at the end, or stop it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def run(
    quick: bool,
    epochs: int | None,
    least_accuracy: float,
    checkins: int,
    sha256: str,
    out: Path | None,
    keep_up: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Do everything: stage data, train, evaluate, deploy, send the test images through, report.

    A run that was interrupted goes on where it was; what is done already is not done again.
    """
    from scones.cli.app import find_template
    from scones.run.plan import Plan

    settings = read_settings(**flags)
    hyperparameters = ({"quick": "true"} if quick else {}) | ({"epochs": str(epochs)} if epochs else {})
    plan = Plan(settings, find_template(), sha256, hyperparameters, least_accuracy, checkins)
    began = time.monotonic()
    _ensure_cloud(settings)
    try:
        summary = perform(connect_to(settings), plan, out or plan.folder / "report.html")
    finally:
        if not keep_up and settings.target == "local":
            _stop_cloud(settings)
    _show(summary, time.monotonic() - began, keep_up)
    if as_json:
        print_json(summary)


def perform(cloud: Cloud, plan: Plan, out: Path) -> dict[str, Any]:
    """Every step in turn; the summary."""
    from scones.aws import endpoints
    from scones.report.page import Run, write_report
    from scones.report.record import save_run
    from scones.run import steps, traffic
    from scones.run.summary import summarize

    with show_step("Staging the data") as step:
        staged = steps.stage_data(cloud, plan, step)
    _say_source(staged.local)
    with show_step("Training") as step:
        job = steps.train_model(cloud, plan, staged, lambda line: step(f"Training: {line[:60]}", 0, 0))
    narration.print(f"  training job {job.name}, {job.seconds:.0f} s of training", markup=False)
    with show_step("Evaluating on the test images"):
        measures, gate = steps.evaluate_model(cloud, plan, staged, job)
    narration.print(f"  {gate['reason']}", markup=False)
    deployment = steps.describe_deployment(cloud, plan, job)
    with show_step("Registering the model"):
        package = endpoints.register_model(cloud, steps.GROUP, deployment, gate["reason"])
    narration.print(f"  {package}", markup=False)
    with show_step("Deploying the endpoint") as step:
        endpoint = endpoints.deploy_endpoint(
            cloud, deployment, lambda status: step(f"Deploying the endpoint: {status}", 0, 0)
        )
    narration.print(f"  {endpoint.arn}", markup=False)
    with show_step("Deploying the application") as step:
        outputs = steps.deploy_application(cloud, plan, lambda line: step(f"Deploying: {line}", 0, 0))
    narration.print(f"  {outputs['RouteDeliveryArn']}", markup=False)
    wave = deployment.version.rpartition("-")[2]
    with show_step("Checking in with the test images") as step:
        images = traffic.send_images(cloud, outputs, staged.local, wave, plan.checkins, step)
    place = f"{deployment.capture}/{endpoint.name}"
    with show_step("Reading what the endpoint captured"):
        captures = steps.await_captures(cloud, place, len(images))
        rows = traffic.collect_rows(cloud, outputs["RouteDeliveryArn"], images, captures, staged.local)
    summary = summarize(staged.local, measures, gate, endpoint.name, rows, str(out))
    with show_step("Writing the report"):
        facts = _list_facts(staged, job, package, endpoint.arn, outputs)
        shown = traffic.list_instances(rows, endpoint.instances)
        run = Run(summary, facts, staged.local.classes, rows, shown)
        save_run(run, plan.folder)
        write_report(run, out)
    return summary


@contextmanager
def show_step(title: str) -> Iterator[Step]:
    """Show a step's progress while it runs, and what it took once it is done."""
    began = time.monotonic()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
               MofNCompleteColumn(), TimeElapsedColumn())  # fmt: skip
    with Bar(*columns, console=narration, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total or None
        )
    narration.print(f"[green]✓[/] {title} [dim]{time.monotonic() - began:.1f} s[/]")


def _ensure_cloud(settings: Settings) -> None:
    from local_cloud import lifecycle
    from local_cloud.errors import LocalCloudError
    from scones.cli.cloud import MOUNTS

    if settings.target != "local" or lifecycle.find_running(settings.state_dir):
        return
    with show_step("Starting the local cloud"):
        try:
            running, _ = lifecycle.start(
                settings.state_dir, lifecycle.Start(region=settings.region, mounts=MOUNTS)
            )
        except LocalCloudError as error:
            raise CloudError(error.message, error.hint) from error
    narration.print(f"  {running.endpoint_url}")


def _stop_cloud(settings: Settings) -> None:
    from local_cloud import lifecycle
    from local_cloud.errors import NotRunning

    try:
        lifecycle.stop(settings.state_dir)
    except NotRunning:
        return


def _say_source(dataset: Any) -> None:
    counts = {split: sum(names.values()) for split, names in dataset.counts().items()}
    told = ", ".join(f"{count} {split}" for split, count in counts.items())
    narration.print(f"  {dataset.source.get('kind')}: {told}", markup=False)
    if dataset.source.get("kind") == "sample":
        note = dataset.source.get("note", "")
        narration.print(f"  [yellow]This is the drawn sample, not real photos.[/] {note}")


def _list_facts(
    staged: Any, job: Any, package: str, endpoint: str, outputs: dict[str, str]
) -> list[tuple[str, str]]:
    from scones import __version__

    source = ", ".join(f"{name} {value}" for name, value in staged.local.source.items() if value)
    return [
        ("When", datetime.now(UTC).isoformat(timespec="seconds")),
        ("Code", f"scones {__version__}"),
        ("Data source", source),
        ("Dataset", f"{staged.remote} ({staged.local.digest})"),
        ("Training job", job.arn),
        ("Model artifact", job.artifact),
        ("Model package", package),
        ("Endpoint", endpoint),
        ("State machine", outputs["RouteDeliveryArn"]),
        ("Classes", ", ".join(staged.local.classes)),
    ]


def _show(summary: dict[str, Any], seconds: float, keep_up: bool) -> None:
    model, workflow = summary["model"], summary["workflow"]
    low, high = model["ci95"]
    table = Table(title=f"Done in {seconds:.0f} s", show_header=False)
    table.add_row(
        "data", "{source}: {train} train, {validation} validation, {test} test".format(**summary["data"])
    )
    table.add_row("test accuracy", f"{model['test_accuracy']:.1%} (95% interval {low:.1%} to {high:.1%})")
    table.add_row("at threshold", f"{model['threshold']:g}: {model['coverage']:.1%} covered, "
                  f"{model['selective_accuracy']:.1%} of those right")  # fmt: skip
    table.add_row("check-ins", "{executions}: {routed} routed, {low_confidence} low confidence, "
                  "{invalid} invalid, {failed} failed".format(**workflow))  # fmt: skip
    table.add_row("upload to outcome", "execution p50 {p50_ms} ms, p95 {p95_ms} ms".format(**workflow))
    table.add_row("captured", f"{summary['captured_records']} records")
    table.add_row("report", summary["report"])
    narration.print(table)
    if workflow["failed"]:
        raise SconesError(f"{workflow['failed']} executions failed.", "The report names them.")
    if keep_up:
        narration.print(
            "Go on:\n"
            "  scones workflow run PHOTO            classify your own photo\n"
            "  scones workflow simulate             send simulated traffic\n"
            "  scones app deploy --target aws       deploy to AWS\n"
            "  scones down                          stop the local cloud",
            markup=False,
        )
