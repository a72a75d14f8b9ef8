"""`scones model`: train, evaluate and list classifiers."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from scones.cli import narration, print_json, read_settings
from scones.errors import ModelError

if TYPE_CHECKING:
    from scones.container.prediction import Predictor
    from scones.model.dataset import Dataset

DATA = click.option(
    "--data",
    "place",
    required=True,
    type=click.Path(path_type=Path),
    help="Staged directory or its dataset.json.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")


@click.group()
def model() -> None:
    """Train, evaluate and list classifiers."""


@model.command()
@DATA
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Directory for model.tar.gz.")
@click.option("--seed", type=int, help="Seed of every random choice.")
@click.option("--quick", is_flag=True, help="Half the epochs, smaller: within a minute, less accurate.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training pictures.")
@JSON
def train(place: Path, out: Path, seed: int | None, quick: bool, epochs: int | None, as_json: bool) -> None:
    """Train a classifier on a staged directory and write OUT/model.tar.gz.

    A run that was interrupted goes on where it was when it is started again with the same options.
    """
    from scones.model.dataset import check_classes, load_staged
    from scones.model.recipe import parse_hyperparameters
    from scones.model.threads import wait_passively

    wait_passively()
    settings = read_settings(seed=seed)
    given = {"quick": str(quick), "seed": str(settings.seed)} | ({"epochs": str(epochs)} if epochs else {})
    recipe, _, _ = parse_hyperparameters(given)
    started = time.perf_counter()
    dataset = load_staged(place)
    check_classes(dataset.splits["train"], dataset.classes, "train")
    run = _fit(dataset, recipe, out)
    seconds = time.perf_counter() - started
    report = {
        "artifact": str(out / "model.tar.gz"),
        "model": run["model"],
        "seed": recipe.seed,
        "bits": run["bits"],
    }
    if "test" in dataset.splits:
        report |= _evaluate(_open_model(out), dataset, settings.threshold)[0]
    report |= {"train_seconds": seconds, "source": dataset.source}
    _show(report, as_json)


def _fit(dataset: Dataset, recipe: Any, out: Path) -> dict[str, Any]:
    """Train with a progress bar and write the artifact, whole or not at all."""
    from scones.model.artifact import NAME, pack
    from scones.model.packaging import build_artifact
    from scones.model.training import train as fit

    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    with _show_progress(recipe.epochs) as progress:
        trained = fit(dataset, recipe, progress, checkpoint)
    with tempfile.TemporaryDirectory(dir=out, prefix=".artifact-") as folder:
        narration.print("Exporting and calibrating …")
        run = build_artifact(trained, dataset, recipe, Path(folder))
        pack(Path(folder), out / NAME)
    checkpoint.unlink(missing_ok=True)
    return run


@contextmanager
def _show_progress(epochs: int) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns, console=narration, transient=False) as bar:
        task = bar.add_task("preparing", total=epochs)

        def report(epoch: Any) -> None:
            seen = epoch.validation_accuracy
            told = "" if seen is None else f", validation {seen:.3f}"
            text = f"epoch {epoch.number}/{epochs}: loss {epoch.train_loss:.3f}{told}"
            bar.update(task, completed=epoch.number, description=text)

        yield report


@model.command()
@click.option("--model", "artifact", required=True, type=click.Path(path_type=Path),
              help="model.tar.gz, or the directory that holds or unpacks it.")  # fmt: skip
@DATA
@click.option(
    "--split", default="test", type=click.Choice(["train", "validation", "test"]), help="Which split."
)
@click.option("--threshold", type=float, help="Least confidence at which a check-in is routed.")
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="Write a contact sheet (PNG) of the worst mistakes."
)
@JSON
def evaluate(
    artifact: Path, place: Path, split: str, threshold: float | None, sheet: Path | None, as_json: bool
) -> None:
    """Measure a model on staged pictures."""
    from scones.model.dataset import load_staged
    from scones.model.evaluation import draw_mistakes

    settings = read_settings(threshold=threshold)
    predictor = _open_model(artifact)
    dataset = load_staged(place, [split])
    if split not in dataset.splits:
        raise ModelError(f"The staged data has no {split} pictures.", "Choose another --split.")
    if dataset.classes != predictor.labels:
        raise ModelError(
            f"The model knows {', '.join(predictor.labels)}; the data has {', '.join(dataset.classes)}."
        )
    report, mistakes = _evaluate(predictor, dataset, settings.threshold, split)
    run = predictor.artifact.run
    report |= {
        "model": predictor.model,
        "split": split,
        "train_seconds": run["train_seconds"],
        "mistakes": mistakes,
    }
    if sheet is not None:
        draw_mistakes(mistakes, dataset.splits[split].pixels).save(sheet)
        report["sheet"] = str(sheet)
    _show(report, as_json)


def _open_model(place: Path) -> Predictor:
    """The predictor of an artifact file, an unpacked artifact, or a directory with model.tar.gz in it."""
    from scones.container.prediction import load_predictor
    from scones.model.artifact import NAME, RUN, unpack

    if place.is_dir() and (place / RUN).is_file():
        return load_predictor(place, threads=0)
    source = place / NAME if place.is_dir() else place
    folder = Path(tempfile.mkdtemp(prefix="scones-model-"))
    try:
        unpack(source, folder)
        return load_predictor(folder, threads=0)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _evaluate(
    predictor: Predictor, dataset: Dataset, threshold: float, split: str = "test"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The report and the worst mistakes, of what an endpoint would answer."""
    import numpy as np

    from scones.model.evaluation import evaluate_answers, list_mistakes

    data = dataset.splits[split]
    answers = predictor.infer([predictor.decode(path.read_bytes()) for path in data.files])
    probabilities = np.array([answer.probabilities for answer in answers])
    twins = np.array([path.name in dataset.twins for path in data.files])
    report = evaluate_answers(probabilities, data.labels, dataset.classes, threshold, twins)
    report["ood_refused"] = float(np.mean([answer.ood > 0.5 for answer in answers]))
    return report, list_mistakes(probabilities, data.labels, data.files, dataset.classes)


