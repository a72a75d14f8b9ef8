"""`scones report`: the page of a finished run."""

from __future__ import annotations

from pathlib import Path

import click

from scones.cli import narration, print_json, read_settings


@click.group()
def report() -> None:
    """The report on a run."""


@report.command()
@click.option(
    "--run", "folder", type=click.Path(path_type=Path), help="The run's folder (default .scones/run)."
)
@click.option("--out", type=click.Path(path_type=Path), help="The page (default report.html in that folder).")
@click.option("--json", "as_json", is_flag=True, help="The run's numbers as JSON on stdout.")
def build(folder: Path | None, out: Path | None, as_json: bool) -> None:
    """Make the HTML page of a finished run again."""
    from scones.report.page import write_report
    from scones.report.record import load_run

    place = folder or read_settings().state_dir / "run"
    run = load_run(place)
    page = write_report(run, out or place / "report.html")
    narration.print(f"The report is {page}.", markup=False)
    if as_json:
        print_json(run.summary)
