"""A variant's workers: started, replaced when they crash, chosen for requests, added and drained."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sagemaker_local.endpoints.errors import EndpointError, InvokeError
from sagemaker_local.endpoints.reaper import Reaper
from sagemaker_local.endpoints.spec import Limits, VariantSpec
from sagemaker_local.endpoints.worker import Worker, WorkerFailed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Surroundings:
    """What all workers of an endpoint share: a folder, limits, the reaper and where log lines go."""

    folder: Path
    limits: Limits
    reaper: Reaper
    write_log: Callable[[str, str], None]


class Instance:
    """A place for one worker: the worker itself, and the one that replaces it when it crashed."""

    def __init__(self, make: Callable[[], Worker], limits: Limits, changed: Callable[[], None]) -> None:
        self.worker: Worker | None = None  # None until it is ready, and while it is being replaced
        self._make = make
        self._limits = limits
        self._changed = changed
        self._latest: Worker | None = None  # also while it starts or stops
        self._keeping: asyncio.Task[None] | None = None

    async def launch(self) -> None:
        """Start the first worker. A program that ends at once is tried again. Raises WorkerFailed."""
        deadline = time.monotonic() + self._limits.startup_s
        for attempt in range(1, self._limits.start_attempts + 1):
            try:
                worker = await self._start()
                break
            except WorkerFailed as error:
                last = attempt == self._limits.start_attempts or time.monotonic() > deadline
                if last or not error.ended:
                    raise
                await asyncio.sleep(self._limits.backoff_s * attempt)
        self._keeping = asyncio.ensure_future(self._keep(worker))

    async def retire(self) -> None:
        """Take no more requests, answer those in flight, stop the worker."""
        worker, self.worker = self.worker, None
        self._changed()
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        if worker is not None:
            await worker.drain()
            await worker.stop()
        elif self._latest is not None:  # it was starting or stopping, and that may have been cancelled
            await self._latest.stop(grace=0)

    async def _start(self) -> Worker:
        worker = self._latest = self._make()
        await worker.start()
        self.worker = worker
        self._changed()
        return worker

    async def _keep(self, worker: Worker) -> None:
        backoff = self._limits.backoff_s
        while True:
            since = time.monotonic()
            reason = await worker.watch(self._changed)
            self.worker = None
            self._changed()
            logger.warning("worker %s is replaced: %s", worker.instance_id, reason)
            await worker.stop(grace=0)
            if time.monotonic() - since > self._limits.backoff_most_s:
                backoff = self._limits.backoff_s
            worker, backoff = await self._replace(backoff)

    async def _replace(self, backoff: float) -> tuple[Worker, float]:
        while True:
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, self._limits.backoff_most_s)
            with contextlib.suppress(WorkerFailed):
                return await self._start(), backoff


class Variant:
    """The running side of a VariantSpec. `weight` and the number of instances may change."""

    def __init__(self, spec: VariantSpec, model_dir: Path | None, around: Surroundings) -> None:
        self.spec = spec
        self.weight = spec.weight
        self.desired_count = spec.instance_count
        self._model_dir = model_dir
        self._around = around
        self._instances: list[Instance] = []
        self._changed = asyncio.Event()
        self._retired = False

    @property
    def workers(self) -> list[Worker]:
        """Those that are ready for requests."""
        ready = [instance.worker for instance in self._instances if instance.worker is not None]
        return [worker for worker in ready if not worker.doubtful.is_set()]

    async def start(self) -> None:
        """Start all instances. Raises EndpointError in AWS's words; then nothing is left running."""
        await self.resize(self.spec.instance_count)

    async def resize(self, count: int) -> None:
        """Start or drain workers until there are `count`; starting ones only join when all are ready.

        Raises EndpointError when one cannot be started; then the variant is as it was.
        """
        self.desired_count = count
        try:
            await self._grow(count - len(self._instances))
        except BaseException:
            self.desired_count = len(self._instances)
            raise
        # Those without a worker go first, then those with the fewest requests.
        self._instances.sort(key=lambda place: -place.worker.in_flight if place.worker else 1)
        leaving = self._instances[: max(0, len(self._instances) - count)]
        del self._instances[: len(leaving)]
        await asyncio.shield(asyncio.gather(*(instance.retire() for instance in leaving)))

    async def acquire(self) -> Worker | None:
        """The ready worker with the fewest requests in flight; None when the variant was retired.

        Raises InvokeError (ServiceUnavailable) when none gets ready in time.
        """
        if workers := self.workers:
            return min(workers, key=lambda worker: worker.in_flight)
        try:
            async with asyncio.timeout(self._around.limits.unavailable_s):
                while not (self._retired or self.workers):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            message = (
                f"No instance of production variant {self.spec.name} is available; they are being replaced."
            )
            raise InvokeError("ServiceUnavailable", 503, message) from None
        return None if self._retired else await self.acquire()

    async def retire(self) -> None:
        """Drain and stop all workers."""
        self._retired = True
        leaving, self._instances = self._instances, []
        self._changed.set()
        await asyncio.gather(*(instance.retire() for instance in leaving))

    async def _grow(self, number: int) -> None:
        fresh = [Instance(self._make_worker, self._around.limits, self._changed.set) for _ in range(number)]
        tasks = [asyncio.ensure_future(instance.launch()) for instance in fresh]
        try:
            await asyncio.gather(*tasks)
        except BaseException as error:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(instance.retire() for instance in fresh))
            if isinstance(error, WorkerFailed):
                raise EndpointError(self._describe_failure(error)) from error
            raise
        self._instances += fresh
        self._changed.set()

    def _make_worker(self) -> Worker:
        around = self._around
        return Worker(
            self.spec, around.folder, self._model_dir, around.limits, around.reaper, around.write_log
        )

    def _describe_failure(self, error: WorkerFailed) -> str:
        return (
            f"The primary container for production variant {self.spec.name} did not pass the ping health "
            f"check. Please check CloudWatch logs for this endpoint. Here, {error}."
        )
