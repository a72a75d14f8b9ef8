"""Children die with their parent, however it ends: a process of its own waits for that and kills the rest.

The reaper reads the children's process groups from a pipe that only the parent holds open. When the pipe
closes (a clean end, a crash or `kill -9` of the parent alike) it kills every group that is still listed. That
works on every POSIX system, reaches grandchildren, and needs no preexec_fn, which is unsafe beside threads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable


class Reaper:
    """The parent's end. Started with the first child, ended by close()."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """Kill this process group when the parent is gone."""
        if self._process is None or self._process.poll() is not None:
            # -I -S: nothing but the interpreter is needed, and it starts in 10 ms.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True
            )
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """The group ended by itself; its number may be given to others from now on."""
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the reaper, which kills what is still listed."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


def reap(lines: Iterable[str]) -> None:
    """Follow `+group` and `-group` lines to their end, then kill the groups that are left."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    reap(sys.stdin)
