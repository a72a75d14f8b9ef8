"""The threads that decode images and run the model, with a bound on the requests that wait for them.

Large images are decoded on one set of threads and inferred on another: Pillow and ONNX Runtime both let go
of the GIL, so a photo being decoded holds nobody up. A small one is decoded (in 0.07 ms) by the thread that
infers it: handing it over would cost more. Each inference thread takes its share of the images that wait at
that moment as one batch; it never waits for a batch to fill. On two cores an image of 32 x 32 takes 2.8 ms of
processor time alone, 2.3 ms in a batch of eight and no less in larger ones; a second ONNX Runtime thread
mostly spins. benchmarks/endpoint.py measures the bound with and without batches.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from scones.errors import DataError, ModelError, SconesError

MOST_IN_BATCH = 8
SMALL_BYTES = 16 * 1024  # an image up to here is decoded in well below a millisecond


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


@dataclass(slots=True)
class _Job:
    """A request on its way through the threads; `image` once it is decoded. Times are perf_counter's."""

    content: bytes
    future: asyncio.Future[Timed]
    queued: float
    image: Any = None
    decoding: float = 0.0
    decoded: float = 0.0


Outcome = tuple[_Job, Timed | Exception]


class InferencePool:
    """`threads` decoding and `threads` inferring over one predictor; at most `limit` requests run or wait."""

    def __init__(self, predictor: Predictor, threads: int, limit: int, stuck_after: float = 60) -> None:
        self.limit = limit
        self.in_flight = 0
        self._predictor = predictor
        self._stuck_after = stuck_after
        self._failed = False
        self._busy_since: dict[int, float] = {}  # thread -> when it took its batch
        self._ready: SimpleQueue[_Job | None] = SimpleQueue()  # None ends a thread
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
            job = _Job(content, asyncio.get_running_loop().create_future(), time.perf_counter())
            if len(content) <= SMALL_BYTES:
                self._ready.put(job)
            else:
                self._decoders.submit(self._decode_apart, job)
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
        for _ in self._inferrers:
            self._ready.put(None)
        for thread in self._inferrers:
            thread.join()

    def _decode_apart(self, job: _Job) -> None:
        if outcome := self._decode(job):
            _hand_over([outcome])
        else:
            self._ready.put(job)

    def _decode(self, job: _Job) -> Outcome | None:
        """Set the job's image; what is wrong when there is none."""
        job.decoding = time.perf_counter()
        try:
            job.image = self._predictor.decode(job.content)
        except Exception as error:  # whatever it is, it belongs to the request that waits for it
            return job, error
        job.decoded = time.perf_counter()
        return None

    def _run(self) -> None:
        while (first := self._ready.get()) is not None:
            self._busy_since[threading.get_ident()] = time.perf_counter()
            batch = self._fill([first])
            refused = [outcome for job in batch if job.image is None and (outcome := self._decode(job))]
            good = [job for job in batch if job.image is not None]
            outcomes = refused + (self._infer(good) if good else [])
            del self._busy_since[threading.get_ident()]  # first: who has an answer must not find us stuck
            _hand_over(outcomes)

    def _fill(self, batch: list[_Job]) -> list[_Job]:
        """This thread's share of what waits."""
        share = min(MOST_IN_BATCH, -(-(self._ready.qsize() + 1) // len(self._inferrers)))
        with suppress(Empty):
            while len(batch) < share:
                job = self._ready.get_nowait()
                if job is None:  # the end, after this batch
                    self._ready.put(None)
                    break
                batch.append(job)
        return batch

    def _infer(self, batch: list[_Job]) -> list[Outcome]:
        start = time.perf_counter()
        try:
            answers = self._predictor.infer([job.image for job in batch])
        except (
            Exception
        ) as error:  # the process edge: whatever the runtime raises makes this container unhealthy
            return self._refuse(batch, error)
        self._failed = False
        end = time.perf_counter()
        return [
            (
                job,
                Timed(
                    answer,
                    start - job.decoded + job.decoding - job.queued,
                    job.decoded - job.decoding,
                    end - start,
                ),
            )
            for job, answer in zip(batch, answers, strict=True)
        ]

    def _refuse(self, batch: list[_Job], error: Exception) -> list[Outcome]:
        if len(batch) > 1:  # each must answer for itself only
            return [outcome for job in batch for outcome in self._infer([job])]
        if isinstance(error, DataError):
            return [(batch[0], error)]
        self._failed = True
        return [(batch[0], ModelError(f"The model failed: {error}"))]


def _hand_over(outcomes: list[Outcome]) -> None:
    """Resolve the futures on the event loop's thread, which is woken once."""
    if outcomes:
        outcomes[0][0].future.get_loop().call_soon_threadsafe(_resolve, outcomes)


def _resolve(outcomes: list[Outcome]) -> None:
    for job, outcome in outcomes:
        if job.future.done():  # the request was given up
            continue
        if isinstance(outcome, Exception):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
