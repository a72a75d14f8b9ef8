"""The threads that decode images and run the model, with a bound on the requests that wait for them.

Each thread takes one request through decoding and inference. Pillow and ONNX Runtime both let go of the GIL,
so one request is decoded while another is inferred, without handing images from thread to thread.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from scones.errors import DataError, ModelError, SconesError


class Answer(Protocol):
    """What a predictor says of one image (scones.container.prediction.Prediction)."""

    @property
    def probabilities(self) -> Sequence[float]: ...
    @property
    def ood(self) -> float: ...
    @property
    def model(self) -> str: ...


class Predictor(Protocol):
    """The part of scones.container.prediction.Predictor that serving stands on."""

    def decode(self, content: bytes, /) -> Any: ...
    def infer(self, images: list[Any], /) -> Sequence[Answer]: ...


class Overloaded(SconesError):
    """As many requests as may wait are waiting already."""


@dataclass(frozen=True)
class Timed:
    """One answer and the seconds it took: waiting for a thread, decoding, inferring."""

    answer: Answer
    waited: float
    decoded: float
    inferred: float


class InferencePool:
    """`threads` threads over one predictor; at most `limit` requests run or wait."""

    def __init__(self, predictor: Predictor, threads: int, limit: int, stuck_after: float = 60) -> None:
        self.limit = limit
        self.in_flight = 0
        self._predictor = predictor
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="inference")
        self._stuck_after = stuck_after
        self._started: dict[int, float] = {}  # thread -> when it took the request that it runs
        self._failed = False

    async def predict(self, content: bytes) -> Timed:
        """Decode and classify one image.

        Raises Overloaded when `limit` requests are in flight, DataError for a bad image, ModelError when the
        model itself failed (and `is_healthy` is false until it answers again).
        """
        if self.in_flight >= self.limit:
            raise Overloaded(f"{self.limit} requests are waiting already.", "Try again in a second.")
        self.in_flight += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, self._predict, content, time.perf_counter())
        finally:
            self.in_flight -= 1

    def is_healthy(self) -> bool:
        """False after the model failed, and while a request has been running for over `stuck_after` s."""
        oldest = min(tuple(self._started.values()), default=None)
        stuck = oldest is not None and time.perf_counter() - oldest > self._stuck_after
        return not (self._failed or stuck)

    def close(self) -> None:
        """Let the running requests end and forget the waiting ones."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _predict(self, content: bytes, queued: float) -> Timed:
        taken = time.perf_counter()
        self._started[threading.get_ident()] = taken
        try:
            image = self._predictor.decode(content)
            decoded = time.perf_counter()
            answer = self._infer(image)
        finally:
            self._started.pop(threading.get_ident(), None)
        return Timed(answer, taken - queued, decoded - taken, time.perf_counter() - decoded)

    def _infer(self, image: Any) -> Answer:
        try:
            [answer] = self._predictor.infer([image])
        except DataError:
            raise
        except (
            Exception
        ) as error:  # the process edge: whatever the runtime raises makes this container unhealthy
            self._failed = True
            raise ModelError(f"The model failed: {error}") from error
        self._failed = False
        return answer
