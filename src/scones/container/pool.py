"""The threads that decode images and run the model, with a bound on the requests that wait for them.

Images are decoded on one set of threads and inferred on another: Pillow and ONNX Runtime both let go of the
GIL, so a large photo being decoded holds nobody up. Each inference thread takes its share of the images
that wait at that moment, of one size, as one batch; it never waits for a batch to fill. In a trial on two
shared cores an image took 3.5 ms of processor time alone, 2.4 ms in a batch of eight, no less in larger
ones, and 7.8 ms with a second ONNX Runtime thread, which mostly spins; benchmarks/endpoint.py measures the
bound with and without batches.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from scones.errors import DataError, ModelError, SconesError

MOST_IN_BATCH = 8


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
    def infer(self, images: Sequence[Any], /) -> Sequence[Answer]: ...


class Overloaded(SconesError):
    """As many requests as may wait are waiting already."""


@dataclass(frozen=True)
class Timed:
    """One answer and the seconds it took: waiting for threads, decoding, inferring."""

    answer: Answer
    waited: float
    decoded: float
    inferred: float


class _Job:
    """A request on its way through the threads."""

    def __init__(self, content: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.content = content
        self.image: Any = None
        self.queued = time.perf_counter()
        self.decoding = self.decoded = self.queued
        self.future: asyncio.Future[Timed] = loop.create_future()

    def finish(self, outcome: Timed | Exception) -> None:
        """Hand the outcome to the event loop's thread."""
        self.future.get_loop().call_soon_threadsafe(self._resolve, outcome)

    def _resolve(self, outcome: Timed | Exception) -> None:
        if self.future.done():  # the request was given up
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class InferencePool:
    """`threads` decoding and `threads` inferring over one predictor; at most `limit` requests run or wait."""

    def __init__(self, predictor: Predictor, threads: int, limit: int, stuck_after: float = 60) -> None:
        self.limit = limit
        self.in_flight = 0
        self._predictor = predictor
        self._stuck_after = stuck_after
        self._failed = False
        self._closing = False
        self._busy_since: dict[int, float] = {}  # thread -> when it took its batch
        self._ready: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._inferrers = [threading.Thread(target=self._run, name=f"infer-{n}") for n in range(threads)]
        for thread in self._inferrers:
            thread.start()

    async def predict(self, content: bytes) -> Timed:
        """Decode and classify one image.

        Raises Overloaded when `limit` requests are in flight, DataError for a bad image, ModelError when the
        model itself failed (and `is_healthy` is false until it answers again).
        """
        if self.in_flight >= self.limit:
            raise Overloaded(f"{self.limit} requests are waiting already.", "Try again in a second.")
        self.in_flight += 1
        try:
            job = _Job(content, asyncio.get_running_loop())
            self._decoders.submit(self._decode, job)
            return await job.future
        finally:
            self.in_flight -= 1

    def is_healthy(self) -> bool:
        """False after the model failed, and while a batch has been running for over `stuck_after` s."""
        oldest = min(tuple(self._busy_since.values()), default=None)
        stuck = oldest is not None and time.perf_counter() - oldest > self._stuck_after
        return not (self._failed or stuck)

    def close(self) -> None:
        """Finish what waits, then end the threads."""
        self._decoders.shutdown(wait=True)
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._inferrers:
            thread.join()

    def _decode(self, job: _Job) -> None:
        job.decoding = time.perf_counter()
        try:
            job.image = self._predictor.decode(job.content)
        except Exception as error:  # whatever it is, it belongs to the request that waits for it
            job.finish(error)
            return
        job.decoded = time.perf_counter()
        with self._changed:
            self._ready.append(job)
            self._changed.notify()

    def _run(self) -> None:
        while batch := self._take():
            self._busy_since[threading.get_ident()] = time.perf_counter()
            self._infer(batch)
            del self._busy_since[threading.get_ident()]

    def _take(self) -> list[_Job]:
        """This thread's share of what waits, all of one size; nothing at the end."""
        with self._changed:
            while not self._ready and not self._closing:
                self._changed.wait()
            share = min(MOST_IN_BATCH, -(-len(self._ready) // len(self._inferrers)))
            batch: list[_Job] = []
            while len(batch) < share and _has_size(self._ready[0], batch):
                batch.append(self._ready.popleft())
            return batch

    def _infer(self, batch: list[_Job]) -> None:
        start = time.perf_counter()
        try:
            answers = self._predictor.infer([job.image for job in batch])
        except (
            Exception
        ) as error:  # the process edge: whatever the runtime raises makes this container unhealthy
            self._refuse(batch, error)
            return
        self._failed = False
        end = time.perf_counter()
        for job, answer in zip(batch, answers, strict=True):
            waited = start - job.decoded + job.decoding - job.queued
            job.finish(Timed(answer, waited, job.decoded - job.decoding, end - start))

    def _refuse(self, batch: list[_Job], error: Exception) -> None:
        if len(batch) > 1:  # each must answer for itself only
            for job in batch:
                self._infer([job])
        elif isinstance(error, DataError):
            batch[0].finish(error)
        else:
            self._failed = True
            batch[0].finish(ModelError(f"The model failed: {error}"))


def _has_size(job: _Job, batch: list[_Job]) -> bool:
    return not batch or getattr(job.image, "shape", None) == getattr(batch[0].image, "shape", None)
