"""What a container prints: streamed to CloudWatch Logs while it runs, and searched for metrics."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_BATCH_SECONDS = 0.5
_BATCH_LINES = 500
_QUEUE_LINES = 10_000

Events = list[tuple[int, str]]


class LogStream:
    """Lines go in at any speed; every half second they go to `send(events)`, in order, from one thread.

    A container that prints faster than they can be sent is slowed down; nothing is dropped.
    """

    def __init__(self, send: Callable[[Events], None]) -> None:
        self._send = send
        self._lines: queue.Queue[tuple[int, str] | None] = queue.Queue(_QUEUE_LINES)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Keep a line; its time is now."""
        self._lines.put((int(time.time() * 1000), line))

    def close(self) -> None:
        """Send what is left."""
        self._lines.put(None)
        self._thread.join()

    def _run(self) -> None:
        more = True
        while more:
            events, more = self._collect()
            if events:
                self._send(events)

    def _collect(self) -> tuple[Events, bool]:
        events: Events = []
        deadline: float | None = None
        while len(events) < _BATCH_LINES:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                item = self._lines.get(timeout=left)
            except queue.Empty:
                return events, True
            if item is None:
                return events, False
            events.append(item)
            deadline = deadline or time.monotonic() + _BATCH_SECONDS
        return events, True


class MetricScanner:
    """MetricDefinitions applied to each line: the first group of `Regex` is a value of `Name`."""

    def __init__(self, definitions: Iterable[Mapping[str, str]]) -> None:
        """Raises re.error for a bad Regex."""
        self._patterns = [(entry["Name"], re.compile(entry["Regex"])) for entry in definitions]
        self._last: dict[str, tuple[float, float]] = {}
        self._unsent: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def scan(self, line: str) -> None:
        """Keep the metrics that the line reports."""
        for name, pattern in self._patterns:
            match = pattern.search(line)
            value = _read_value(match) if match else None
            if value is not None:
                with self._lock:
                    now = time.time()
                    self._last[name] = (value, now)
                    self._unsent.append({"MetricName": name, "Value": value, "Timestamp": now})

    def take_unsent(self) -> Sequence[dict[str, Any]]:
        """MetricData since the last call, without dimensions."""
        with self._lock:
            taken, self._unsent = self._unsent, []
        return taken

    def final_values(self) -> list[dict[str, Any]]:
        """FinalMetricDataList: the last value of each metric."""
        return [{"MetricName": n, "Value": v, "Timestamp": at} for n, (v, at) in self._last.items()]


def _read_value(match: re.Match[str]) -> float | None:
    try:
        return float(match.group(1) if match.re.groups else match.group(0))
    except (TypeError, ValueError):
        return None
