"""What the classifier is measured against: a frozen backbone, and a small network from scratch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scones.model.dataset import Split
from scones.model.head import compute_embeddings, fit_head, to_tensor
from scones.model.network import load_imagenet
from scones.model.recipe import Recipe
from scones.model.training import flush_denormals, set_up
from scones.model.workers import open_workers

EPOCHS, BATCH = 30, 32


def score_frozen(training: Split, held_out: Split, seed: int) -> float:
    """Accuracy of logistic regression on ImageNet embeddings at 160 pixels, mirror images averaged."""
    set_up(Recipe(seed=seed, threads=1))
    network = load_imagenet()
    with open_workers(1) as workers:
        head = fit_head(network, training, int(training.labels.max()) + 1, workers)
        embeddings = [
            compute_embeddings(network, held_out.pixels, workers, mirrored) for mirrored in (False, True)
        ]
    answers = head(torch.stack(embeddings).mean(0)).argmax(1)
    return float((answers == torch.from_numpy(held_out.labels)).float().mean())


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut (K. He et al., 2015, option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def make_resnet20(classes: int) -> nn.Module:
    """ResNet-20 for 32x32 pictures."""
    stages = [Residual(a, b, s) for a, b, s in ((16, 16, 1), (16, 32, 2), (32, 64, 2))]
    blocks = [m for first, width in zip(stages, (16, 32, 64), strict=True)
              for m in (first, Residual(width, width, 1), Residual(width, width, 1))]  # fmt: skip
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))


@flush_denormals()
def score_resnet(training: Split, held_out: Split, seed: int) -> float:
    """Accuracy after 30 epochs of SGD from random weights, with crops and mirror images."""
    set_up(Recipe(seed=seed, threads=1))
    network = make_resnet20(int(training.labels.max()) + 1).to(memory_format=torch.channels_last)
    pictures, labels = _shrink(training), torch.from_numpy(training.labels)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4, nesterov=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, EPOCHS * (len(labels) // BATCH))
    for _ in range(EPOCHS):
        order = torch.randperm(len(labels))
        for start in range(0, len(labels) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            loss = F.cross_entropy(network(_vary(pictures[chosen])), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        x = _shrink(held_out)
        answers = (network(x).softmax(1) + network(x.flip(3)).softmax(1)).argmax(1)
    return float((answers == torch.from_numpy(held_out.labels)).float().mean())


def _shrink(split: Split) -> Tensor:
    """Back to the thumbnails' own 32 pixels, values about -1 to 1."""
    small = F.interpolate(to_tensor(split.pixels).float(), size=(32, 32), mode="area")
    return ((small - 127) / 64).contiguous(memory_format=torch.channels_last)


def _vary(x: Tensor) -> Tensor:
    top, left = (int(torch.randint(9, ())) for _ in range(2))
    x = F.pad(x, (4, 4, 4, 4))[:, :, top : top + 32, left : left + 32]
    mirrored = torch.rand(len(x)) < 0.5
    return torch.where(mirrored[:, None, None, None], x.flip(3), x)
