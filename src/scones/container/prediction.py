"""Loads a model artifact and answers pictures with calibrated probabilities. NumPy, Pillow and onnxruntime
only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as failures

from scones.errors import DataError, ModelError
from scones.model import novelty, pixels
from scones.model.artifact import EMBEDDINGS, GRAPH, Artifact, open_artifact

LEAST_LIMIT = 1e-6
DOUBT_FROM = 0.35  # the out-of-distribution score above which probabilities move towards "don't know"


@dataclass(frozen=True)
class Prediction:
    """One picture's answer.

    `probabilities` follow the labels' order and add up to 1; `ood` is 0 for a picture like those of
    training, 1 for one unlike them, and above 0.5 it should not be routed; `model` names the artifact
    (SHA-256).
    """

    probabilities: tuple[float, ...]
    ood: float
    model: str


class Predictor:
    """A loaded model. Safe to share between threads."""

    def __init__(self, artifact: Artifact, threads: int = 1) -> None:
        self.artifact = artifact
        self.labels = artifact.labels
        self.model = artifact.digest
        self._reference = novelty.load_reference((artifact.folder / EMBEDDINGS).read_bytes())
        self._limit = max(float(artifact.calibration["ood"]["limit"]), LEAST_LIMIT)
        self._session = _open_session(artifact.folder / GRAPH, threads)

    def decode(self, content: bytes) -> pixels.Pixels:
        """RGB pixels of an uploaded picture; DataError when it is none."""
        return pixels.decode(content)

    def infer(self, images: Sequence[pixels.Pixels]) -> list[Prediction]:
        """Answers in order; pictures (height, width, 3) of the same size are computed together.

        Raises DataError for an array that is no RGB picture.
        """
        probabilities, embeddings = self.embed(images)
        distances = novelty.measure_distance(self._reference, embeddings) if len(images) else np.empty(0)
        scores = novelty.score(distances, self._limit)
        return [
            Prediction(tuple(float(p) for p in row), float(ood), self.model)
            for row, ood in zip(_doubt(probabilities, scores), scores, strict=True)
        ]

    def embed(self, images: Sequence[pixels.Pixels]) -> tuple[NDArray[Any], NDArray[Any]]:
        """The graph's own outputs: probabilities (n, classes) and embeddings (n, 1280)."""
        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise DataError(
                    f"An RGB picture of bytes is needed, not {image.dtype} of shape {image.shape}."
                )
        probabilities = np.empty((len(images), len(self.labels)), np.float64)
        embeddings = np.empty((len(images), len(self._reference.centre)), np.float32)
        for shape in {image.shape for image in images}:
            places = [place for place, image in enumerate(images) if image.shape == shape]
            outputs = self._session.run(None, {"pixels": np.stack([images[place] for place in places])})
            probabilities[places], embeddings[places] = outputs
        return probabilities / probabilities.sum(axis=1, keepdims=True), embeddings


def _doubt(probabilities: NDArray[Any], scores: NDArray[Any]) -> NDArray[Any]:
    """Move the probabilities of unlike pictures towards "don't know": from none of the way at DOUBT_FROM to
    all of it at a score of 1.

    A consumer that looks at the confidence alone, as the course's filter does, is then safe as well. It
    begins below 0.5, where a picture is refused: unrelated pictures just short of that lose their confidence
    too, while 96% of genuine ones keep their calibrated probabilities.
    """
    share = np.maximum(0.0, (scores - DOUBT_FROM) / (1 - DOUBT_FROM))[:, None]
    return np.asarray((1 - share) * probabilities + share / probabilities.shape[1])


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidProtobuf, failures.InvalidGraph, failures.NoSuchFile) as error:
        raise ModelError(f"The model's graph {path.name} cannot be loaded: {error}.") from error


def load_predictor(folder: Path, threads: int = 1) -> Predictor:
    """The predictor of an unpacked artifact directory (in SageMaker /opt/ml/model).

    Raises ModelError when the artifact is incomplete, changed, damaged or of another version.
    """
    return Predictor(open_artifact(folder), threads)
