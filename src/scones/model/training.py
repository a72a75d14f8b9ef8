"""Fine-tunes EfficientNet-Lite0 on a few hundred to a few thousand pictures, on two CPU cores, in about two
minutes.

    1. Embed every picture and its mirror image with the ImageNet network; fit the last layer by logistic
       regression.
    2. Freeze the stem, the first five blocks and all depthwise filters; fine-tune the rest with AdamW: rates
       warm up over the first tenth of the steps, then fall to nothing as a cosine.
    3. Each epoch varies every picture at random (`augmentation`), at a side that grows from 96 to 160 pixels;
       each step adds a few pictures of no class, whose target is "don't know".
    4. Stop early when validation gets no better, and go back to its best epoch.

Deterministic on one machine: every epoch has its own random numbers, drawn from the seed and its number, so
a run that was killed and resumed from its checkpoint ends with the same weights as one that was not.

Measured results: benchmarks/train.json (mean and standard deviation over seeds, cross-validation, baselines,
hardware, versions and the command); docs/explanation/classifier.md says what was tried.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from scones.errors import ModelError
from scones.model.checkpoint import load_checkpoint, save_checkpoint
from scones.model.dataset import Dataset, Split
from scones.model.head import evaluate, fit_head, to_tensor
from scones.model.network import EMBEDDING, Bottleneck, EfficientNetLite, load_imagenet
from scones.model.recipe import Recipe
from scones.model.step import Batch, Stepper
from scones.model.workers import open_workers

FIRST_SIDE = 96  # pixels; blurred little, cheap
GROWTH = 0.6  # share of the epochs after which the side grows no more
WARM_UP = 0.1  # share of the steps
# Measured peak beside the pictures themselves: PyTorch, the network, AdamW's state and one step's
# activations.
WORKING_BYTES = 1_200_000_000


@dataclass(frozen=True)
class Epoch:
    """What one epoch did. Losses are mean cross-entropies; validation fields are None without such a
    split."""

    number: int
    epochs: int
    side: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float


@dataclass(frozen=True)
class Trained:
    """A network ready for export, and how it came about."""

    network: EfficientNetLite
    history: tuple[Epoch, ...]
    stopped: str = ""  # "", "early" or "signal"


def train(
    dataset: Dataset,
    recipe: Recipe,
    report: Callable[[Epoch], None] = lambda epoch: None,
    checkpoint: Path | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Trained:
    """Fine-tune on `dataset.splits["train"]`, watching `validation` if there is one.

    `report` hears of each epoch; `checkpoint` is written after each, and resumed from when it belongs to
    the same data and recipe; `should_stop` is asked at each step. Raises ModelError when memory is short,
    the checkpoint is damaged, or the loss is no longer finite.
    """
    training, validation = dataset.splits["train"], dataset.splits.get("validation")
    check_memory(training)
    set_up(recipe)
    resumed = load_checkpoint(checkpoint, recipe, dataset.digest)
    history: list[Epoch] = []
    best = None
    with open_workers(torch.get_num_threads()) as workers:
        network = _prepare(training, len(dataset.classes), recipe, workers, fitted=resumed is None)
        stepper = Stepper(network, recipe, workers)
        if resumed is not None:
            network.load_state_dict(resumed.network)
            stepper.optimizer.load_state_dict(resumed.optimizer)
            history, best = [Epoch(**entry) for entry in resumed.history], resumed.best
        for number in range(len(history), recipe.epochs):
            if _is_stale(history, recipe):
                break
            epoch = _run_epoch(stepper, training, validation, recipe, number, should_stop)
            if epoch is None:
                return Trained(network, tuple(history), "signal")
            history.append(epoch)
            report(epoch)
            if _is_best(history):
                best = {name: value.clone() for name, value in network.state_dict().items()}
            save_checkpoint(
                checkpoint, recipe, dataset.digest, network, stepper.optimizer,
                [asdict(e) for e in history], best,
            )  # fmt: skip
    if not _is_stale(history, recipe):
        return Trained(network, tuple(history))
    network.load_state_dict(best or network.state_dict())
    return Trained(network, tuple(history), "early")


def set_up(recipe: Recipe) -> None:
    """PyTorch's process-wide state: threads and random numbers."""
    torch.set_num_threads(recipe.threads or os.cpu_count() or 1)
    torch.manual_seed(recipe.seed)


