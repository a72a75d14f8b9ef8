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

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
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
BATCH = 4096  # pairs that are looked at together, because pictures recur in them
ROWS = 40  # pictures or pairs worked on at a time, which bounds memory
# Products are made in pieces of at most 2^18 multiplications, up to which OpenBLAS starts no threads: they
# wait by spinning, which cost this search five times its processor time on a busy machine.
PIECE_ROWS, PIECE_COLUMNS, PIECE_PICTURES = 40, 80, 10
# In a picture as a line of pixels, a window that is shifted is one that starts elsewhere.
WINDOW = INNER * SIDE - 2 * SHIFT  # pixels from the window's first to its last one
CENTRE = SHIFT * SIDE + SHIFT
NONE, NEAR, ALL = slice(SHIFT, SHIFT + 1), slice(SHIFT - 1, SHIFT + 2), slice(None)  # how far it is shifted

Pair = tuple[int, int, float]
Pictures = Sequence[NDArray[np.uint8]]
Floats = NDArray[np.float32]
Indexes = NDArray[np.intp]


class Coarse(NamedTuple):
    """Pictures of 8x8 cells: their mean, how their colours (n, 192) deviate from it, and the norm of that."""

    means: Floats
    colours: Floats
    norms: Floats


class Candidates(NamedTuple):
    """Pairs of pictures, whether the second is mirrored, and how similar their coarse colours are."""

    first: Indexes
    second: Indexes
    mirrored: NDArray[np.bool]
    coarse: Floats

    def select(self, chosen: NDArray[np.bool]) -> Candidates:
        return Candidates(self.first[chosen], self.second[chosen], self.mirrored[chosen], self.coarse[chosen])

    def cut(self, size: int) -> Iterator[tuple[bool, Indexes]]:
        """Positions of up to `size` pairs, either all mirrored or none."""
        for mirrored in (False, True):
            chosen = np.flatnonzero(self.mirrored == mirrored)
            yield from ((mirrored, chosen[start : start + size]) for start in range(0, len(chosen), size))


def find_twins(pictures: Pictures, progress: Progress = ignore_progress) -> list[Pair]:
    """Pairs (i, j, similarity) of near-duplicates, i < j, among thumbnails (n, 32, 32, 3), best first.

    They come in parts, which are numbered through.
    """
    coarse = _coarsen(pictures)
    found: dict[tuple[int, int], float] = dict.fromkeys(_find_equal(pictures, coarse.means), 1.0)
    alike = list(_find_alike(coarse, progress))
    del coarse  # details need the memory
    for pairs in alike:
        similarity = (pairs.coarse + _compare_detail(pictures, pairs)) / 2
        for i, j, value in zip(pairs.first.tolist(), pairs.second.tolist(), similarity.tolist(), strict=True):
            if value >= THRESHOLD:
                found[i, j] = max(value, found.get((i, j), value))
    return sorted(((i, j, value) for (i, j), value in found.items()), key=lambda pair: (-pair[2], pair))


def _pick(pictures: Pictures, indexes: Indexes) -> NDArray[np.uint8]:
    """Pictures by ascending numbers, as planes (n, 3, 32, 32)."""
    ends = np.cumsum([len(part) for part in pictures])
    cuts = zip(pictures, ends, np.split(indexes, np.searchsorted(indexes, ends[:-1])), strict=True)
    return np.concatenate([part.transpose(0, 3, 1, 2)[cut - end + len(part)] for part, end, cut in cuts])


def _mirror(images: Floats, width: int) -> Floats:
    """Images as lines of pixels, turned left to right."""
    return images.reshape(len(images), -1, width)[:, :, ::-1].reshape(images.shape)


