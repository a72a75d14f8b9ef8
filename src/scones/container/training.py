"""`train` under SageMaker's training contract.

Reads hyperparameters and channels below /opt/ml (or SAGEMAKER_BASE_DIR), writes the artifact to model/,
checkpoints to checkpoints/, and on failure one sentence to output/failure.
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html

Channels: `train` and, if there, `validation` and `test`; pictures in one sub-folder for each class, or
listed with their labels in `train_lst` / `validation_lst` as for the built-in image classification, whose
hyperparameter names are understood as well.

Metrics go to stdout, one line an epoch in the built-in algorithm's words ("Epoch[3]
Validation-accuracy=0.970000"), so its MetricDefinitions match. SIGTERM ends training early: what has been
learnt is saved, and the exit code is 0.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scones.errors import DataError, SconesError
from scones.model.dataset import (
    Dataset,
    Split,
    check_classes,
    digest_files,
    list_folders,
    read_list,
    read_split,
)
from scones.model.recipe import Described, Recipe, parse_hyperparameters

DEFAULT_BASE = "/opt/ml"
MOST_FAILURE = 1024  # characters that SageMaker shows
METRICS = (  # (name, regular expression), for CreateTrainingJob's MetricDefinitions
    ("train:accuracy", r"Epoch\[\d+\] Train-accuracy=([0-9.]+)"),
    ("train:loss", r"Epoch\[\d+\] Train-loss=([0-9.]+)"),
    ("validation:accuracy", r"Epoch\[\d+\] Validation-accuracy=([0-9.]+)"),
    ("validation:loss", r"Epoch\[\d+\] Validation-loss=([0-9.]+)"),
    ("test:accuracy", r"Test-accuracy=([0-9.]+)"),
)


def main() -> int:
    """Train; returns 0 when the artifact is complete, 1 with the reason in output/failure otherwise."""
    base = Path(os.environ.get("SAGEMAKER_BASE_DIR", DEFAULT_BASE))
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    try:
        run_job(base, should_stop=lambda: bool(asked))
    except SconesError as error:
        return _fail(base, f"{error.message} {error.hint}".strip())
    except Exception as error:  # the process's edge: whatever it is, the job must say why it failed
        import traceback

        traceback.print_exc()
        return _fail(base, f"{type(error).__name__}: {error}")
    return 0


def _fail(base: Path, reason: str) -> int:
    print(f"Training failed: {reason}", file=sys.stderr, flush=True)
    shutil.rmtree(base / "model", ignore_errors=True)
    (base / "model").mkdir(parents=True, exist_ok=True)
    failure = base / "output" / "failure"
    failure.parent.mkdir(parents=True, exist_ok=True)
    failure.write_text(reason[:MOST_FAILURE], encoding="utf-8")
    return 1


def run_job(base: Path, should_stop: Callable[[], bool]) -> dict[str, Any]:
    """Read, train, package; returns the run record."""
    values = _read_config(base / "input/config/hyperparameters.json")
    channels = base / "input" / "data"
    builtin = (channels / "train_lst").is_dir()
    recipe, described, warnings = parse_hyperparameters(values, builtin)
    for warning in warnings:
        print(f"Warning: {warning}", flush=True)
    dataset = read_channels(channels, described)
    _check_described(dataset, described)
    return _train(dataset, recipe, base, should_stop)


def _train(dataset: Dataset, recipe: Recipe, base: Path, should_stop: Callable[[], bool]) -> dict[str, Any]:
    # Loaded here: PyTorch takes seconds, and a wrong hyperparameter should not have to wait for it.
    from scones.model.packaging import build_artifact
    from scones.model.training import Epoch, train

    def report(epoch: Epoch) -> None:
        for name in ("train", "validation"):
            for kind in ("accuracy", "loss"):
                value = getattr(epoch, f"{name}_{kind}")
                if value is not None:
                    print(f"Epoch[{epoch.number - 1}] {name.capitalize()}-{kind}={value:.6f}", flush=True)
        print(f"Epoch[{epoch.number - 1}] Time cost={epoch.seconds:.3f}", flush=True)

    checkpoint = base / "checkpoints" / "checkpoint.pt"
    trained = train(dataset, recipe, report, checkpoint, should_stop)
    run = build_artifact(trained, dataset, recipe, base / "model")
    if "test" in dataset.splits:
        print(f"Test-accuracy={_score_test(base / 'model', dataset.splits['test']):.6f}", flush=True)
    print(f"Model {run['model']} in {run['train_seconds']:.1f} s.", flush=True)
    if trained.stopped != "signal":  # a job on spot capacity is told to stop, and goes on later from here
        checkpoint.unlink(missing_ok=True)
    return run


def _score_test(folder: Path, split: Split) -> float:
    from scones.container.prediction import load_predictor

    predictor = load_predictor(folder, threads=os.cpu_count() or 1)
    answers = [
        predictor.infer([predictor.decode(path.read_bytes())])[0].probabilities for path in split.files
    ]
    right = [p.index(max(p)) == label for p, label in zip(answers, split.labels.tolist(), strict=True)]
    return float(sum(right) / len(right))


def _read_config(path: Path) -> dict[str, str]:
    """The strings of a JSON object; a missing file is an empty one."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} cannot be read: {error}.") from error
    if not isinstance(values, Mapping):
        raise DataError(f"{path.name} is no JSON object.")
    return {str(key): str(value) for key, value in values.items()}


def read_channels(channels: Path, described: Described) -> Dataset:
    """The dataset in SageMaker's channel folders.

    Raises DataError when `train` is missing or empty, holds one class only, or its labels do not match the
    classes.
    """
    if not (channels / "train").is_dir():
        raise DataError("There is no channel 'train'.", "Name one in InputDataConfig.")
    classes, entries = _list_channel(channels, "train", described)
    splits = {"train": read_split(channels / "train", entries, len(classes))}
    check_classes(splits["train"], classes, "train")
    for name in ("validation", "test"):
        if (channels / name).is_dir():
            _, entries = _list_channel(channels, name, described, classes)
            splits[name] = read_split(channels / name, entries, len(classes))
    files = [path for split in splits.values() for path in split.files]
    labels = [int(label) for split in splits.values() for label in split.labels]
    return Dataset(classes, splits, digest_files(files, labels), {"kind": "channels"})


def _list_channel(
    channels: Path, name: str, described: Described, classes: tuple[str, ...] = ()
) -> tuple[tuple[str, ...], list[tuple[int, str]]]:
    """Class names and entries of one channel, from its `.lst` file or its sub-folders."""
    listing = channels / f"{name}_lst"
    if not listing.is_dir():
        return list_folders(channels / name, classes or described.class_names)
    files = sorted(listing.glob("*.lst"))
    if len(files) != 1:
        raise DataError(f"The channel '{name}_lst' holds {len(files)} .lst files; it must hold one.")
    entries = read_list(files[0])
    count = described.num_classes or len(described.class_names) or len({label for label, _ in entries})
    return classes or described.class_names or tuple(str(label) for label in range(count)), entries


def _check_described(dataset: Dataset, described: Described) -> None:
    """The hyperparameters' word against the data's; a wrong number of samples only deserves a warning."""
    if described.num_classes not in (None, len(dataset.classes)):
        raise DataError(
            f"num_classes is {described.num_classes}, but the data has {len(dataset.classes)} classes: "
            f"{', '.join(dataset.classes)}."
        )
    count = len(dataset.splits["train"])
    if described.num_training_samples not in (None, count):
        print(
            f"Warning: num_training_samples is {described.num_training_samples}; there are {count}.",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
