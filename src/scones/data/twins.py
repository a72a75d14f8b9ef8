"""Finds near-duplicates: the same photo, or the same series of photos, cropped, mirrored or recoloured.

The similarity of two 32x32 thumbnails is half the sum of

- how their details correlate (grey, what a 7-pixel mean leaves over, best of 25 shifts by up to 2 pixels),
and - how their coarse colours correlate (8x8), less their distance (root mean square, 0-255) divided by
100,

for the second picture as it is or mirrored; equal pictures have 1. Detail alone pairs every side view of a
bicycle on white, coarse colour alone pairs every road under a sky; together they rank all eight train/test
pairs that were found by eye among the first 120 of the 719,400 pairs of CIFAR-100's two-wheelers
(docs/explanation/data.md). What "near-duplicate" means follows B. Barz, J. Denzler: Do We Train on Test
Data? Purging CIFAR of Near-Duplicates, Journal of Imaging 6(6), 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scones.data.collection import Progress, ignore_progress

THRESHOLD = 0.64
SIDE = 32
GRID = 8
SHIFT = 2
INNER = SIDE - 2 * SHIFT
# Pairs are looked at in detail if their coarse colours correlate and lie close at least so much: a pair below
# would need perfect detail to pass the threshold.
LEAST_CORRELATION = 0.7
LEAST_COARSE = 0.4
ROWS = 256  # pictures compared with all others at a time, which bounds memory

Pair = tuple[int, int, float]
Floats = NDArray[np.float32]


def find_twins(thumbnails: NDArray[np.uint8], progress: Progress = ignore_progress) -> list[Pair]:
    """Pairs (i, j, similarity) of near-duplicates, i < j, among thumbnails (n, 32, 32, 3), best first."""
    found: dict[tuple[int, int], float] = {pair: 1.0 for pair in _find_equal(thumbnails)}
    means, spreads, plain, mirrored = _coarsen(thumbnails)
    for start in range(0, len(thumbnails), ROWS):
        progress("Looking for near-duplicates", start, len(thumbnails))
        for flip, other in ((1, plain), (-1, mirrored)):
            first, second, coarse = _compare_coarse(start, means, spreads, plain, other)
            similarity = (coarse + _compare_detail(thumbnails, first, second, flip)) / 2
            for i, j, value in zip(first, second, similarity, strict=True):
                if value >= THRESHOLD:
                    found[int(i), int(j)] = max(float(value), found.get((int(i), int(j)), 0.0))
    progress("Looking for near-duplicates", len(thumbnails), len(thumbnails))
    return sorted(((i, j, value) for (i, j), value in found.items()), key=lambda pair: (-pair[2], pair))


def _find_equal(thumbnails: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Equal pictures; blank ones have nothing that could correlate."""
    first: dict[bytes, int] = {}
    for index, picture in enumerate(thumbnails):
        earlier = first.setdefault(picture.tobytes(), index)
        if earlier != index:
            yield earlier, index


