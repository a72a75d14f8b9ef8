"""Embeddings of unvaried pictures, and the last layer fitted on them."""

from __future__ import annotations

from concurrent.futures import Executor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scones.model.dataset import Split
from scones.model.network import EMBEDDING, EfficientNetLite, normalise
from scones.model.trunk import Trunk, make_trunk

PENALTY = 0.01  # of the logistic regression
BATCH = 25


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """(n, side, side, 3) bytes to a (n, 3, side, side) tensor that shares them."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def compute_embeddings(
    network: EfficientNetLite,
    pixels: NDArray[np.uint8],
    workers: Executor,
    mirrored: bool = False,
    trunk: Trunk | None = None,
) -> Tensor:
    """Embeddings (n, 1280) of unvaried pictures; `trunk` is the network's own, of all its blocks."""

    @torch.no_grad()
    def embed(start: int) -> Tensor:
        x = normalise(to_tensor(pixels[start : start + BATCH]))
        x = (x.flip(3) if mirrored else x).contiguous(memory_format=torch.channels_last)
        return network.embed(x) if trunk is None else network.embed(trunk(x), skip=len(network.blocks))

    return torch.cat(list(workers.map(embed, range(0, len(pixels), BATCH))))


def fit_head(network: EfficientNetLite, training: Split, classes: int, workers: Executor) -> nn.Linear:
    """Logistic regression on the standardised embeddings of the pictures and their mirror images."""
    trunk = make_trunk(network, len(network.blocks))
    both = [
        compute_embeddings(network, training.pixels, workers, mirrored, trunk) for mirrored in (False, True)
    ]
    embeddings, labels = torch.cat(both), torch.from_numpy(training.labels).repeat(2)
    mean, deviation = embeddings.mean(0), embeddings.std(0) + 1e-3
    head = nn.Linear(EMBEDDING, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=100, line_search_fn="strong_wolfe")
    inputs = (embeddings - mean) / deviation

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(head(inputs), labels) + PENALTY / 2 * head.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.weight.div_(deviation)
        head.bias.sub_(head.weight @ mean)
    return head


@torch.no_grad()
def evaluate(network: EfficientNetLite, split: Split, workers: Executor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy on unvaried pictures."""
    logits = network.classifier(compute_embeddings(network, split.pixels, workers))
    labels = torch.from_numpy(split.labels)
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).float().mean().item()