def _find_equal(pictures: Pictures, means: Floats) -> Iterator[tuple[int, int]]:
    """Equal pictures; blank ones have nothing that could correlate.

    Looked for among those of equal mean, which equal pictures have: sums of whole numbers are exact.
    """
    brightness, first = means.tolist(), dict[bytes, int]()
    times = Counter(brightness)
    indexes = [index for index, mean in enumerate(brightness) if times[mean] > 1]
    for index, picture in zip(indexes, _pick(pictures, np.array(indexes, dtype=np.intp)), strict=True):
        earlier = first.setdefault(picture.tobytes(), index)
        if earlier != index:
            yield earlier, index


def _coarsen(pictures: Pictures) -> Coarse:
    cell = SIDE // GRID
    in_cell = np.arange(cell * SIDE)[:, None] % SIDE // cell == np.arange(GRID)
    to_cells = in_cell.astype(np.float32) / cell**2
    colours = np.empty((sum(map(len, pictures)), 3 * GRID**2), dtype=np.float32)
    rest = colours
    for part in pictures:
        for start in range(0, len(part), PIECE_PICTURES):
            planes = part[start : start + PIECE_PICTURES].transpose(0, 3, 1, 2)
            place, rest = np.split(rest, [len(planes)])
            # As a product, because sums over few values are slow: four lines of a plane make eight cells.
            lines = planes.reshape(-1, cell * SIDE).astype(np.float32)
            np.matmul(lines, to_cells, out=place.reshape(-1, GRID))
    means = colours.mean(axis=1)
    colours -= means[:, None]
    return Coarse(means, colours, np.sqrt(np.vecdot(colours, colours)))


def _find_alike(coarse: Coarse, progress: Progress) -> Iterator[Candidates]:
    """Pairs that are alike in coarse grey, and then in coarse colours."""
    count = len(coarse.means)
    columns = _cut_columns(coarse.colours)
    waiting: list[Candidates] = []
    for start in range(0, count, PIECE_ROWS):
        progress("Looking for near-duplicates", start, count)
        waiting.append(_find_candidates(columns, start))
        if sum(len(one.first) for one in waiting) >= BATCH or start + PIECE_ROWS >= count:
            pairs = _compare_colours(coarse, Candidates(*map(np.concatenate, zip(*waiting, strict=True))))
            yield pairs.select(pairs.coarse >= LEAST_COARSE)
            waiting = []
    progress("Looking for near-duplicates", count, count)