@contextmanager
def flush_denormals() -> Iterator[None]:
    """Denormals count as zero meanwhile: they are slow and do training no good; other code needs them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def check_memory(training: Split, available: int | None = None) -> None:
    """Raises ModelError when less memory is free than training takes."""
    if available is None:
        available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        available = max(available, _read_available())
    if available < WORKING_BYTES:
        raise ModelError(
            f"Training {len(training)} pictures takes {WORKING_BYTES / 1e9:.1f} GB of memory; "
            f"{available / 1e9:.1f} GB is free.",
            "Close other programs, or use a machine with more memory.",
        )


def _read_available() -> int:
    """Linux's own estimate, which counts what the page cache would give back; 0 elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)


def _prepare(
    training: Split, classes: int, recipe: Recipe, workers: Executor, fitted: bool
) -> EfficientNetLite:
    """The ImageNet network with a last layer for `classes`, fitted unless a checkpoint brings its own."""
    network = load_imagenet()
    head = fit_head(network, training, classes, workers) if fitted else nn.Linear(EMBEDDING, classes)
    network.classifier = head
    for frozen in (network.stem, *network.blocks[: recipe.frozen_blocks]):
        frozen.requires_grad_(False)
    for block in network.blocks:
        assert isinstance(block, Bottleneck)
        block.depthwise.requires_grad_(
            False
        )  # its gradient would take a quarter of a step, and helps nothing
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def choose_side(number: int, recipe: Recipe) -> int:
    """The pictures' side in epoch `number` (from 0), a multiple of 16 from FIRST_SIDE to the recipe's."""
    progress = min(1.0, number / max(1.0, GROWTH * (recipe.epochs - 1)))
    return 16 * round((FIRST_SIDE + progress * (recipe.side - FIRST_SIDE)) / 16)


def _scale_rate(step: int, steps: int) -> float:
    warm = max(1, int(steps * WARM_UP))
    return (
        (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
    )


@flush_denormals()
def _run_epoch(
    stepper: Stepper,
    training: Split,
    validation: Split | None,
    recipe: Recipe,
    number: int,
    should_stop: Callable[[], bool],
) -> Epoch | None:
    """One pass over the training pictures and one look at validation; None when told to stop."""
    started = time.perf_counter()
    generator = torch.Generator().manual_seed(recipe.seed * 10_007 + number)
    side, losses, right = choose_side(number, recipe), 0.0, 0
    batches = list(_draw_batches(len(training), recipe.mini_batch_size, generator))
    for position, chosen in enumerate(batches):
        if should_stop():
            return None
        rate = _scale_rate(number * len(batches) + position, recipe.epochs * len(batches))
        step_loss, hits = stepper.take(_pick(training, chosen, side), rate, generator)
        losses, right = losses + step_loss, right + hits
    seen = sum(len(chosen) for chosen in batches)
    loss, accuracy = None, None
    if validation is not None:
        loss, accuracy = evaluate(stepper.network, validation, stepper.workers)
    return Epoch(
        number + 1, recipe.epochs, side, losses / len(batches), right / seen, loss, accuracy,
        seconds=time.perf_counter() - started,
    )  # fmt: skip


def _pick(training: Split, chosen: Tensor, side: int) -> Batch:
    pixels = to_tensor(training.pixels[chosen.numpy()])
    return Batch(pixels, torch.from_numpy(training.labels)[chosen], side)


def _draw_batches(count: int, size: int, generator: Generator) -> Iterator[Tensor]:
    """Shuffled indices; the last, incomplete batch is left out unless it is the only one."""
    order = torch.randperm(count, generator=generator)
    for start in range(0, max(count - size + 1, 1), size):
        yield order[start : start + size]


def _is_best(history: list[Epoch]) -> bool:
    losses = [epoch.validation_loss for epoch in history if epoch.validation_loss is not None]
    return bool(losses) and losses[-1] == min(losses)


def _is_stale(history: list[Epoch], recipe: Recipe) -> bool:
    """Whether the last `early_stopping_patience` epochs brought no lower validation loss."""
    losses = [epoch.validation_loss for epoch in history if epoch.validation_loss is not None]
    since = len(losses) - 1 - losses.index(min(losses)) if losses else 0
    return recipe.early_stopping and since >= recipe.early_stopping_patience