def _coarsen(thumbnails: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean and norm of each picture's 8x8 colours, and these standardised, plain and mirrored (n, 192)."""
    cell = SIDE // GRID
    # Of a line of 96 values, its part of 8 mean colours: as a product, because sums over few values are slow.
    to_cells = np.kron(np.kron(np.eye(GRID), np.ones((cell, 1))), np.eye(3)).astype(np.float32) / cell**2
    colours = np.empty((len(thumbnails), GRID * GRID * 3), dtype=np.float32)
    for start in range(0, len(thumbnails), ROWS):
        lines = thumbnails[start : start + ROWS].reshape(-1, SIDE * 3).astype(np.float32) @ to_cells
        colours[start : start + ROWS] = (
            lines.reshape(-1, GRID, cell, GRID * 3).sum(axis=2).reshape(-1, GRID * GRID * 3)
        )
    means = colours.mean(axis=1)
    colours -= means[:, None]
    spreads = np.maximum(np.linalg.norm(colours, axis=1), 1e-3)
    colours /= spreads[:, None]
    mirrored = colours.reshape(-1, GRID, GRID, 3)[:, :, ::-1].reshape(-1, GRID * GRID * 3)
    return means, spreads, colours, mirrored


def _compare_coarse(
    start: int, means: Floats, spreads: Floats, plain: Floats, other: Floats
) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    """Pairs of rows from `start` with later ones that may be near-duplicates, and their coarse similarity."""
    correlation = plain[start : start + ROWS] @ other[start:].T
    first, second = np.nonzero(correlation >= LEAST_CORRELATION)
    later = second > first
    first, second = first[later], second[later]
    close = correlation[first, second]
    first, second = first + start, second + start
    a, b = spreads[first], spreads[second]
    squares = np.maximum(a * a + b * b - 2 * a * b * close, 0) / plain.shape[1]
    coarse = close - np.sqrt(squares + (means[first] - means[second]) ** 2) / 100
    kept = coarse >= LEAST_COARSE
    return first[kept], second[kept], coarse[kept]


def _compare_detail(
    thumbnails: NDArray[np.uint8], first: NDArray[Any], second: NDArray[Any], flip: int
) -> Floats:
    """Best correlation of the detail in the middle of pictures `first` with that in `second`, shifted."""
    shown, places = np.unique(np.concatenate([first, second]), return_inverse=True)
    detail = _extract_detail(thumbnails[shown])
    other = np.ascontiguousarray(detail[:, :, ::flip])
    norms = np.sqrt(np.maximum(_sum_windows(other * other), 1e-6))
    best = np.full(len(first), -1, dtype=np.float32)
    middle = slice(SHIFT, SHIFT + INNER)
    for start in range(0, len(first), ROWS):
        part = slice(start, start + ROWS)
        a, b = places[: len(first)][part], places[len(first) :][part]
        centre = detail[a, middle, middle]
        seconds = other[b]
        for down in range(2 * SHIFT + 1):
            for right in range(2 * SHIFT + 1):
                moved = seconds[:, down : down + INNER, right : right + INNER]
                dots = np.einsum("nyx,nyx->n", centre, moved)
                np.maximum(best[part], dots / norms[b, down, right], out=best[part])
        best[part] /= norms[a, SHIFT, SHIFT]
    return best


def _extract_detail(thumbnails: NDArray[np.uint8]) -> Floats:
    """Grey pictures (n, 32, 32), slightly smoothed, less their surroundings."""
    to_grey = np.kron(np.eye(SIDE), np.ones((3, 1)) / 3).astype(np.float32)  # a line of 96 values to 32
    grey = (thumbnails.reshape(-1, SIDE * 3).astype(np.float32) @ to_grey).reshape(-1, SIDE, SIDE)
    fine, wide = _blur((0.25, 0.5, 0.25)), np.linalg.matrix_power(_blur((1 / 7,) * 7), 2)
    return np.asarray(fine @ grey @ fine.T - wide @ grey @ wide.T, dtype=np.float32)


@cache
def _blur(weights: tuple[float, ...]) -> Floats:
    """Matrix (32, 32) that convolves a column; the border is repeated."""
    matrix = np.zeros((SIDE, SIDE), dtype=np.float32)
    for row in range(SIDE):
        for shift, weight in enumerate(weights):
            matrix[row, np.clip(row + shift - len(weights) // 2, 0, SIDE - 1)] += weight
    return matrix


def _sum_windows(images: Floats) -> Floats:
    """Sums over the middle of images (n, 32, 32) and over the same window shifted, (n, 5, 5)."""
    shifts, columns = np.ogrid[: 2 * SHIFT + 1, :SIDE]
    window = ((columns >= shifts) & (columns < shifts + INNER)).astype(np.float32)
    return np.asarray(window @ images @ window.T, dtype=np.float32)


def group_pairs(count: int, pairs: list[Pair]) -> list[int]:
    """A group for each of `count` images: linked ones share one, named by the least index among them."""
    parent = list(range(count))

    def find_root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second, _ in pairs:
        low, high = sorted((find_root(first), find_root(second)))
        parent[high] = low
    return [find_root(index) for index in range(count)]
