"""Lines that containers print, on their way to CloudWatch Logs in batches."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

PutLog = Callable[[str, str, Sequence[tuple[int, str]]], None]
MOST_WAITING = 10_000  # lines of one stream; a container that prints faster than they can be sent loses some
MOST_IN_BATCH = 1_000


class LogShipper:
    """Collects lines by group and stream and hands them on once a second."""

    def __init__(self, put_log: PutLog) -> None:
        self._put_log = put_log
        self._waiting: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)

    def write(self, group: str, stream: str, line: str) -> None:
        """Take one line, printed now."""
        lines = self._waiting[group, stream]
        if len(lines) < MOST_WAITING:
            lines.append((time.time_ns() // 1_000_000, line))
        elif len(lines) == MOST_WAITING:
            lines.append((time.time_ns() // 1_000_000, "(lines were lost here: too many at once)"))

    async def run(self) -> None:
        """Flush once a second until cancelled."""
        while True:
            await asyncio.sleep(1)
            await self.flush()

    async def flush(self) -> None:
        """Send what is waiting. Lines that cannot be sent are dropped, and that is logged here."""
        waiting, self._waiting = self._waiting, defaultdict(list)
        for (group, stream), lines in waiting.items():
            for start in range(0, len(lines), MOST_IN_BATCH):
                await self._send(group, stream, lines[start : start + MOST_IN_BATCH])

    async def _send(self, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
        try:
            await asyncio.to_thread(self._put_log, group, stream, lines)
        except Exception as error:  # the edge to whatever cloud there is; serving goes on without its logs
            logger.warning("%d log lines of %s could not be sent: %s", len(lines), group, error)