@model.command("list")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
@JSON
def list_models(folder: Path, as_json: bool) -> None:
    """List the model artifacts below FOLDER."""
    from scones.model.artifact import NAME, read_run

    rows = []
    for path in sorted(folder.rglob(NAME)):
        try:
            run, digest = read_run(path)
        except ModelError as error:
            rows.append({"path": str(path), "problem": error.message})
            continue
        rows.append({"path": str(path), "model": digest, "seed": run["seed"], "classes": run["classes"],
                     "bits": run["bits"], **run["metrics"]})  # fmt: skip
    if as_json:
        print_json(rows)
        return
    table = Table("path", "model", "seed", "classes", "validation accuracy")
    for row in rows:
        told = row.get("validation_accuracy")
        table.add_row(row["path"], row.get("problem", row.get("model", ""))[:60], str(row.get("seed", "")),
                      ", ".join(row.get("classes", [])), "" if told is None else f"{told:.3f}")  # fmt: skip
    narration.print(table if rows else f"No model.tar.gz below {folder}.")


def _show(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    table = Table("measure", "value")
    for name, value in report.items():
        if name not in ("mistakes", "per_class"):
            table.add_row(name.replace("_", " "), _format(value))
    for label, rates in report.get("per_class", {}).items():
        table.add_row(label, f"precision {rates['precision']:.3f}, recall {rates['recall']:.3f}")
    for mistake in report.get("mistakes", [])[:10]:
        table.add_row(mistake["file"], f"taken for {mistake['predicted']} ({mistake['confidence']:.2f})")
    narration.print(table)


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list) and all(isinstance(entry, float) for entry in value):
        return " to ".join(f"{entry:.4f}" for entry in value)
    return value if isinstance(value, str) else json.dumps(value)
