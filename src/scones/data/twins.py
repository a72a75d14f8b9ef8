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
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scones.data.collection import Progress, ignore_progress

THRESHOLD = 0.64
SIDE = 32
GRID = 8
SHIFT = 2
INNER = SIDE - 2 * SHIFT
# A cheap look decides which pairs get a closer one: coarse grey that correlates, then coarse colours that are
# close, then detail that is not far from enough before it is shifted by more than a pixel.
LEAST_GREY = 0.8
LEAST_COARSE = 0.4
SLACK = 0.3
NEAR = 5  # shifts that every pair is tried with: none, and one pixel up, down, left and right
BATCH = 4096  # pairs whose detail is compared at a time
ROWS = 128  # pictures or pairs worked on at a time, which bounds memory
# Products are made in pieces of at most 2^18 multiplications, up to which OpenBLAS starts no threads: they
# wait by spinning, which cost this search five times its processor time on a busy machine.
PIECE_ROWS, PIECE_COLUMNS = 8, 1024

Pair = tuple[int, int, float]
Floats = NDArray[np.float32]
Indexes = NDArray[np.intp]


def find_twins(thumbnails: NDArray[np.uint8], progress: Progress = ignore_progress) -> list[Pair]:
    """Pairs (i, j, similarity) of near-duplicates, i < j, among thumbnails (n, 32, 32, 3), best first."""
    found: dict[tuple[int, int], float] = dict.fromkeys(_find_equal(thumbnails), 1.0)
    colours = _coarsen(thumbnails)
    halves = _fold(_standardise(colours.mean(axis=3)))
    waiting: list[Candidates] = []
    for start in range(0, len(thumbnails), ROWS):
        progress("Looking for near-duplicates", start, len(thumbnails))
        for column in range(start, len(thumbnails), PIECE_COLUMNS):
            waiting += _find_candidates(halves, start, column)
        # Together, as pictures recur and their detail is extracted once; not all, for memory's sake.
        if sum(len(one.first) for one in waiting) >= BATCH or start + ROWS >= len(thumbnails):
            _look_closely(thumbnails, colours, _join(waiting), found)
            waiting = []
    progress("Looking for near-duplicates", len(thumbnails), len(thumbnails))
    return sorted(((i, j, value) for (i, j), value in found.items()), key=lambda pair: (-pair[2], pair))


class Candidates(NamedTuple):
    """Pairs of pictures, and whether the second is mirrored."""

    first: Indexes
    second: Indexes
    mirrored: NDArray[np.bool]


