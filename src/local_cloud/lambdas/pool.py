"""Who runs when: a cap on concurrent invocations, warm environments, and their end.

Invocations beyond the cap wait in line; on AWS they would run, because there an account may run a thousand
at once. Reserved concurrency throttles at once, as on AWS. A nested invocation, one made by a handler that
itself holds a place, never waits for a place: it would wait for its own caller.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local_cloud.lambdas.environments import Environment
from local_cloud.lambdas.functions import Function

# The cores that this process may use, which in a container are fewer than the machine's.
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """How much the pool may use."""

    concurrency: int = 2 * CORES  # invocations at once
    queue_seconds: float = 300  # that an invocation waits for its turn before it is throttled
    idle_seconds: float = 300  # after which an unused environment ends
    environments: int = 10 * CORES  # processes, idle ones included


class Throttled(Exception):
    """No place for this invocation; `reason` is the `Reason` of AWS's TooManyRequestsException."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Pool:
    """Execution environments by function, leased one invocation at a time."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._changed = threading.Condition()
        self._in_flight: Counter[str] = Counter()  # by function ARN, waiting ones included
        self._busy = 0
        self._leased: set[Environment] = set()
        self._idle: list[tuple[float, Environment]] = []  # (since, environment), the longest idle first
        self._closed = threading.Event()
        threading.Thread(target=self._reap, name="lambda-reaper", daemon=True).start()

    @contextmanager
    def lease(
        self, function: Function, start: Callable[[], Environment], *, nested: bool = False
    ) -> Iterator[Environment]:
        """An environment for one invocation of `function`, warm if there is one, else the one `start` makes.

        Raises:
            Throttled: the function's reserved concurrency is in use, or no turn came in time.
        """
        with self._place(function, nested):
            environment = self._take_warm(function) or self._start(start)
            try:
                yield environment
            except BaseException:
                environment.healthy = False
                raise
            finally:
                self._give_back(environment)

    def close(self) -> None:
        """End all environments, also those at work."""
        self._closed.set()
        with self._changed:
            ended = [environment for _, environment in self._idle]
            working = list(self._leased)
            self._idle.clear()
            self._changed.notify_all()
        for environment in ended:
            environment.kill()
        for environment in working:
            environment.interrupt()

    def evict(self, idle_seconds: float) -> None:
        """End environments that nobody has used for so long."""
        oldest = time.monotonic() - idle_seconds
        with self._changed:
            ended = [environment for since, environment in self._idle if since <= oldest]
            self._idle = [entry for entry in self._idle if entry[0] > oldest]
        for environment in ended:
            environment.kill()

    def _reap(self) -> None:
        while not self._closed.wait(self.limits.idle_seconds / 4):
            self.evict(self.limits.idle_seconds)

    @contextmanager
    def _place(self, function: Function, nested: bool) -> Iterator[None]:
        self._enter(function)
        try:
            self._await_turn(nested)
            try:
                yield
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify()
        finally:
            with self._changed:
                self._in_flight -= Counter({function.arn: 1})  # forgets it at zero

    def _enter(self, function: Function) -> None:
        with self._changed:
            if function.reserved is not None and self._in_flight[function.arn] >= function.reserved:
                raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded", "Rate Exceeded.")
            self._in_flight[function.arn] += 1

    def _await_turn(self, nested: bool) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed.is_set() or self._has_room(nested), self.limits.queue_seconds
            )
            if self._closed.is_set() or not self._has_room(nested):
                raise Throttled("ConcurrentInvocationLimitExceeded", "Rate Exceeded.")
            self._busy += 1

    def _has_room(self, nested: bool) -> bool:
        return nested or self._busy < self.limits.concurrency

    def _take_warm(self, function: Function) -> Environment | None:
        """The most recently used environment of this very function; those of its earlier code end."""
        with self._changed:
            same = [entry for entry in self._idle if entry[1].function == function]
            stale = [entry for entry in self._idle if _replaces(function, entry[1].function)]
            taken = same[-1:]
            self._idle = [entry for entry in self._idle if entry not in stale and entry not in taken]
            self._leased.update(environment for _, environment in taken)
        for _, environment in stale:
            environment.kill()
        for _, environment in taken:
            if environment.is_alive():
                return environment
            self._drop(environment)
        return None

    def _start(self, start: Callable[[], Environment]) -> Environment:
        with self._changed:
            surplus = len(self._idle) + len(self._leased) + 1 - self.limits.environments
            evicted = [environment for _, environment in self._idle[: max(0, surplus)]]
            self._idle = self._idle[len(evicted) :]
        for environment in evicted:
            environment.kill()
        environment = start()
        with self._changed:
            self._leased.add(environment)
        return environment

    def _give_back(self, environment: Environment) -> None:
        if environment.healthy and not self._closed.is_set():
            with self._changed:
                self._leased.discard(environment)
                self._idle.append((time.monotonic(), environment))
        else:
            self._drop(environment)

    def _drop(self, environment: Environment) -> None:
        with self._changed:
            self._leased.discard(environment)
        environment.kill()


def _replaces(function: Function, other: Function) -> bool:
    same_version = (function.arn, function.version) == (other.arn, other.version)
    return same_version and function != other
