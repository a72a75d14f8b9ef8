"""Drivers who check in at a given rate, whether or not the workflow keeps up (open loop).

A latency counts from the moment at which the driver was due to send the photo, not from when the upload got
its turn: otherwise an overloaded system would look better than it is ("coordinated omission").
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING

from scones.aws.checkins import ARRIVALS, CheckIn, Outcome, put_photo, read_outcomes
from scones.aws.sessions import Cloud

if TYPE_CHECKING:
    from scones.data.photos import Photo

SENDERS = 32
POLL = 0.5  # seconds


@dataclass(frozen=True)
class Burst:
    """`factor` times the rate, from `start` on for `seconds`."""

    factor: float
    start: float
    seconds: float


@dataclass
class Traffic:
    """What has come of the simulated check-ins so far; latencies in seconds, by outcome."""

    started: float
    sent: int = 0
    waiting: dict[str, tuple[str, float]] = field(default_factory=dict)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def done(self) -> int:
        return sum(self.outcomes.values())


Upload = tuple[str, float, Future[CheckIn]]


@dataclass(frozen=True)
class Sending:
    """From the thread that sends to the one that watches."""

    uploads: SimpleQueue[Upload]
    over: Event


def schedule_arrivals(rate: float, duration: float, burst: Burst | None, seed: int) -> Iterator[float]:
    """Seconds from the start at which drivers arrive: a Poisson process of `rate` per second."""
    chance, now = random.Random(seed), 0.0
    while True:
        bursting = burst is not None and burst.start <= now < burst.start + burst.seconds
        now += chance.expovariate(rate * (burst.factor if burst and bursting else 1))
        if now >= duration:
            return
        yield now


def run_traffic(
    cloud: Cloud,
    outputs: Mapping[str, str],
    arrivals: Iterable[float],
    photos: Iterator[Photo],
    observe: Callable[[Traffic], None],
    patience: float = 120,
) -> Traffic:
    """Send every photo when it is due, then wait up to `patience` seconds for the outcomes still missing.

    `outputs` are the stack's. `observe` is told twice a second, from another thread. Check-ins without an
    outcome stay in `waiting`. Raises CloudError.
    """
    traffic, sending = Traffic(time.time()), Sending(SimpleQueue(), Event())
    bucket, table = outputs["BucketName"], outputs["CheckinsTableName"]
    with ThreadPoolExecutor(SENDERS + 1) as pool:
        watcher = pool.submit(_watch, cloud, table, traffic, sending, observe, patience)
        for number, due in enumerate(arrivals):
            photo, moment = next(photos), traffic.started + due
            time.sleep(max(0.0, moment - time.time()))
            key = f"{ARRIVALS}/driver-{number % 1000:03d}/{int(traffic.started)}-{number:06d}-{photo.name}"
            upload = pool.submit(put_photo, cloud, bucket, key, photo.body)
            sending.uploads.put((photo.kind, moment, upload))
            if watcher.done():
                break
        sending.over.set()
        watcher.result()
    return traffic


def _watch(
    cloud: Cloud,
    table: str,
    traffic: Traffic,
    sending: Sending,
    observe: Callable[[Traffic], None],
    patience: float,
) -> None:
    uploads: list[Upload] = []
    deadline = float("inf")
    while time.time() < deadline:
        over = sending.over.is_set()
        deadline = min(deadline, time.time() + patience) if over else deadline
        while not sending.uploads.empty():
            uploads.append(sending.uploads.get())
        for upload in [upload for upload in uploads if upload[2].done()]:
            uploads.remove(upload)
            traffic.sent += 1
            traffic.waiting[upload[2].result().checkin_id] = upload[:2]
        _collect(cloud, table, traffic)
        observe(traffic)
        if over and not uploads and not traffic.waiting and sending.uploads.empty():
            return
        time.sleep(POLL)


def _collect(cloud: Cloud, table: str, traffic: Traffic) -> None:
    for checkin_id, outcome in read_outcomes(cloud, table, traffic.waiting).items():
        kind, due = traffic.waiting.pop(checkin_id)
        traffic.outcomes[kind, outcome.outcome] += 1
        traffic.latencies.append(_measure(outcome, due))


def _measure(outcome: Outcome, due: float) -> float:
    """Seconds until the decision, or until now where it does not say when it was made."""
    decided = datetime.fromisoformat(outcome.decided_at).timestamp() if outcome.decided_at else time.time()
    return decided - due
