"""`scones data`: stage a dataset, describe one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.panel import Panel
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from scones.cli import narration, print_json, read_settings
from scones.data.collection import Progress
from scones.errors import DataError


@click.group()
def data() -> None:
    """Stage images for training, describe what was staged."""


@data.command()
@click.option("--source", help="auto, cifar100, sample, folder:DIR, a path or a URL of CIFAR-100's archive.")
@click.option("--classes", help="Classes to keep, comma-separated, in label order.")
@click.option("--to", help="Folder or s3:// prefix  [default: STATE_DIR/data]")
@click.option("--seed", type=int, help="Seed of the validation split, and of the sample.")
@click.option("--sha256", default="", help="Refuse an archive that does not hash to this.")
@click.option("--skip-unreadable", is_flag=True, help="Leave out files of a folder that cannot be read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def stage(
    source: str | None,
    classes: str | None,
    to: str | None,
    seed: int | None,
    sha256: str,
    skip_unreadable: bool,
    as_json: bool,
) -> None:
    """Stage images of chosen classes to a folder or to S3, ready for training."""
    settings = read_settings(source=source, classes=classes, seed=seed)
    from scones.data.dataset import describe_commit
    from scones.data.staging import stage as stage_data

    with _show_progress() as progress:
        dataset = stage_data(
            settings.source,
            to or settings.state_dir / "data",
            cache_dir=settings.cache_dir,
            classes=settings.class_names,
            seed=settings.seed,
            sha256=sha256,
            skip_unreadable=skip_unreadable,
            progress=progress,
        )
    if as_json:
        print_json({"location": dataset.location, **describe_commit(dataset)})
    _show_counts(dataset.counts())
    if note := dataset.source.get("note"):
        _show_note(note)
    narration.print(f"Staged to {dataset.location}", markup=False)


@data.command()
@click.argument("place", required=False)
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Write a contact sheet (PNG).")
@click.option(
    "--split", type=click.Choice(["train", "validation", "test"]), default="train", help="Of which split."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def describe(place: str | None, sheet: Path | None, split: str, as_json: bool) -> None:
    """Check and describe the dataset staged to PLACE (a folder)  [default: STATE_DIR/data]."""
    settings = read_settings()
    from scones.data.dataset import read_dataset
    from scones.data.description import describe_dataset, draw_sheet

    dataset = read_dataset(place or settings.state_dir / "data")
    with _show_progress() as progress:
        description = describe_dataset(dataset, progress)
    if sheet:
        draw_sheet(dataset, sheet, split)
    if as_json:
        print_json({**description, "sheet": sheet})
    else:
        _show_description(description)
    if description["unreadable"]:
        raise DataError(f"{len(description['unreadable'])} images are damaged.", "Stage the data again.")


def _show_description(description: dict[str, Any]) -> None:
    source, twins = description["source"], description["near_duplicates"]
    say = partial(narration.print, markup=False)
    say(f"{description['location']}: {source['kind']} ({source['name']}), {description['digest']}")
    _show_counts(description["counts"])
    sizes = [
        f"{side} {size['least']}-{size['most']} (median {size['median']})"
        for side, size in description["sizes"].items()
    ]
    say(f"Pixels: {', '.join(sizes)}")
    in_groups = sum(map(len, twins["groups"]))
    say(
        f"Near-duplicates: {in_groups} images in {len(twins['groups'])} groups; of the test images, "
        f"{len(twins['test_with_twin_in_training'])} have a twin in training"
    )
    for keys in twins["groups"]:
        say(f"  {'  '.join(keys)}")
    for title in ("unreadable", "left_out"):
        for entry in description[title]:
            say(f"{title.replace('_', ' ').capitalize()}: {entry['file']} {entry['reason']}")
    if note := source.get("note"):
        _show_note(note)


def _show_note(note: str) -> None:
    narration.print(Panel(Text(note), title="Not CIFAR-100", style="bold yellow"))


@contextmanager
def _show_progress() -> Iterator[Progress]:
    with Bars(console=narration, transient=True) as bars:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield show


def _show_counts(counts: dict[str, dict[str, int]]) -> None:
    table = Table("split", *next(iter(counts.values())))
    for split, by_class in counts.items():
        table.add_row(split, *map(str, by_class.values()))
    narration.print(table)
