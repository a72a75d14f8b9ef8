"""Processor, memory and disk use of workers (namespace /aws/sagemaker/Endpoints), where /proc tells it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAMESPACE = "/aws/sagemaker/Endpoints"
PROC = Path("/proc")


@dataclass
class UtilizationMeter:
    """Percentages since the last reading: processor summed over cores, memory and disk of the machine's."""

    folder: Path
    _last: dict[int, tuple[float, float]] = field(default_factory=dict)  # pid -> (moment, processor seconds)

    def read(self, pids: list[int]) -> Mapping[str, float]:
        """CPUUtilization, MemoryUtilization, DiskUtilization ; nothing where there is no /proc."""
        if not (PROC / "self" / "stat").exists():
            return {}
        disk = shutil.disk_usage(self.folder)
        return {
            "CPUUtilization": sum(map(self._read_processor, pids)),
            "MemoryUtilization": 100 * sum(map(_read_memory, pids)) / os.sysconf("SC_PHYS_PAGES"),
            "DiskUtilization": 100 * disk.used / disk.total,
        }

    def _read_processor(self, pid: int) -> float:
        try:
            fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            self._last.pop(pid, None)
            return 0.0
        now, used = time.monotonic(), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        before, used_before = self._last.get(pid, (now, used))
        self._last[pid] = (now, used)
        return 100 * (used - used_before) / (now - before) if now > before else 0.0


def _read_memory(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1])  # resident pages
    except OSError:
        return 0
