"""What every peer serves: Pillow decodes, ONNX Runtime infers, on one thread. MODEL is the graph's path."""

from __future__ import annotations

import io
import os

import numpy as np
import onnxruntime
from PIL import Image


class Classifier:
    """The graph takes raw RGB bytes (n, height, width, 3) and gives probabilities (n, 2)."""

    def __init__(self, path: str | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            path or os.environ["MODEL"], options, providers=["CPUExecutionProvider"]
        )

    def decode(self, content: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image.convert("RGB"))

    def infer(self, images: list[np.ndarray]) -> list[list[float]]:
        """One batch for pictures of one size, else one by one."""
        if len({image.shape for image in images}) > 1:
            return [self.infer([image])[0] for image in images]
        return self.session.run(["probabilities"], {"pixels": np.stack(images)})[0].tolist()
