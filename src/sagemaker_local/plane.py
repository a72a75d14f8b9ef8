"""The control plane: what every operation works with, its start and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from sagemaker_local.clients import Clients
from sagemaker_local.config import Config
from sagemaker_local.endpoints import Cloud
from sagemaker_local.endpoints.fleet import EndpointFleet
from sagemaker_local.errors import JobError
from sagemaker_local.hosting import recover_endpoints
from sagemaker_local.jobs import processing, training, transform
from sagemaker_local.jobs.queue import JobQueue, Stop
from sagemaker_local.monitoring import Scheduler
from sagemaker_local.scalable import make_autoscaler
from sagemaker_local.store import Record, Store

logger = logging.getLogger(__name__)

T = TypeVar("T")
Run = Callable[["Plane", Record, Path, Stop], None]
ENDED = frozenset({"Completed", "Failed", "Stopped"})

# How a job of each kind ends as Failed.
_FAIL: dict[str, Callable[[Plane, str, str], None]] = {
    training.KIND: lambda plane, name, reason: training.end_training(plane, name, "Failed", "Failed", reason),
    processing.KIND: lambda plane, name, reason: processing.end_processing(plane, name, "Failed", reason),
    transform.KIND: lambda plane, name, reason: transform.end_transform(plane, name, "Failed", reason),
}
# What the members of each kind begin with.
NOUNS = {training.KIND: "TrainingJob", processing.KIND: "ProcessingJob", transform.KIND: "TransformJob"}


class Plane:
    """Store, clients, job queue and endpoint fleet of one running SageMaker."""

    def __init__(self, config: Config) -> None:
        """Open the state folder. Raises StateError."""
        config.state_dir.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.store = Store(config.state_dir / "sagemaker.sqlite")
        self.clients = Clients(config)
        self.jobs = JobQueue(config.cores)
        self.fleet = EndpointFleet(_make_cloud(config, self.clients), config.state_dir)
        self.autoscaler = make_autoscaler(self)
        self.scheduler = Scheduler(self)
        self._folders = config.state_dir / "jobs"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._background: set[Future[None]] = set()

    async def open(self) -> None:
        """Mark the jobs of a killed program as Failed, bring its endpoints back."""
        self._loop = asyncio.get_running_loop()
        await self.fleet.open()
        await asyncio.to_thread(self._recover_jobs)
        await asyncio.to_thread(recover_endpoints, self)
        self.scheduler.start()
        self.spawn(self.autoscaler.run())

    async def close(self) -> None:
        """End jobs and endpoints; endpoints come back at the next start, jobs do not."""
        await asyncio.to_thread(self.scheduler.close)
        tasks = [asyncio.wrap_future(task) for task in self._background]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(asyncio.to_thread(self.jobs.close), self.fleet.close())
        self.store.close()

    def _recover_jobs(self) -> None:
        shutil.rmtree(self._folders, ignore_errors=True)
        for kind, noun in NOUNS.items():
            for record in self.store.list(kind):
                if record[f"{noun}Status"] not in ENDED:
                    reason = "InternalServerError: SageMaker was stopped or killed while the job ran."
                    _FAIL[kind](self, record[f"{noun}Name"], reason)

    def arn(self, kind: str, name: str) -> str:
        """`arn:aws:sagemaker:REGION:ACCOUNT:KIND/NAME`."""
        return f"arn:aws:sagemaker:{self.config.region}:{self.config.account_id}:{kind}/{name}"

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the event loop do `work`; callable from every thread."""
        assert self._loop is not None
        task = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._background.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: Future[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.error("background work failed", exc_info=error)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, done by the event loop; for every thread but the loop's own."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def run_job(self, kind: str, name: str, run: Run) -> None:
        """Queue the job; what it raises becomes its FailureReason."""
        self.jobs.submit((kind, name), lambda stop: self._run(kind, name, run, stop))

    def _run(self, kind: str, name: str, run: Run, stop: Stop) -> None:
        record = self.store.find(kind, name)
        assert record is not None
        self._folders.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self._folders))
        try:
            run(self, record, folder, stop)
        except JobError as error:
            _FAIL[kind](self, name, str(error))
        except Exception as error:
            logger.exception("%s %s", kind, name)
            with contextlib.suppress(Exception):
                _FAIL[kind](self, name, f"InternalServerError: {error}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _make_cloud(config: Config, clients: Clients) -> Cloud:
    return Cloud(
        fetch=clients.fetch,
        upload=clients.upload,
        put_log=clients.put_log,
        publish_metric=clients.publish_metric,
        region=config.region,
        account=config.account_id,
    )
