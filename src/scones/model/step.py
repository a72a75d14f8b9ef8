"""One step of training, computed on every core at once.

The pictures of a step are dealt out to a few parts; each is varied, sent through the network and
differentiated by one worker, and the gradients are added up. The parts, each with random numbers of its own,
do not depend on the number of workers, and are added in their order: the same seed gives the same weights.
"""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from scones.errors import ModelError
from scones.model.augmentation import augment, make_outliers
from scones.model.network import EfficientNetLite, normalise
from scones.model.recipe import Recipe
from scones.model.trunk import Trunk, make_trunk

PARTS = 4
MOST_GRADIENT = 5.0
OUTLIER_WEIGHT = 0.5


@dataclass(frozen=True)
class Batch:
    """A step's pictures (n, 3, side, side), bytes, their labels (n,), and the side they are varied to."""

    pixels: Tensor
    labels: Tensor
    side: int


@dataclass(frozen=True)
class Part:
    """What one part adds to a step: to the gradients, the loss and the number of right answers."""

    gradients: tuple[Tensor, ...]
    loss: float
    right: int


class Stepper:
    """Fine-tunes `network` step by step."""

    def __init__(self, network: EfficientNetLite, recipe: Recipe, workers: Executor) -> None:
        self.network, self.workers = network, workers
        self.optimizer = _make_optimizer(network, recipe)
        self._recipe = recipe
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._trunk: Trunk = make_trunk(network, recipe.frozen_blocks)

    def take(self, batch: Batch, rate: float, generator: Generator) -> tuple[float, int]:
        """Take a step at `rate` of the peak rates; its loss, and how many varied pictures were told rightly.

        Raises ModelError when the loss is no longer finite.
        """
        count = min(PARTS, len(batch.labels))
        seeds = torch.randint(2**62, (count,), generator=generator).tolist()
        parts = list(self.workers.map(partial(self._differentiate, batch, count), range(count), seeds))
        loss = sum(part.loss for part in parts)
        if not math.isfinite(loss):
            raise ModelError("The training loss is no longer finite.", "Lower learning_rate.")
        for parameter, *gradients in zip(self._parameters, *(part.gradients for part in parts), strict=True):
            parameter.grad = sum(gradients[1:], gradients[0])
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["peak"]
        nn.utils.clip_grad_norm_(self._parameters, MOST_GRADIENT)
        self.optimizer.step()
        return loss, sum(part.right for part in parts)

    def _differentiate(self, batch: Batch, count: int, number: int, seed: int) -> Part:
        """Part `number` of `count` of the step, with some of its pictures of no class."""
        generator, size = torch.Generator().manual_seed(seed), len(batch.labels)
        pixels, labels = batch.pixels[number::count], batch.labels[number::count]
        kinds = range(round(size * self._recipe.outliers))[number::count]
        strangers = make_outliers(pixels, kinds, batch.side, generator)
        x = self._trunk(normalise(torch.cat([augment(pixels, batch.side, generator), strangers])))
        embeddings = self.network.embed(x, skip=self._recipe.frozen_blocks)
        logits = self.network.classifier(_drop(embeddings, self._recipe.dropout, generator))
        loss = _sum_losses(logits, labels, self._recipe.label_smoothing) / size
        gradients = torch.autograd.grad(loss, self._parameters)
        return Part(gradients, loss.item(), int((logits[: len(labels)].argmax(1) == labels).sum()))


def _drop(embeddings: Tensor, share: float, generator: Generator) -> Tensor:
    """Dropout with random numbers of its own: PyTorch's draws from those that all threads share."""
    kept = torch.rand(embeddings.shape, generator=generator) >= share
    return embeddings * kept / (1 - share)


def _sum_losses(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropies to the labels, and of the pictures after those to "every class alike"."""
    known, unknown = logits[: len(labels)], logits[len(labels) :]
    loss = F.cross_entropy(known, labels, label_smoothing=smoothing, reduction="sum")
    return loss - OUTLIER_WEIGHT * F.log_softmax(unknown, 1).mean(1).sum()


def _make_optimizer(network: EfficientNetLite, recipe: Recipe) -> torch.optim.AdamW:
    backbone = [p for name, p in network.named_parameters() if p.requires_grad and "classifier" not in name]
    decayed = {"params": [p for p in backbone if p.dim() > 1], "peak": recipe.learning_rate}
    biases = {
        "params": [p for p in backbone if p.dim() == 1],
        "peak": recipe.learning_rate,
        "weight_decay": 0.0,
    }
    head = {"params": list(network.classifier.parameters()), "peak": recipe.head_learning_rate}
    return torch.optim.AdamW([decayed, biases, head], lr=0.0, weight_decay=recipe.weight_decay)
