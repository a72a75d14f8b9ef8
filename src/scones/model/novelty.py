"""How unlike the training pictures a picture is, from its embedding. NumPy only.

Distance to the k-th nearest training embedding: Y. Sun et al., "Out-of-Distribution Detection with Deep
Nearest Neighbors", ICML 2022. Embeddings are scaled to unit length, centred and projected on the training
set's leading principal components, which keeps the artifact small and the search below a tenth of a
millisecond.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scones.errors import ModelError

Floats = NDArray[np.floating[Any]]

NEIGHBOURS = 5
COMPONENTS = 64
MOST_REFERENCES = 2000
STEEPNESS = 6.0


@dataclass(frozen=True)
class Reference:
    """The training set's embeddings: `centre` (1280,), `axes` (64, 1280), `points` (n, 64), `labels` (n,)."""

    centre: NDArray[np.float32]
    axes: NDArray[np.float32]
    points: NDArray[np.float32]
    labels: NDArray[np.int64]

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """Squared lengths (n,) of the points, which every answer needs."""
        return np.asarray((self.points**2).sum(axis=1))


def fit_reference(embeddings: Floats, labels: NDArray[np.int64], seed: int = 0) -> Reference:
    """The reference of training embeddings (n, 1280); over 2,000 pictures, a seeded sample of them is
    kept."""
    unit = _scale(embeddings)
    centre = unit.mean(axis=0)
    centred = unit - centre
    axes = np.linalg.eigh(centred.T @ centred)[1].T[::-1][:COMPONENTS]  # the largest eigenvalues come last
    kept = np.random.default_rng(seed).permutation(len(unit))[:MOST_REFERENCES]
    return Reference(
        centre=np.asarray(centre, np.float32),
        axes=np.asarray(axes, np.float32),
        points=np.asarray((unit[kept] - centre) @ axes.T, np.float32),
        labels=labels[kept],
    )


def _scale(embeddings: Floats) -> Floats:
    return np.asarray(embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-9))


def measure_distance(reference: Reference, embeddings: Floats, leave_out: bool = False) -> Floats:
    """Distance (n,) of each embedding (n, 1280) to its 5th nearest training picture.

    The part of an embedding outside the kept components counts as well: it is where unrelated pictures
    differ. `leave_out`: the embeddings are the reference's own; each one's nearest, itself, is skipped.
    """
    centred = _scale(embeddings) - reference.centre
    points = centred @ reference.axes.T
    rest = np.maximum((centred**2).sum(axis=1) - (points**2).sum(axis=1), 0.0)
    squares = (points**2).sum(axis=1)[:, None] + reference.lengths - 2 * points @ reference.points.T
    nearest = min(NEIGHBOURS, len(reference.points) - 1) - 1 + leave_out
    return np.asarray(np.sqrt(np.maximum(np.partition(squares, nearest, axis=1)[:, nearest], 0.0) + rest))


def score(distance: Floats, limit: float) -> Floats:
    """Distances to scores from 0 (like training) to 1 (unlike); 0.5 at `limit`, where refusal begins."""
    return np.asarray(1.0 / (1.0 + (limit / np.maximum(distance, 1e-9)) ** STEEPNESS))


def dump_reference(reference: Reference) -> bytes:
    """The reference as a NumPy archive without pickles; points in half precision."""
    buffer = io.BytesIO()
    halved = {f.name: getattr(reference, f.name) for f in fields(reference)}
    np.savez(buffer, **{k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in halved.items()})
    return buffer.getvalue()


def load_reference(content: bytes) -> Reference:
    """Reads what `dump_reference` wrote; ModelError when it is damaged or of other shapes."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            values = {name: arrays[name] for name in ("centre", "axes", "points", "labels")}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"The model artifact's reference embeddings are damaged: {error}.") from error
    floats = {name: np.asarray(values[name], np.float32) for name in ("centre", "axes", "points")}
    if floats["axes"].shape[1:] != floats["centre"].shape or floats["points"].shape[1] != len(floats["axes"]):
        raise ModelError("The model artifact's reference embeddings do not fit together.")
    return Reference(**floats, labels=np.asarray(values["labels"], np.int64))
