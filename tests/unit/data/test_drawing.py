"""The drawn sample: the same everywhere, the same at every size, and told apart by shape alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scones.data.drawing import CORRUPTIONS, SAMPLE_CLASSES, corrupt, draw_image
from scones.errors import UsageError

Array = NDArray[np.float64]
TRAIN, TEST = 1000, 500

# Brightness of a 3 x 3 grid, left to right and top to bottom.
FINGERPRINTS: dict[tuple[str, int], list[int]] = {
    ("bicycle", 0): [216, 196, 194, 194, 175, 180, 144, 115, 149],
    ("bicycle", 1): [182, 176, 155, 165, 147, 138, 129, 117, 123],
    ("bicycle", 2): [226, 191, 217, 202, 143, 205, 180, 140, 151],
    ("motorcycle", 0): [218, 198, 194, 168, 155, 180, 103, 78, 151],
    ("motorcycle", 1): [182, 176, 155, 163, 137, 130, 127, 114, 117],
    ("motorcycle", 2): [223, 197, 217, 198, 130, 135, 132, 129, 128],
}


def pixels(image: Image.Image) -> Array:
    return np.asarray(image, dtype=float)


def fingerprint(name: str, seed: int) -> list[int]:
    grey = draw_image(name, seed, 96).convert("L").resize((3, 3), Image.Resampling.BOX)
    return [int(value) for value in np.asarray(grey).ravel()]


@pytest.fixture(scope="module")
def drawn() -> tuple[NDArray[np.uint8], Array]:
    """(1500, 32, 32, 3) images, each of its own seed, and their classes as -1 and +1."""
    count = TRAIN + TEST
    images = [np.asarray(draw_image(SAMPLE_CLASSES[seed % 2], seed)) for seed in range(count)]
    return np.stack(images), np.where(np.arange(count) % 2, 1.0, -1.0)


def accuracy(features: Array, labels: Array) -> float:
    """Of ridge regression on the held-out draws, at whichever strength does best there: an upper bound."""
    scaled = (features - features[:TRAIN].mean(axis=0)) / (features[:TRAIN].std(axis=0) + 1e-9)
    train, test = scaled[:TRAIN], scaled[TRAIN:]
    values, vectors = np.linalg.eigh(train @ train.T)
    scores = [
        test @ (train.T @ (vectors @ ((vectors.T @ labels[:TRAIN]) / (values + strength))))
        for strength in (10.0, 100.0, 1e3, 1e4, 1e5)
    ]
    return max(float(np.mean((score > 0) == (labels[TRAIN:] > 0))) for score in scores)


def colour_statistics(images: NDArray[np.uint8]) -> Array:
    """Mean, deviation, quantiles and histograms (per channel and joint) of each image's pixels."""
    flat = images.reshape(len(images), -1, 3)
    joint = (flat // 64) @ np.array([16, 4, 1])
    return np.concatenate(
        [
            flat.mean(axis=1),
            flat.std(axis=1),
            np.quantile(flat.mean(axis=2), np.linspace(0, 1, 17), axis=1).T,
            np.stack([(flat // 16 == level).mean(axis=1) for level in range(16)], axis=1).reshape(
                len(flat), -1
            ),
            np.stack([(joint == cell).mean(axis=1) for cell in range(64)], axis=1),
        ],
        axis=1,
    )


def edge_directions(images: NDArray[np.uint8]) -> Array:
    """Histograms of oriented gradients: 8 directions in 8 x 8 cells, the classic features of shape."""
    grey = images.mean(axis=3)
    down, across = np.gradient(grey, axis=(1, 2))
    strength = np.hypot(down, across)
    direction = (np.arctan2(down, across) % np.pi / np.pi * 8).astype(int) % 8
    cells = [(strength * (direction == k)).reshape(-1, 8, 4, 8, 4).sum(axis=(2, 4)) for k in range(8)]
    stacked = np.stack(cells, axis=-1)
    norm = np.sqrt((stacked**2).sum(axis=(1, 2, 3), keepdims=True))
    features: Array = np.sqrt(stacked / (norm + 1e-9)).reshape(len(images), -1)
    return features


def test_colour_statistics_do_not_tell_the_classes_apart(drawn: tuple[NDArray[np.uint8], Array]) -> None:
    images, labels = drawn
    assert accuracy(colour_statistics(images), labels) < 0.75


def test_a_linear_model_on_pixels_does_not_tell_the_classes_apart(
    drawn: tuple[NDArray[np.uint8], Array],
) -> None:
    images, labels = drawn
    assert accuracy(images.reshape(len(images), -1).astype(float), labels) < 0.85


def test_shape_tells_the_classes_apart(drawn: tuple[NDArray[np.uint8], Array]) -> None:
    images, labels = drawn
    assert accuracy(edge_directions(images), labels) > 0.8


def test_the_colour_test_would_notice_a_tint(drawn: tuple[NDArray[np.uint8], Array]) -> None:
    images, labels = drawn
    tinted = images.astype(int) + np.where(labels > 0, 40, 0)[:, None, None, None] * np.array([1, 0, 0])
    assert accuracy(colour_statistics(tinted.clip(0, 255).astype(np.uint8)), labels) > 0.8


@pytest.mark.parametrize("seed", range(12))
def test_the_classes_of_one_seed_share_their_scene(seed: int) -> None:
    bicycle, motorcycle = (pixels(draw_image(name, seed, 64)) for name in SAMPLE_CLASSES)
    same = (bicycle == motorcycle).all(axis=2)
    assert same[0].mean() > 0.75  # what is above the vehicle
    assert 0.2 < same.mean() < 0.97


@pytest.mark.parametrize(("name", "seed"), FINGERPRINTS)
def test_a_picture_is_the_one_it_always_was(name: str, seed: int) -> None:
    assert np.abs(np.subtract(fingerprint(name, seed), FINGERPRINTS[name, seed])).max() <= 2


def test_another_process_draws_the_same_bytes() -> None:
    script = "import sys; from scones.data.drawing import draw_image as draw\n"
    script += "for seed in range(4): sys.stdout.buffer.write(draw('motorcycle', seed).tobytes())"
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    here = b"".join(draw_image("motorcycle", seed).tobytes() for seed in range(4))
    assert hashlib.sha256(there).hexdigest() == hashlib.sha256(here).hexdigest()


def test_seeds_differ() -> None:
    assert len({draw_image("bicycle", seed).tobytes() for seed in range(50)}) == 50


@pytest.mark.parametrize("size", [16, 32, 33, 100, 224, 1024])
def test_any_size_is_drawn(size: int) -> None:
    image = draw_image("motorcycle", 3, size)
    assert (image.mode, image.size) == ("RGB", (size, size))


@pytest.mark.parametrize("name", SAMPLE_CLASSES)
@pytest.mark.parametrize("seed", range(6))
def test_a_seed_is_the_same_picture_at_every_size(name: str, seed: int) -> None:
    small = pixels(draw_image(name, seed, 32)).ravel()
    large = pixels(draw_image(name, seed, 256).reduce(8)).ravel()
    assert np.corrcoef(small, large)[0, 1] > 0.85


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("car", 0, 32), "'car'"),
        (("bicycle", -1, 32), "-1 is negative"),
        (("bicycle", 0, 8), "8 pixels"),
        (("bicycle", 0, 100_000), "100000 pixels"),
    ],
)
def test_other_arguments_are_refused(arguments: tuple[str, int, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        draw_image(*arguments)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_grows_with_its_severity(kind: str) -> None:
    image = draw_image("bicycle", 5, 64)
    levels = [0.0, 0.15, 0.4, 1.0] if kind != "rotate" else [0.0, 0.02, 0.1]
    harm = [float(np.abs(pixels(corrupt(image, kind, level, 7)) - pixels(image)).mean()) for level in levels]
    assert harm[0] == 0
    assert harm == sorted(harm)
    assert harm[-1] > 8


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_corruption_keeps_the_size_of_a_picture_of_any_mode(kind: str) -> None:
    photo = Image.new("LA", (90, 41), (120, 255))
    spoilt = corrupt(photo, kind, 0.7, 1)
    assert (spoilt.mode, spoilt.size) == ("RGB", (90, 41))
    assert spoilt.tobytes() == corrupt(photo, kind, 0.7, 1).tobytes()


def test_unrelated_and_blank_pictures_show_nothing_of_the_vehicle() -> None:
    bicycle, motorcycle = (draw_image(name, 2, 48) for name in SAMPLE_CLASSES)
    for kind in ("unrelated", "blank"):
        assert corrupt(bicycle, kind, 1, 3).tobytes() == corrupt(motorcycle, kind, 1, 3).tobytes()
    assert pixels(corrupt(bicycle, "blank", 1, 3)).std(axis=(0, 1)).max() == 0
    assert pixels(corrupt(bicycle, "unrelated", 1, 3)).std() > 5
    assert len({corrupt(bicycle, "unrelated", 1, seed).tobytes() for seed in range(20)}) == 20


@pytest.mark.parametrize(
    ("kind", "severity", "seed", "words"),
    [
        ("sepia", 0.5, 0, "'sepia'"),
        ("fog", 1.5, 0, "1.5"),
        ("fog", float("nan"), 0, "nan"),
        ("fog", 1, -2, "-2"),
    ],
)
def test_other_corruptions_are_refused(kind: str, severity: float, seed: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        corrupt(draw_image("bicycle", 0), kind, severity, seed)
