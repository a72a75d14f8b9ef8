"""Jobs run in order, once each, however often they are told to stop."""

from __future__ import annotations

import threading

from sagemaker_local.jobs.queue import JobQueue, Stop


def test_a_waiting_job_that_is_stopped_twice_runs_once() -> None:
    queue, release, began = JobQueue(1), threading.Event(), threading.Event()
    runs: list[bool] = []

    def run(stop: Stop) -> None:
        runs.append(stop.is_set())
        began.set()
        release.wait(10)

    queue.submit(("kind", "first"), lambda stop: stop.wait(10) and None)
    queue.submit(("kind", "second"), run)
    before = set(threading.enumerate())
    queue.stop(("kind", "second"))
    assert began.wait(10)  # in a thread of its own, although the only core is taken
    queue.stop(("kind", "second"))
    fresh = set(threading.enumerate()) - before
    release.set()
    for thread in fresh:
        thread.join(10)
    queue.close()
    assert runs == [True]
