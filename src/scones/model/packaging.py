"""From a trained network to a checked artifact: export, 8 bits, calibration, out-of-distribution
reference."""

from __future__ import annotations

import platform
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scones import __version__
from scones.errors import ModelError
from scones.model import artifact, calibration, novelty
from scones.model.dataset import Dataset, Split
from scones.model.export import build_onnx, quantise, run_onnx, set_temperature
from scones.model.network import EfficientNetLite, normalise
from scones.model.pixels import Pixels, choose_size, decode, resize
from scones.model.recipe import Recipe
from scones.model.training import Trained

MOST_DIFFERENCE = 1e-4  # between PyTorch's and the exported graph's probabilities
MOST_LOSS = 0.005  # of accuracy, for which the 8-bit graph is still taken
CHUNK = 200  # pictures held in memory at a time
RANGE_PICTURES = 100  # that the 8-bit ranges are measured on
COMPARED = 300  # training pictures, at least, that 8 bits are compared with 32 on, beside validation's
# What cross-validation of the recipe found, as prior knowledge beside a small validation split.
PRIOR_TEMPERATURE, PRIOR_STRENGTH = 0.5, 5.0
KNOWN_SHARE = 0.99  # of genuine pictures that are to stay below an out-of-distribution score of 0.5
ACCURACY_GOALS = (0.98, 0.985, 0.99, 0.995)


Answers = tuple[NDArray[Any], NDArray[Any]]  # probabilities, embeddings


@dataclass(frozen=True)
class Measured:
    """The chosen graph and what it says about training and held-out pictures."""

    graph: Path
    bits: int
    training: Answers
    held_out: Answers


