"""Jobs in the order they came, as many at once as the machine has cores."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

Key = tuple[str, str]
_SHUTDOWN_SECONDS = 2.0


class Stop(threading.Event):
    """Set when a job must end. `shutdown`: because this program ends, not because somebody asked."""

    shutdown = False

    def limit(self, seconds: float) -> float:
        """How long a container may take to end; at a shutdown nobody waits two minutes."""
        return min(seconds, _SHUTDOWN_SECONDS) if self.shutdown else seconds


class JobQueue:
    """Runs `run(stop)` of each job in a thread; a job is known by (kind, name) until it ended."""

    def __init__(self, cores: int) -> None:
        self._pool = ThreadPoolExecutor(max(1, cores), thread_name_prefix="job")
        self._lock = threading.Lock()
        self._jobs: dict[Key, tuple[Stop, Callable[[Stop], None], Future[None]]] = {}

    def submit(self, key: Key, run: Callable[[Stop], None]) -> None:
        """Queue a job. `run` handles its own errors."""
        stop = Stop()
        with self._lock:
            self._jobs[key] = (stop, run, self._pool.submit(self._run, key, run, stop))

    def _run(self, key: Key, run: Callable[[Stop], None], stop: Stop) -> None:
        try:
            run(stop)
        finally:
            with self._lock:
                self._jobs.pop(key, None)

    def stop(self, key: Key) -> None:
        """Ask a job to end; one that still waits ends without ever using a core."""
        with self._lock:
            found = self._jobs.get(key)
            if found is None or found[0].is_set():  # it ended, or ends already
                return
            stop, run, future = found
            stop.set()
        if future.cancel():
            threading.Thread(target=self._run, args=(key, run, stop)).start()

    def close(self) -> None:
        """End every job now and wait for it."""
        with self._lock:
            jobs = list(self._jobs.values())
        for stop, _, future in jobs:
            stop.shutdown = True
            stop.set()
            future.cancel()
        self._pool.shutdown(wait=True)
