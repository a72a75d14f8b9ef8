"""`scones run`: the main job, from nothing to the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from scones.cli import narration, print_json, read_settings
from scones.cli.target import connect_to
from scones.errors import SconesError

if TYPE_CHECKING:
    from scones.run.plan import Progress
    from scones.run.sequence import Step, Work
    from scones.settings import Settings

START_PATIENCE = 60.0  # seconds

# The names of scones.run.sequence, which is not imported for a line of help; a test compares them.
STEPS = ("data", "train", "evaluate", "register", "endpoint", "app", "checkins", "captures", "report")


@click.command()
@click.option("--source", help="Data: auto, cifar100, sample, folder:DIR, a path or a URL (default auto).")
@click.option("--sha256", default="", help="What the archive of --source must hash to.")
@click.option("--classes", help="Classes to keep, in label order (default bicycle,motorcycle).")
@click.option("--seed", type=int, help="Seed of every random choice (default 0).")
@click.option("--threshold", type=float, help="Least confidence at which a check-in is routed.")
@click.option("--quick", is_flag=True, help="The quick training recipe.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training images.")
@click.option(
    "--least-accuracy",
    default=0.9,
    show_default=True,
    type=click.FloatRange(0),
    help="Gate: below this nothing is deployed.",
)
@click.option(
    "--checkins", default=0, type=click.IntRange(0), help="How many test images check in (default: all)."
)
@click.option("--out", type=click.Path(path_type=Path), help="The report (default .scones/run/report.html).")
@click.option("--target", type=click.Choice(["local", "aws"]), help="Where to work (default local).")
@click.option("--state-dir", type=click.Path(path_type=Path), help="State directory (default .scones).")
@click.option("--only", type=click.Choice(STEPS), help="Do this step alone; those before it must be done.")
@click.option("--again", type=click.Choice(STEPS), multiple=True, help="Do this step even if it is done.")
@click.option("--keep-up/--down", default=True, help="Leave the local cloud running at the end, or stop it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def run(
    quick: bool,
    epochs: int | None,
    least_accuracy: float,
    checkins: int,
    sha256: str,
    out: Path | None,
    only: str | None,
    again: tuple[str, ...],
    keep_up: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Do everything: stage data, train, evaluate, deploy, send the test images through, report.

    A run that was interrupted goes on where it was; what is done already is not done again. The steps are
    data, train, evaluate, register, endpoint, app, checkins, captures and report.
    """
    from scones.cli.app import find_template
    from scones.run.plan import Plan
    from scones.run.sequence import Work

    settings = read_settings(**flags)
    hyperparameters = ({"quick": "true"} if quick else {}) | ({"epochs": str(epochs)} if epochs else {})
    plan = Plan(settings, find_template(), sha256, hyperparameters, least_accuracy, checkins)
    began = time.monotonic()
    _ensure_cloud(settings)
    try:
        work = Work(connect_to(settings), plan, out or plan.folder / "report.html")
        made = perform(work, only, again)
    finally:
        if not keep_up and settings.target == "local":
            _stop_cloud(settings)
    if only is None:
        show_summary(work.run.summary, time.monotonic() - began, keep_up)
    if as_json:
        print_json({"step": only, "made": made} if only else work.run.summary)


def perform(work: Work, only: str | None = None, again: Sequence[str] = ()) -> list[str]:
    """Do every step that is not done yet, or `only` one of them; what the last one has made.

    Raises UsageError when a step before the only one is not done.
    """
    from scones.run.sequence import STEPS, require

    made: list[str] = []
    for step in STEPS:
        if only not in (None, step.name):
            require(step, work, str(only))
            continue
        made = _perform_step(step, work, step.name in again)
        if step.name == only:
            break
    return made


def _perform_step(step: Step, work: Work, again: bool) -> list[str]:
    with show_step(step.title) as (progress, finish):
        if not again and step.find(work):
            finish("unchanged")
        else:
            step.make(work, progress, again)
    made = step.tell(work)
    for line in made:
        narration.print(f"  {line}", markup=False, soft_wrap=True)
    return made


@contextmanager
def show_step(title: str) -> Iterator[tuple[Progress, Callable[[str], None]]]:
    """Show a step's progress while it runs, and what it took, or the word it is finished with, once it is
    done. Where there is no terminal, a line says that it begins."""
    began, words = time.monotonic(), list[str]()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(),
               MofNCompleteColumn(), TimeElapsedColumn())  # fmt: skip
    if not narration.is_terminal:
        narration.print(f"… {title}")
    bar = Bar(*columns, console=narration, transient=True)
    with bar if narration.is_terminal else nullcontext():
        task = bar.add_task(title, total=None)
        yield (
            lambda what, done, total: bar.update(task, description=what, completed=done, total=total or None),
            words.append,
        )
    said = words[-1] if words else f"{time.monotonic() - began:.1f} s"
    narration.print(f"[green]✓[/] {title} [dim]{said}[/]")


def _ensure_cloud(settings: Settings) -> None:
    from local_cloud import lifecycle
    from local_cloud.errors import LocalCloudError
    from scones.cli.cloud import MOUNTS, translate

    if settings.target != "local" or _await_cloud(settings.state_dir):
        return
    with show_step("Starting the local cloud"):
        try:
            running, _ = lifecycle.start(
                settings.state_dir, lifecycle.Start(region=settings.region, mounts=MOUNTS)
            )
        except LocalCloudError as error:
            raise translate(error) from error
    narration.print(f"  {running.endpoint_url}")


def _await_cloud(state_dir: Path) -> bool:
    """Whether a local cloud runs; one that is just starting, or stopping, is awaited."""
    from local_cloud import lifecycle

    deadline = time.monotonic() + START_PATIENCE
    while lifecycle.find_running(state_dir) is None and lifecycle.is_locked(state_dir):
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return lifecycle.find_running(state_dir) is not None


def _stop_cloud(settings: Settings) -> None:
    from local_cloud import lifecycle
    from local_cloud.errors import LocalCloudError, NotRunning
    from scones.cli.cloud import translate

    try:
        lifecycle.stop(settings.state_dir)
    except NotRunning:
        return
    except LocalCloudError as error:
        raise translate(error) from error


def show_summary(summary: dict[str, Any], seconds: float, keep_up: bool) -> None:
    """Print what a run says at its end. Raises SconesError when executions failed."""
    model, workflow = summary["model"], summary["workflow"]
    low, high = model["ci95"]
    table = Table(title=f"Done in {seconds:.0f} s", show_header=False)
    table.add_row(
        "data", "{source}: {train} train, {validation} validation, {test} test".format(**summary["data"])
    )
    table.add_row("test accuracy", f"{model['test_accuracy']:.1%} (95% interval {low:.1%} to {high:.1%})")
    share = model["selective_accuracy"]
    covered = (
        "none covered" if share is None else f"{model['coverage']:.1%} covered, {share:.1%} of those right"
    )
    table.add_row("at threshold", f"{model['threshold']:g}: {covered}")
    table.add_row("check-ins", "{executions}: {routed} routed, {low_confidence} low confidence, "
                  "{invalid} invalid, {failed} failed".format(**workflow))  # fmt: skip
    for name, part in (("one check-in", workflow), ("endpoint", summary["endpoint"])):
        if part["p50_ms"] is not None:
            table.add_row(name, f"half within {part['p50_ms']:.0f} ms, 95% within {part['p95_ms']:.0f} ms")
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
