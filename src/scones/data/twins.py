"""Finds near-duplicates: the same photo cropped, scaled, recoloured or compressed anew.

First version: correlation of grey thumbnails.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLD = 0.8


def find_twins(thumbnails: NDArray[np.uint8]) -> list[tuple[int, int, float]]:
    """Pairs (i, j, similarity) of near-duplicates among thumbnails (n, 32, 32, 3), most similar first."""
    features = _standardise(thumbnails)
    similar = features @ features.T
    first, second = np.nonzero(np.triu(similar, 1) > THRESHOLD)
    pairs = [(int(i), int(j), float(similar[i, j])) for i, j in zip(first, second, strict=True)]
    return sorted(pairs, key=lambda pair: -pair[2])


def _standardise(thumbnails: NDArray[np.uint8]) -> NDArray[Any]:
    grey = thumbnails.mean(axis=3, dtype=np.float32).reshape(len(thumbnails), -1)
    grey -= grey.mean(axis=1, keepdims=True)
    return grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-6)


def group_pairs(count: int, pairs: list[tuple[int, int, float]]) -> list[int]:
    """A group number for each of `count` images; images linked by pairs share one, the smallest index of them."""
    parent = list(range(count))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second, _ in pairs:
        low, high = sorted((root(first), root(second)))
        parent[high] = low
    return [root(index) for index in range(count)]
