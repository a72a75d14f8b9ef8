"""BentoML: one worker process for each core, no access log. Images travel as they are."""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
from classifier import Classifier


@bentoml.service(
    workers=int(os.environ["WORKERS"]),
    traffic={"timeout": 60, "max_concurrency": 256},
    logging={"access": {"enabled": False}},
)
class Classify:
    def __init__(self) -> None:
        self.classifier = Classifier()

    @bentoml.api(route="/invocations")
    def invocations(self, image: Path, /) -> list[float]:
        return self.classifier.infer([self.classifier.decode(image.read_bytes())])[0]