def build_artifact(trained: Trained, dataset: Dataset, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write the artifact into `folder`, run.json last; returns the run record.

    Calibration uses the validation split; without one only prior knowledge, which the record says. Raises
    ModelError when the exported graph differs from PyTorch.
    """
    training = dataset.splits["train"]
    held_out = dataset.splits.get("validation", Split(training.pixels[:0], training.labels[:0], ()))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        measured = _export(trained.network, training, held_out, Path(scratch))
        labels = held_out.labels
        logits = np.log(np.maximum(measured.held_out[0], 1e-12))
        temperature = calibration.fit_temperature(logits, labels, PRIOR_TEMPERATURE, PRIOR_STRENGTH)
        set_temperature(measured.graph, temperature)
        reference = novelty.fit_reference(measured.training[1], training.labels, recipe.seed)
        described = _describe_calibration(calibration.softmax(logits / temperature), labels, temperature)
        described["ood"] = _describe_limit(reference, measured)
        files = {
            artifact.GRAPH: measured.graph.read_bytes(),
            artifact.LABELS: artifact.encode_json(list(dataset.classes)),
            artifact.CALIBRATION: artifact.encode_json(described),
            artifact.EMBEDDINGS: novelty.dump_reference(reference),
        }
    run = _describe_run(trained, dataset, recipe, measured.bits, described)
    digest = artifact.write_artifact(folder, files, run)
    return {**run, "model": digest}


def _export(network: EfficientNetLite, training: Split, held_out: Split, scratch: Path) -> Measured:
    """The 8-bit graph, or the 32-bit one where 8 bits lose too much.

    Everything is measured on the files as an endpoint would get them, not on training's resized copies.
    """
    full, small = scratch / "full.onnx", scratch / "small.onnx"
    full.write_bytes(build_onnx(network, temperature=1.0).SerializeToString())
    step = max(1, len(training) // RANGE_PICTURES)
    sample = _read(training.files[::step][:RANGE_PICTURES])
    check_equal(network, full, sample[:8])
    quantise(full, small, sample)
    answers, told = _run(small, training.files), _run(small, held_out.files)
    some = slice(None, None, max(1, len(training) // COMPARED))
    before = [_run(full, training.files[some]), _run(full, held_out.files)]
    after = [(answers[0][some], answers[1][some]), told]
    labels = np.concatenate([training.labels[some], held_out.labels])
    if _count_right(before, labels) - _count_right(after, labels) <= max(1, MOST_LOSS * len(labels)):
        return Measured(small, 8, answers, told)
    return Measured(full, 32, _run(full, training.files), before[1])


def _read(files: Sequence[Path]) -> list[Pixels]:
    return [decode(path.read_bytes()) for path in files]


def _run(graph: Path, files: Sequence[Path]) -> Answers:
    """Probabilities and embeddings; photos are large, so only some are held in memory at a time."""
    starts = range(0, max(len(files), 1), CHUNK)
    parts = [run_onnx(graph, _read(files[start : start + CHUNK])) for start in starts]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _count_right(answers: list[Answers], labels: NDArray[np.int64]) -> int:
    return int((np.concatenate([probabilities for probabilities, _ in answers]).argmax(1) == labels).sum())


@torch.no_grad()
def check_equal(network: EfficientNetLite, graph: Path, pictures: Sequence[Pixels]) -> float:
    """The largest difference between PyTorch's and the graph's probabilities; ModelError over 1e-4."""
    difference = 0.0
    for picture, answer in zip(pictures, run_onnx(graph, pictures)[0], strict=True):
        x = torch.from_numpy(resize(picture, choose_size(picture))).permute(2, 0, 1)[None]
        expected = torch.softmax(network(normalise(x)), 1)[0].numpy()
        difference = max(difference, float(np.abs(expected - answer).max()))
    if not difference < MOST_DIFFERENCE:
        raise ModelError(f"The exported model differs from PyTorch by {difference:.1e} in a probability.")
    return difference


def _describe_calibration(
    probabilities: NDArray[Any], labels: NDArray[np.int64], temperature: float
) -> dict[str, Any]:
    goals = {f"{goal:g}": calibration.find_threshold(probabilities, labels, goal) for goal in ACCURACY_GOALS}
    return {
        "temperature": temperature,
        "fitted_on": len(labels),
        "ece": calibration.measure_calibration_error(probabilities, labels) if len(labels) else None,
        "curve": calibration.trace_coverage(probabilities, labels) if len(labels) else [],
        "threshold_for_accuracy": goals if len(labels) else {},
    }


def _describe_limit(reference: novelty.Reference, measured: Measured) -> dict[str, Any]:
    """Where out-of-distribution begins: the distance that 99% of genuine pictures stay under.

    Held-out pictures alone are too few to tell a rare distance; with the training pictures, whose distances
    differ little from theirs, the limit varies half as much between runs. Training's are a little shorter, so
    that 1.8% of new pictures lie beyond (out of fold), not 1%.
    """
    known = np.concatenate([measured.training[1], measured.held_out[1]])
    limit = float(np.quantile(novelty.measure_distance(reference, known), KNOWN_SHARE))
    return {
        "limit": limit,
        "neighbours": novelty.NEIGHBOURS,
        "known_share": KNOWN_SHARE,
        "fitted_on": len(known),
    }


def _describe_run(
    trained: Trained, dataset: Dataset, recipe: Recipe, bits: int, described: dict[str, Any]
) -> dict[str, Any]:
    last = trained.history[-1] if trained.history else None
    return {
        "recipe": asdict(recipe),
        "seed": recipe.seed,
        "classes": list(dataset.classes),
        "data": {"digest": dataset.digest, "source": dataset.source, "pictures": _count(dataset)},
        "code_version": __version__,
        "packages": {name: version(name) for name in ("torch", "onnx", "onnxruntime", "numpy", "pillow")},
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "cpu": platform.machine(),
        },
        "bits": bits,
        "stopped": trained.stopped,
        "train_seconds": sum(epoch.seconds for epoch in trained.history),
        "history": [asdict(epoch) for epoch in trained.history],
        "metrics": {
            "train_accuracy": last.train_accuracy if last else None,
            "validation_accuracy": last.validation_accuracy if last else None,
            "validation_ece": described["ece"],
        },
    }


def _count(dataset: Dataset) -> dict[str, dict[str, int]]:
    return {
        name: {label: int((split.labels == place).sum()) for place, label in enumerate(dataset.classes)}
        for name, split in dataset.splits.items()
    }