def _cut_columns(colours: Floats) -> Floats:
    """Coarse grey of norm 1 as columns, as it is and mirrored: (pieces, 2, 64, PIECE_COLUMNS), padded."""
    columns = np.zeros((-(-len(colours) // PIECE_COLUMNS), 2, GRID**2, PIECE_COLUMNS), dtype=np.float32)
    for place, start in zip(columns, range(0, len(colours), PIECE_COLUMNS), strict=True):
        grey = colours[start : start + PIECE_COLUMNS].reshape(-1, 3, GRID**2).sum(axis=1)
        grey /= np.maximum(np.sqrt(np.vecdot(grey, grey)), 3e-3)[:, None]
        place[0, :, : len(grey)], place[1, :, : len(grey)] = grey.T, _mirror(grey, GRID).T
    return columns


def _find_candidates(columns: Floats, start: int) -> Candidates:
    """PIECE_ROWS pictures from `start`, with later ones that are like them in coarse grey."""
    skipped, offset = divmod(start, PIECE_COLUMNS)
    rows = columns[skipped, 0, :, offset : offset + PIECE_ROWS].T.copy()
    correlation = rows @ columns[skipped:]
    hits = np.flatnonzero(correlation >= LEAST_GREY)
    piece, mirrored, row, column = np.unravel_index(hits, correlation.shape)
    second = (piece + skipped) * PIECE_COLUMNS + column
    pairs = Candidates(row + start, second, mirrored.astype(bool), correlation.ravel()[hits])
    return pairs.select(pairs.second > pairs.first)


def _compare_colours(coarse: Coarse, pairs: Candidates) -> Candidates:
    """Correlation of coarse colours, less their distance / 100."""
    for mirrored, piece in pairs.cut(4 * ROWS):
        first, second = pairs.first[piece], pairs.second[piece]
        a, b = coarse.colours[first], coarse.colours[second]
        products = np.vecdot(a, _mirror(b, GRID) if mirrored else b)
        norms = coarse.norms[first] * coarse.norms[second]
        apart = coarse.norms[first] ** 2 + coarse.norms[second] ** 2 - 2 * products  # of the deviations
        square = apart / a.shape[1] + (coarse.means[first] - coarse.means[second]) ** 2
        pairs.coarse[piece] = products / np.maximum(norms, 1e-3) - np.sqrt(np.maximum(square, 0)) / 100
    return pairs


def _compare_detail(pictures: Pictures, pairs: Candidates) -> Floats:
    """Best correlation of the detail in the middle of the first pictures with the second ones, shifted.

    Pairs too far from the threshold with a shift of up to one pixel are not shifted further.
    """
    shown = np.flatnonzero(np.bincount(np.concatenate([pairs.first, pairs.second])))
    first, second = np.searchsorted(shown, pairs.first), np.searchsorted(shown, pairs.second)
    detail, scales = _extract_detail(pictures, shown)
    inside = (np.arange(WINDOW) % SIDE < INNER).astype(np.float32)
    least = 2 * THRESHOLD - SLACK - pairs.coarse
    best = np.empty(len(first), dtype=np.float32)
    for mirrored, left in pairs.cut(ROWS):
        others, scale = detail[second[left]], scales[second[left]]
        if mirrored:
            others, scale = _mirror(others, SIDE), scale[:, :, ::-1]
        centres = detail[first[left], CENTRE : CENTRE + WINDOW] * inside
        scale = scale * scales[first[left], SHIFT, SHIFT, None, None]
        near = (_correlate(centres, others, scale, *shifts) for shifts in ((NEAR, NONE), (NONE, NEAR)))
        best[left] = np.maximum(*near)
        kept = best[left] >= least[left]
        best[left[kept]] = _correlate(centres[kept], others[kept], scale[kept], ALL, ALL)
    return best


def _correlate(centres: Floats, others: Floats, scale: Floats, down: slice, right: slice) -> Floats:
    """Best correlation of each with windows of the other that are shifted so far."""
    shape = (len(others), 2 * SHIFT + 1, 2 * SHIFT + 1, WINDOW)
    step = others.itemsize
    windows = as_strided(others, shape, (others.strides[0], SIDE * step, step, step), writeable=False)
    products = np.vecdot(centres[:, None, None], windows[:, down, right]) * scale[:, down, right]
    best: Floats = products.max(axis=(1, 2))
    return best


def _extract_detail(pictures: Pictures, shown: Indexes) -> tuple[Floats, Floats]:
    """Grey pictures (n, 1024), slightly smoothed, less their surroundings, and 1 / their windows' norms."""
    fine, wide = _blur((0.25, 0.5, 0.25)), np.linalg.matrix_power(_blur((1 / 7,) * 7), 2)
    detail = np.empty((len(shown), SIDE, SIDE), dtype=np.float32)
    scales = np.empty((len(shown), 2 * SHIFT + 1, 2 * SHIFT + 1), dtype=np.float32)
    for start in range(0, len(shown), ROWS):
        grey = _pick(pictures, shown[start : start + ROWS]).sum(axis=1, dtype=np.uint16) / np.float32(3)
        piece = fine @ grey @ fine.T - wide @ grey @ wide.T
        detail[start : start + ROWS] = piece
        scales[start : start + ROWS] = 1 / np.sqrt(np.maximum(_sum_windows(piece * piece), 1e-6))
    return detail.reshape(-1, SIDE**2), scales


@cache
def _blur(weights: tuple[float, ...]) -> Floats:
    """Matrix (32, 32) that convolves a column; the border is repeated."""
    matrix, rows = np.zeros((SIDE, SIDE), dtype=np.float32), np.arange(SIDE)
    for shift, weight in enumerate(weights):
        matrix[rows, np.clip(rows + shift - len(weights) // 2, 0, SIDE - 1)] += weight
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