def _join(parts: list[Candidates]) -> Candidates:
    return Candidates(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _look_closely(
    thumbnails: NDArray[np.uint8], colours: Floats, pairs: Candidates, found: dict[tuple[int, int], float]
) -> None:
    coarse = _compare_colours(colours, pairs)
    kept = coarse >= LEAST_COARSE
    pairs = Candidates(pairs.first[kept], pairs.second[kept], pairs.mirrored[kept])
    coarse = coarse[kept]
    similarity = (coarse + _compare_detail(thumbnails, pairs, coarse)) / 2
    for i, j, value in zip(pairs.first.tolist(), pairs.second.tolist(), similarity.tolist(), strict=True):
        if value >= THRESHOLD:
            found[i, j] = max(value, found.get((i, j), value))


def _find_equal(thumbnails: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Equal pictures; blank ones have nothing that could correlate."""
    first: dict[bytes, int] = {}
    for index, picture in enumerate(thumbnails):
        earlier = first.setdefault(picture.tobytes(), index)
        if earlier != index:
            yield earlier, index


def _coarsen(thumbnails: NDArray[np.uint8]) -> Floats:
    """Mean colours of 8x8 cells, (n, 8, 8, 3)."""
    cell = SIDE // GRID
    # As a product, because sums over few values are slow: a line of 96 values to 8 cells of 3 colours.
    to_cells = (np.kron(np.kron(np.eye(GRID), np.ones((cell, 1))), np.eye(3)) / cell**2).astype(np.float32)
    colours = np.empty((len(thumbnails), GRID, GRID * 3), dtype=np.float32)
    for start in range(0, len(thumbnails), ROWS):
        lines = (
            thumbnails[start : start + ROWS].reshape(-1, GRID, cell, SIDE * 3).sum(axis=2, dtype=np.uint16)
        )
        np.matmul(lines.astype(np.float32), to_cells, out=colours[start : start + ROWS])
    return colours.reshape(-1, GRID, GRID, 3)


def _standardise(images: Floats) -> Floats:
    """Of each image, its deviation from its mean, of norm 1."""
    return _normalise(images - images.mean(axis=(1, 2), keepdims=True))


def _fold(grey: Floats) -> tuple[Floats, Floats]:
    """Images (n, 8, 8) as what mirroring keeps and what it turns into its negative, (n, 32) each.

    The product of two images is the sum of the products of these halves, and with one of the two mirrored it
    is their difference: both correlations for the price of one.
    """
    left, right = grey[:, :, : GRID // 2], grey[:, :, : -GRID // 2 - 1 : -1]
    scale = np.float32(np.sqrt(0.5))
    size = GRID * GRID // 2
    return ((left + right) * scale).reshape(-1, size), ((left - right) * scale).reshape(-1, size)


def _find_candidates(halves: tuple[Floats, Floats], start: int, column: int) -> Iterator[Candidates]:
    """ROWS pictures from `start` with later ones, of those from `column`, as they are and mirrored, that look
    alike in coarse grey."""
    kept, turned = (_multiply(half[start : start + ROWS], half[column:][:PIECE_COLUMNS]) for half in halves)
    first, second = np.nonzero(kept + np.abs(turned) >= LEAST_GREY)
    kept, turned = kept[first, second], turned[first, second]
    first, second = first + start, second + column
    for mirrored, correlation in ((False, kept + turned), (True, kept - turned)):
        chosen = (second > first) & (correlation >= LEAST_GREY)
        yield Candidates(first[chosen], second[chosen], np.full(chosen.sum(), mirrored))


def _multiply(rows: Floats, others: Floats) -> Floats:
    """`rows` @ `others`.T, in pieces."""
    padded = np.pad(rows, ((0, -len(rows) % PIECE_ROWS), (0, 0)))
    pieces: Floats = padded.reshape(-1, PIECE_ROWS, rows.shape[1]) @ others.T
    return pieces.reshape(len(padded), -1)[: len(rows)]


def _compare_colours(colours: Floats, pairs: Candidates) -> Floats:
    """Correlation of coarse colours, less their distance / 100."""
    others = colours[pairs.second]
    others[pairs.mirrored] = others[pairs.mirrored, :, ::-1]
    a, b = colours[pairs.first].reshape(-1, GRID * GRID * 3), others.reshape(-1, GRID * GRID * 3)
    distance = np.sqrt(np.square(a - b).mean(axis=1))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    correlation = np.einsum("np,np->n", a, b) / np.maximum(norms, 1e-3)
    similarity: Floats = correlation - distance / 100
    return similarity


def _compare_detail(thumbnails: NDArray[np.uint8], pairs: Candidates, coarse: Floats) -> Floats:
    """Best correlation of the detail in the middle of the first pictures with the second ones, shifted.

    Pairs too far from the threshold with a shift of up to one pixel are not shifted further.
    """
    shown, places = np.unique(np.concatenate([pairs.first, pairs.second]), return_inverse=True)
    detail = _extract_detail(thumbnails[shown])
    least = 2 * THRESHOLD - SLACK - coarse
    middle = slice(SHIFT, SHIFT + INNER)
    best = np.full(len(pairs.first), -1, dtype=np.float32)
    for start in range(0, len(best), ROWS):
        left = np.arange(start, min(start + ROWS, len(best)))
        centres = _normalise(detail[places[left], middle, middle])
        others = detail[places[len(best) + left]]
        turned = pairs.mirrored[left]
        others[turned] = others[turned, :, ::-1]
        norms = np.sqrt(np.maximum(_sum_windows(others * others), 1e-6))
        for count, (down, right) in enumerate(_list_shifts()):
            if count == NEAR:
                kept = best[left] >= least[left]
                left, centres, others, norms = left[kept], centres[kept], others[kept], norms[kept]
            moved = others[:, down : down + INNER, right : right + INNER]
            best[left] = np.maximum(
                best[left], np.einsum("nyx,nyx->n", centres, moved) / norms[:, down, right]
            )
    return best


def _list_shifts() -> list[tuple[int, int]]:
    """All of up to SHIFT pixels down and right (SHIFT = none), nearest first."""
    reach = range(2 * SHIFT + 1)
    return sorted(product(reach, reach), key=lambda shift: (shift[0] - SHIFT) ** 2 + (shift[1] - SHIFT) ** 2)


def _normalise(images: Floats) -> Floats:
    norms = np.sqrt(np.einsum("nyx,nyx->n", images, images))
    normalised: Floats = images / np.maximum(norms, np.float32(1e-3))[:, None, None]
    return normalised


def _extract_detail(thumbnails: NDArray[np.uint8]) -> Floats:
    """Grey pictures (n, 32, 32), slightly smoothed, less their surroundings."""
    to_grey = np.kron(np.eye(SIDE), np.ones((3, 1)) / 3).astype(np.float32)  # a line of 96 values to 32
    fine, wide = _blur((0.25, 0.5, 0.25)), np.linalg.matrix_power(_blur((1 / 7,) * 7), 2)
    detail = np.empty(thumbnails.shape[:3], dtype=np.float32)
    for start in range(0, len(thumbnails), ROWS):
        grey = thumbnails[start : start + ROWS].reshape(-1, SIDE, SIDE * 3).astype(np.float32) @ to_grey
        detail[start : start + ROWS] = fine @ grey @ fine.T - wide @ grey @ wide.T
    return detail


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
